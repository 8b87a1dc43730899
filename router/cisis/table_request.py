"""Rules R40–R99: patient, type, version, metadata, recipients, destinations (columns: see `rule.py`).

Numbers that hl7-input §2.2 doesn't have (R47–R49, R65, R74, R75, R94–R98) are ours; their `source` is `site`.
"""

from __future__ import annotations

from typing import Final

from router.cisis.rule import Case, Rule, Severity

_WARN = Severity.WARN
_ERROR = Severity.ERROR
_SHEET = "hl7-input §2.2"
_D4 = f"{_SHEET}, decisions D4"

RULES: Final = (
    # -------------------------------------------------------------------------------------------------- patient
    Rule("R40", "PID-3 and PID-5 are there.", "EEE-", "S", _SHEET, (
        Case("PID-3", "101", "PID^1^3", "", "Identifiant du patient absent (PID-3)."),
        Case("PID-5", "101", "PID^1^5", "", "Nom du patient absent (PID-5)."),
    )),
    Rule("R41", "PID-3 and recordTarget name the same patient: same INS and OID, else an identifier in common.",
         "EEE-", "S/P", f"{_SHEET}, decisions D3", (
        Case("", "207", "PID^1^3", "904", "INS du PID-3 différent de recordTarget/patientRole/id."),
        Case("none", "207", "PID^1^3", "904", "Aucun identifiant commun entre le PID-3 et le CDA."),
        Case("no-table", "", "PID^1^3", "",
             "Aucun identifiant comparable entre le PID-3 et le CDA : seuls les traits ont été comparés.", _WARN),
    ), option="autorites"),
    Rule("R42", "Birth name, date of birth, sex, first given name, birthplace: those that PID and CDA both have agree.",
         "EEE-", "P", f"{_SHEET}, decisions D3, D10", (
        Case("", "207", "PID^1^{field}", "904", "Traits du patient différents entre le PID et le CDA ({what})."),
        Case("lists", "", "PID^1^5", "", "Listes des prénoms différentes entre le PID et le CDA.", _WARN),
    )),
    Rule("R43", "DESTDMP=Y, PID holds the qualified INS: the CDA holds it too.", "EEEE", "P", _D4, (
        Case("", "207", "OBX^{n}^5^1^5", "903", "INS absent du CDA : dépôt au DMP impossible."),
    ), deletion=_WARN, option="dmp_inadmissible"),
    Rule("R44", "DESTDMP=Y: the CDA has all the traits that go with an INS.", "EEEE", "P", _D4, (
        Case("", "207", "OBX^{n}^5^1^5", "905", "Trait absent du CDA à côté de l'INS : {what}."),
    ), deletion=_WARN, option="dmp_inadmissible"),
    Rule("R45", "DESTDMP=Y: the identity is qualified (PID-32 = VALI, an INS).", "EEEE", "S", _D4, (
        Case("", "207", "PID^1^32", "903", "Identité non qualifiée : dépôt au DMP impossible.", header="ins-status"),
        Case("ins", "207", "PID^1^3", "903", "INS absent : dépôt au DMP impossible.", header="ins-status"),
    ), option="dmp_inadmissible", deletion=_ERROR),
    Rule("R46", "An INS that is not qualified leaves by no road: without VALI and INS in PID, none in the CDA.", "EEEE",
         "S", f"{_SHEET}, decisions D2", (
        Case("", "207", "OBX^{n}^5^1^5", "906", "Le CDA porte l'INS alors que l'identité n'est pas qualifiée.",
             header="ins-status"),
        Case("ins", "207", "OBX^{n}^5^1^5", "906",
             "Le CDA porte l'INS alors que l'identité n'est pas qualifiée : INS valide absent de PID-3."),
        Case("status", "", "PID^1^32", "", "Statut de l'identité absent (PID-32) : lue comme non qualifiée.", _WARN),
    )),
    Rule("R47", "The key of the INS is right (a fault when the DMP is asked for).", "EEEE", "site",
         "hl7-input §5.1, E31", (
        Case("", "102", "PID^1^3^{n}^1", "", "Clé de l'INS erronée."),
        Case("warn", "", "PID^1^3^{n}^1", "", "Clé de l'INS erronée : INS ignoré.", _WARN),
    )),
    Rule("R48", "No test or demonstration INS (OID .10, .11) in production.", "EEEE", "site",
         "hl7-input §5.1, decisions D9", (
        Case("", "207", "PID^1^3", "906", "INS de test ou de démonstration refusé en production."),
        Case("real", "", "PID^1^3", "", "INS réelle sur une plateforme de qualification.", _WARN),
    ), option="environment"),
    Rule("R49", "A patient is written to under a qualified INS only.", "WWWW", "site", "decisions D2, mssante §4.2", (
        Case("", "", "PRT^{n}^15^1^4", "", "Identité non qualifiée : pas de courriel au patient."),
    )),
    # ----------------------------------------------------------------------------------- type, version, identity
    Rule("R50", "TXA-2, OBR-4.1 (since 2.0), OBX-3.1 and the CDA's code are the same.", "EEE-", "S/P", _SHEET, (
        Case("TXA", "207", "TXA^1^2", "906", "Type de document différent entre TXA-2 et OBX-3."),
        Case("OBR", "207", "OBR^1^4^1^1", "906", "Type de document différent entre OBR-4 et OBX-3."),
        Case("CDA", "207", "OBX^{n}^3^1^1", "906", "Type de document différent entre OBX-3 et le CDA."),
    ), deletion=_WARN),
    Rule("R51", "The document type is in JDV_J07.", "EEEE", "S", _SHEET, (
        Case("", "103", "OBX^{n}^3^1^1", "", "Type de document absent du jeu de valeurs JDV_J07."),
        Case("unknown", "", "OBX^{n}^3^1^1", "", "Jeu de valeurs JDV_J07 non chargé : type non vérifié.", _WARN),
    ), deletion=_WARN),
    Rule("R52", "DESTDMP=Y: the document type is in JDV_J66.", "EEEE", "S", _D4, (
        Case("", "103", "OBX^{n}^3^1^1", "", "Type de document absent du jeu de valeurs JDV_J66 : le DMP le refuse."),
        Case("unknown", "", "OBX^{n}^3^1^1", "", "Jeu de valeurs JDV_J66 non chargé : type non vérifié pour le DMP.",
             _WARN),
    ), deletion=_WARN, option="dmp_inadmissible"),
    Rule("R53", "OBX-3.3 is LN or TRE_A05 and agrees with the CDA's code system.", "-WW-", "S", _SHEET, (
        Case("", "", "OBX^{n}^3^1^3", "", "Système de codage du type absent, inconnu ou différent du CDA (OBX-3.3)."),
    ), deletion=_WARN),
    Rule("R54", "The body of an N1 is what its mediaType says, by its first bytes.", "EEEE", "site",
         "hl7-input §2.1, §6.3", (
        Case("type", "207", "OBX^{n}^5^1^5", "906", "Le corps du CDA n'est pas lisible comme {what}, qu'il déclare."),
        Case("base64", "207", "OBX^{n}^5^1^5", "906", "Le corps du CDA (nonXMLBody) n'est pas un base64 lisible."),
    ), deletion=_WARN),
    Rule("R60", "TXA-12 is the CDA's id (EI-2 filled and `root.ext` tolerated).", "WEE-", "S", f"{_SHEET}, §1.4", (
        Case("", "207", "TXA^1^12", "906", "Identifiant du document différent entre TXA-12 et le CDA."),
        Case("absent", "101", "TXA^1^12", "", "Identifiant du document absent (TXA-12)."),
        Case("form", "", "TXA^1^12", "", "Forme de TXA-12 tolérée : EI-2 rempli ou identifiant concaténé.", _WARN),
    )),
    Rule("R61", "T10: TXA-13 is there and is the id of the document that the CDA replaces.", "EEE-", "S/P", _SHEET, (
        Case("", "207", "TXA^1^13", "906", "Document remplacé différent entre TXA-13 et le CDA."),
        Case("absent", "101", "TXA^1^13", "", "Identifiant du document remplacé absent (TXA-13)."),
    )),
    Rule("R62", "A replacement's CDA has one relatedDocument RPLC, whose parent is another document.", "EEEE", "P",
         _SHEET, (
        Case("", "207", "OBX^{n}^5^1^5", "900", "Remplacement sans relatedDocument RPLC dans le CDA."),
        Case("itself", "207", "OBX^{n}^5^1^5", "900", "Le CDA se remplace lui-même."),
        Case("twin", "", "OBX^{n}^5^1^5", "",
             "Second document d'une paire sans relatedDocument RPLC : pas de remplacement au DMP pour lui.", _WARN),
        Case("initial", "", "OBX^{n}^5^1^5", "", "Le CDA d'une transmission initiale remplace un document.", _WARN),
    )),
    Rule("R63", "TXA-1 = 1, TXA-3 = TEXT, TXA-17 = AU or LA.", "WWW-", "P", _SHEET, (
        Case("", "", "TXA^1^{field}", "", "Valeur inattendue (TXA-{field})."),
    )),
    Rule("R64", "DESTDMP=Y: the CDA's id has no extension, or the site joins them.", "WWEE", "P", _D4, (
        Case("", "207", "TXA^1^12", "906", "Identifiant de document avec extension : le DMP ne l'accepte pas."),
        Case("ORU", "207", "OBX^{n}^5^1^5", "906", "Identifiant de document avec extension : le DMP ne l'accepte pas."),
    ), deletion=_WARN, option="dmp_id_extension"),
    Rule("R65", "The structure of the SB is one the feed may speak for; without it the feed or MSH-4 names one.",
         "EEEE", "site", "decisions D11", (
        Case("", "207", "PRT^{n}^8^1^10", "906", "Structure pour laquelle ce flux n'est pas habilité (PRT-8).",
             header="structure-finess"),
        Case("owner", "207", "PRT^{n}^8^1^6", "906", "Structure pour laquelle ce flux n'est pas habilité (PRT-8).",
             header="structure-finess"),
        Case("absent", "207", "PRT^{n}^8^1^10", "906",
             "Structure émettrice absente (PRT-8), alors que ce flux parle pour plusieurs structures.",
             header="structure-finess"),
    ), option="structures"),
    # ------------------------------------------------------------------------------------------------- metadata
    Rule("R70", "Metadata 1 to 8 are there, once.", "EEEE", "S", f"{_SHEET}, §1.6", (
        Case("", "101", "OBX", "", "Métadonnée absente : {what}.", header="{what}"),
        Case("duplicate", "198", "OBX^{n}^3", "", "Métadonnée présente plusieurs fois : {what}."),
        Case("optional", "", "OBX", "", "Métadonnée absente, lue comme N : {what}.", _WARN),
    )),
    Rule("R71", "The metadata are in the fixed order.", "WWW-", "S", _SHEET, (
        Case("", "100", "OBX^{n}", "", "Métadonnée hors de l'ordre fixé : {what}."),
    ), option="metadata_order"),
    Rule("R72", "OBX-5.1 of the metadata is Y or N.", "EEEE", "S", _SHEET, (
        Case("", "103", "OBX^{n}^5^1^1", "", "Valeur inattendue, Y ou N attendu : {what}.", header="{what}"),
        Case("tolerated", "", "OBX^{n}^5^1^1", "", "Valeur Y ou N mal écrite, acceptée : {what}.", _WARN,
             header="{what}"),
    )),
    Rule("R73", "OBX-2 of the metadata is CE in an ORU, CWE in an MDM.", "WWW-", "P", _SHEET, (
        Case("", "", "OBX^{n}^2", "", "Type de donnée inattendu (OBX-2) : {what}."),
    )),
    Rule("R74", "Unknown metadata are ignored.", "WWWW", "site", "hl7-input §1.7, E39", (
        Case("", "", "OBX^{n}^3", "", "Métadonnée inconnue, ignorée."),
    ), configurable=True),
    Rule("R75", "A mail body (CORPSMAIL) decodes.", "WWWW", "site", "hl7-input §7.5, E45", (
        Case("", "", "OBX^{n}^5^1^5", "", "Corps de courriel tronqué : fin incomplète retirée ({what})."),
        Case("unreadable", "", "OBX^{n}^5^1^5", "", "Corps de courriel illisible, ignoré ({what}).", header="{what}"),
        Case("charset", "", "OBX^{n}^5^1^5", "",
             "Corps de courriel qui n'est pas en UTF-8 : lu en windows-1252 ({what}).", header="{what}"),
    )),
    # --------------------------------------------------------------------------------- recipients, destinations
    Rule("R80", "DESTDMP=Y: one PRT SB with a person or a device (PRT-5, PRT-10) and a structure (PRT-8.10).", "WEEE",
         "S", _SHEET, (
        Case("", "101", "PRT", "", "Expéditeur absent (PRT SB) : dépôt au DMP impossible."),
        Case("who", "101", "PRT^{n}^5", "", "Expéditeur sans professionnel ni dispositif (PRT-5, PRT-10).",
             header="sender-id"),
        Case("structure", "101", "PRT^{n}^8^1^10", "", "Expéditeur sans structure (PRT-8.10).",
             header="structure-finess"),
        Case("several", "198", "PRT^{n}^4", "", "Plusieurs expéditeurs (PRT SB)."),
    )),
    Rule("R81", "DESTMSSANTEPS=Y: at least one RCT that is not the patient, each with an address.", "EEEE", "S",
         _SHEET, (
        Case("", "101", "PRT", "", "Aucun destinataire professionnel (PRT RCT).", header="mssante-ps"),
        Case("address", "101", "PRT^{n}^15^1^4", "", "Destinataire sans adresse (PRT-15.4)."),
        Case("shifted", "101", "PRT^{n}^15^1^4", "", "Adresse dans PRT-16 au lieu de PRT-15."),
    ), option="resolution_annuaire"),
    Rule("R82", "DESTMSSANTEPAT=Y: at least one patient RCT with an address, or the site builds it.", "EEEE", "S/P",
         _SHEET, (
        Case("", "101", "PRT", "", "Aucun destinataire patient avec son adresse (PRT RCT).", header="mssante-patient"),
        Case("address", "101", "PRT^{n}^15^1^4", "", "Patient destinataire sans adresse (PRT-15.4).",
             header="mssante-patient"),
    ), option="build_patient_address"),
    Rule("R83", "An RCT whose destination is not asked for is not written to.", "WWWW", "P", _SHEET, (
        Case("", "", "PRT^{n}^4", "", "Destinataire présent mais non demandé (DESTMSSANTE… = N) : pas d'envoi."),
    )),
    Rule("R84", "An address is one plain addr-spec.", "EEEE", "P", f"{_SHEET}, E46", (
        Case("", "102", "PRT^{n}^15^1^4", "", "Adresse de messagerie invalide (PRT-15.4).", header="{what}"),
        Case("reply", "", "PRT^{n}^15^1^4", "", "Adresse de réponse invalide, ignorée (PRT REPLY).", _WARN,
             header="reply-to"),
    )),
    Rule("R85", "The domain of an address is in the liste blanche MSSanté; that recipient alone is refused.", "WWWW",
         "P", _SHEET, (
        Case("", "", "PRT^{n}^15^1^4", "", "Domaine absent de la liste blanche MSSanté."),
    ), stage="sink"),
    Rule("R86", "The local part of a patient's address is the patient's INS; else it is never written to.", "WWWW",
         "P", f"{_SHEET}, §5.6", (
        Case("", "207", "PRT^{n}^15^1^4", "904", "L'adresse du patient n'est pas celle de son INS.",
             header="mssante-patient"),
    ), option="r86"),
    Rule("R87", "INVISIBLE_PATIENT=Y: no mail to the patient.", "EEEE", "S", _SHEET, (
        Case("", "207", "OBX^{n}^5^1^1", "906", "Document invisible au patient et destiné au patient.",
             header="mssante-patient"),
    ), deletion=_WARN),
    Rule("R88", "INVISIBLE_REP_LEGAUX or CONNEXION_SECRETE=Y, patient under 18 or of unknown age: no mail to him.",
         "WWWW", "S", f"{_SHEET}, decisions D6", (
        Case("", "", "PRT^{n}^15^1^4", "",
             "Patient mineur ou d'âge inconnu et document masqué à ses représentants légaux : "
             "pas de courriel au patient."),
    ), deletion=_WARN),
    Rule("R89", "MASQUE_PS=Y: no mail to professionals, unless the site allows it.", "EEEE", "S/P", _SHEET, (
        Case("", "207", "OBX^{n}^5^1^1", "906", "Document masqué aux professionnels et destiné à un professionnel.",
             header="mssante-ps"),
    ), deletion=_WARN, option="r89"),
    Rule("R90", "DESTDMP=Y: the CDA's confidentiality is N (R and V should not be shared).", "WWWW", "S", _SHEET, (
        Case("", "207", "OBX^{n}^5^1^5", "906", "Document de confidentialité R ou V destiné au DMP."),
    ), deletion=_WARN, option="r90"),
    Rule("R91", "At least one destination is asked for, unless a consumer of the site takes the document.", "EEEE",
         "P", _SHEET, (
        Case("", "207", "OBX^{n}^3", "906", "Aucune destination demandée (DMP, MSSanté).", header="dmp"),
    ), option="local_consumer"),
    Rule("R92", "A replacement or deletion of a document never seen here is accepted; the DMP answers.", "----", "P",
         _SHEET, (
        Case("", "", "", "", "Document jamais vu par cette plateforme : la réponse viendra du DMP."),
    ), stage="dmp"),
    Rule("R93", "A document id submitted again under another MSH-10 is accepted; the DMP answers.", "----", "P",
         _SHEET, (
        Case("", "", "", "", "Document déjà transmis sous un autre message : la réponse viendra du DMP."),
    ), stage="dmp"),
    Rule("R94", "The masks and destinations have a row in the volet's MSSanté matrix.", "WWWW", "site",
         "hl7-input §2.4", (
        Case("", "207", "OBX^{n}^5^1^1", "906", "Combinaison absente de la matrice MSSanté du volet."),
    ), option="matrice_mssante", deletion=_WARN),
    Rule("R95", "A recipient's identity and domain agree: a patient's with a patient's domain, and only his.", "EEEE",
         "site", "mssante §4.1", (
        Case("", "207", "PRT^{n}^15^1^4", "906",
             "Identité et adresse du destinataire contradictoires (patient, professionnel).", header="mssante-ps"),
    )),
    Rule("R97", "An address is written to once.", "WWWW", "site", "mssante §4.2", (
        Case("", "", "PRT^{n}^15^1^4", "", "Même adresse plusieurs fois : un seul courriel."),
    )),
    Rule("R98", "A message names no more recipients than the feed allows.", "EEEE", "site", "mssante §4.2", (
        Case("", "207", "PRT^{n}", "906", "Plus de {limit} destinataires dans un message.", header="mssante-ps"),
        Case("parts", "207", "PRT^{n}", "906", "Plus de {limit} segments PRT dans un message."),
    ), option="most_recipients"),
    Rule("R99", "Storage or database away, overload, shutting down: AR, the sender may send again.", "EEEE", "P",
         _SHEET, (
        Case("", "207", "", "906", "Plateforme momentanément indisponible : renvoyer le message plus tard."),
    ), stage="gateway"),
)  # fmt: skip
