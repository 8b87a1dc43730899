"""Rules R01–R39: the frame, the header, the structure, the action and the document (columns: see `rule.py`).

Numbers that hl7-input §2.2 doesn't have (R13–R15, R38) are ours; their `source` is `site`.
"""

from __future__ import annotations

from typing import Final

from router.cisis.rule import Case, Rule, Severity

_WARN = Severity.WARN
_SHEET = "hl7-input §2.2"

RULES: Final = (
    # ----------------------------------------------------------------------------------------- frame and MSH
    Rule("R01", "The frame begins with MSH, has at least 12 fields and distinct separators.", "EEE-", "P", _SHEET, (
        Case("", "100", "", "", "La trame ne commence pas par un segment MSH lisible."),
        Case("msh", "100", "MSH^1", "", "Le segment MSH a moins de 12 champs."),
        Case("separators", "100", "MSH^1^2", "", "Séparateurs absents, répétés ou impossibles (MSH-1, MSH-2)."),
        Case("framing", "100", "", "", "Caractère de trame MLLP à l'intérieur du message."),
        Case("lines", "100", "", "", "Message de plus de {limit} segments."),
        Case("pieces", "100", "", "", "Message de plus de {limit} champs, répétitions et composants."),
        Case("long", "100", "{segment}^{n}", "", "Segment de plus de 64 Kio, document non compris."),
        Case("repetitions", "100", "{segment}^{n}^{field}", "", "Champ de plus de 1 000 répétitions."),
        Case("line", "100", "{segment}^{n}", "",
             "Ligne qui n'est pas un segment : une fin de ligne a sans doute coupé le contenu en base64."),
        Case("text", "100", "{segment}^{n}", "",
             "Saut de ligne ({what}) à l'intérieur du segment {segment} : la ligne qui suit n'est pas un segment. "
             "Dans un champ, un saut de ligne s'écrit par l'échappement .br."),
        Case("nul", "", "MSH^1", "", "Caractère NUL dans le message : retiré de tous les textes.", _WARN),
        Case("joined", "", "OBX^1", "",
             "Des fins de ligne coupaient le contenu en base64 : lignes réunies, comme prévu pour ce flux.", _WARN),
    ), option="rejoin_base64"),
    Rule("R02", "MSH-9.1 is ORU or MDM.", "EEE-", "S", _SHEET, (
        Case("", "200", "MSH^1^9^1^1", "", "Type de message non pris en charge : ORU ou MDM attendu."),
        Case("batch", "200", "", "", "Les lots (FHS, BHS) ne sont pas acceptés : un message par trame."),
    )),
    Rule("R03", "MSH-9.2 is R01 (ORU), or T02, T04, T10 (MDM).", "EEE-", "S", _SHEET, (
        Case("", "201", "MSH^1^9^1^2", "",
             "Événement non pris en charge : R01 (ORU) ou T02, T04, T10 (MDM) attendu."),
    )),
    Rule("R04", "MSH-9.3 is ORU_R01 or MDM_T02; absent is tolerated.", "EEE-", "S", _SHEET, (
        Case("", "200", "MSH^1^9^1^3", "", "Structure de message non prise en charge : ORU_R01 ou MDM_T02 attendu."),
        Case("absent", "", "MSH^1^9^1^3", "", "Structure de message absente (MSH-9.3).", _WARN),
    )),
    Rule("R05", "MSH-12.1 is 2.5 for an ORU, 2.6 for an MDM; 2.5.1 is tolerated for an ORU.", "EEE-", "S", _SHEET, (
        Case("", "203", "MSH^1^12", "", "Version HL7 non prise en charge : 2.5 (ORU) ou 2.6 (MDM) attendu."),
        Case("2.5.1", "203", "MSH^1^12", "", "Version HL7 2.5.1 acceptée à la place de 2.5.", _WARN),
    ), option="accept_2_5_1"),
    Rule("R06", "MSH-11 is P, T or D, and allowed on this instance.", "EEEE", "P", _SHEET, (
        Case("", "202", "MSH^1^11", "", "Mode de traitement (MSH-11) refusé par cette plateforme.",
             header="processing-id"),
    ), option="processing_ids"),
    Rule("R07", "MSH-10 is present.", "EEEE", "S", _SHEET, (
        Case("", "101", "MSH^1^10", "", "Identifiant de message absent (MSH-10).", header="request-id"),
    )),
    Rule("R08", "MSH-3 to MSH-7 are present, and the sender is one the feed knows.", "EEEE", "S/P", _SHEET, (
        Case("", "101", "MSH^1^{field}", "", "Champ obligatoire absent (MSH-{field})."),
        Case("sender", "207", "MSH^1^3", "906", "Émetteur inconnu de ce flux (MSH-3, MSH-4).",
             header="sending-application"),
    ), option="senders"),
    Rule("R09", "MSH-17 is FRA.", "WWW-", "P", _SHEET, (
        Case("", "", "MSH^1^17", "", "Code pays absent ou différent de FRA (MSH-17)."),
    )),
    Rule("R10", "MSH-18 is known and the bytes decode in it.", "EEE-", "S/P", f"{_SHEET}, §7.3", (
        Case("", "103", "MSH^1^18", "", "Jeu de caractères inconnu (MSH-18)."),
        Case("bytes", "102", "MSH^1^18", "", "Le contenu n'est pas codé dans le jeu de caractères annoncé (MSH-18)."),
        Case("fallback", "", "MSH^1^18", "",
             "Le contenu n'est pas codé comme annoncé : lu en ISO 8859-15, comme prévu pour ce flux.", _WARN),
        Case("mojibake", "", "MSH^1^18", "", "Les textes semblent codés en UTF-8 alors que MSH-18 dit autre chose.",
             _WARN),
    ), option="charset_fallback"),
    Rule("R11", "MSH-21 is a known profile: 1.x V1, 2.0 V2 or 2.1 V2.", "EEE-", "S", f"{_SHEET}, §1.7", (
        Case("", "103", "MSH^1^21", "", "Profil inconnu (MSH-21) : volet CI-SIS 1.2, 2.0 ou 2.1 attendu."),
        Case("absent", "", "MSH^1^21", "", "Profil absent (MSH-21) : déduit du contenu.", _WARN),
    )),
    Rule("R12", "No continuation: MSH-14 empty, no DSC segment.", "EEE-", "P", _SHEET, (
        Case("", "199", "MSH^1^14", "", "Les messages en plusieurs parties ne sont pas pris en charge (MSH-14, DSC)."),
    )),
    Rule("R13", "A MSH-10 is not used again with another content.", "WWWW", "site", "hl7-input §7.7, E13", (
        Case("", "207", "MSH^1^10", "906", "Identifiant de message déjà utilisé avec un autre contenu (MSH-10).",
             header="request-id"),
    ), option="same_control_id_other_content", stage="gateway"),
    Rule("R14", "The fields of MSH are no longer than HL7 allows: MSH-3 to MSH-6 227 characters, MSH-10 199.", "EEEE",
         "site", "HL7 v2.5 §2.15.9, v2.7 §2.14.9", (
        Case("", "102", "MSH^1^{n}", "", "MSH-{n} est plus long que HL7 ne le permet."),
        Case("usual", "102", "MSH^1^10", "", "MSH-10 dépasse les 20 caractères de HL7 v2.5 et v2.6.", Severity.WARN),
    ), stage="gateway"),
    Rule("R15", "A header of a raw CDA's request stands once.", "---E", "site", "decisions D2", (
        Case("", "198", "{what}", "", "En-tête présent plusieurs fois : {what}.", header="{what}"),
    ), stage="gateway"),
    # ------------------------------------------------------------------------------------------------ structure
    Rule("R20", "Required segments are there: PID, OBX; ORC and OBR since 2.1; EVN, PV1, TXA in an MDM.", "EEE-", "S",
         f"{_SHEET}, §1.2, §1.3", (
        Case("", "100", "{segment}^1", "", "Segment obligatoire absent : {segment}."),
        Case("PV1", "", "PV1^1", "", "Segment PV1 absent : le cadre de la prise en charge n'est pas connu.", _WARN),
    )),
    Rule("R21", "PID before ORC before OBR before the first OBX; PRT only after a document OBX.", "EEE-", "S", _SHEET, (
        Case("", "100", "{segment}^{n}", "", "Segment {segment} mal placé."),
        Case("PRT", "100", "PRT^{n}", "", "Segment PRT mal placé : il suit l'OBX du document."),
    )),
    Rule("R22", "An MDM has exactly one document (OBX-2 = ED), an ORU one or two.", "EEE-", "S", _SHEET, (
        Case("", "198", "OBX^{n}^3", "", "Nombre de documents non conforme : un dans un MDM, un ou deux dans un ORU."),
        Case("orders", "198", "ORC^2", "", "Une seule demande (ORC, OBR) par message."),
    )),
    Rule("R23", "Two documents: same OBX-11, same patient, different ids, one N1 and one N3.", "EEE-", "S/P", _SHEET, (
        Case("", "207", "OBX^{n}^11", "906", "Les deux documents ne portent pas la même action (OBX-11)."),
        Case("patient", "207", "OBX^{n}^5^1^5", "906", "Les deux documents ne désignent pas le même patient."),
        Case("id", "207", "OBX^{n}^5^1^5", "906", "Les deux documents portent le même identifiant."),
        Case("level", "207", "OBX^{n}^5^1^5", "906", "Deux documents doivent être un N1 et un N3."),
    )),
    Rule("R24", "Exactly one PID, one message.", "EEE-", "S", _SHEET, (
        Case("", "198", "PID^2", "", "Un message est centré sur un seul patient : un seul segment PID."),
        Case("messages", "198", "MSH^2", "", "Plusieurs messages dans une même trame."),
    )),
    # --------------------------------------------------------------------------------------------------- action
    Rule("R30", "(event, ORC-1, OBX-11) is T02/R01 NW F, T10/R01 RO C, or T04/R01 CA D.", "--E-", "S",
         f"{_SHEET}, §2.3", (
        Case("", "207", "ORC^1^1", "906", "ORC-1/OBX-11/MSH-9 incohérents."),
    )),
    Rule("R31", "Before 2.1 OBX-11 is the action, ORC-1 is ignored; the event must agree.", "EE--", "P", _SHEET, (
        Case("", "207", "OBX^{n}^11", "906", "OBX-11/MSH-9 incohérents."),
    )),
    Rule("R32", "OBX-11 of a document is F, C or D; of a raw CDA's request: initial, replace or delete.", "EEEE", "S",
         _SHEET, (
        Case("", "103", "OBX^{n}^11", "", "Action inconnue : F, C ou D attendu (OBX-11).", header="action"),
    )),
    # ------------------------------------------------------------------------------------------------- document
    Rule("R33", "OBX-2 = ED, OBX-5.4 = Base64 (any case), OBX-5.5 is there.", "EEE-", "S", _SHEET, (
        Case("", "102", "OBX^{n}^2", "", "Le premier OBX doit porter un document (OBX-2 = ED)."),
        Case("encoding", "102", "OBX^{n}^5^1^4", "", "Codage du document inconnu : Base64 attendu (OBX-5.4)."),
        Case("empty", "101", "OBX^{n}^5^1^5", "", "Document absent (OBX-5.5)."),
    )),
    Rule("R34", "The base64 decodes, once normalised.", "EEE-", "P", f"{_SHEET}, §7.5", (
        Case("", "102", "OBX^{n}^5^1^5", "", "Document illisible : base64 invalide."),
        Case("truncated", "102", "OBX^{n}^5^1^5", "", "Document tronqué : base64 incomplet."),
        Case("several", "102", "OBX^{n}^5^1^5", "", "Plusieurs documents dans un même OBX-5."),
    )),
    Rule("R35", "The document is well-formed XML, without DOCTYPE, a ClinicalDocument, within the size limit.", "EEEE",
         "P", f"{_SHEET}, §7.6", (
        Case("", "207", "OBX^{n}^5^1^5", "906", "XML mal formé (ligne {line}, colonne {column})."),
        Case("prefix", "207", "OBX^{n}^5^1^5", "906", "XML mal formé : préfixe d'espace de noms non déclaré."),
        Case("not-xml", "207", "OBX^{n}^5^1^5", "906", "Le contenu n'est pas un document XML."),
        Case("utf-16", "207", "OBX^{n}^5^1^5", "906", "Document codé en UTF-16 ou UTF-32 : UTF-8 attendu."),
        Case("stylesheet", "207", "OBX^{n}^5^1^5", "906",
             "CDA auto-présentable (racine xsl:stylesheet) refusé : transmettre le ClinicalDocument seul."),
        Case("stylesheet-content", "207", "OBX^{n}^5^1^5", "906",
             "CDA auto-présentable : un ClinicalDocument, et un seul, attendu dans la feuille de style."),
        Case("encoding", "207", "OBX^{n}^5^1^5", "906",
             "Codage du document refusé : UTF-8 ou ISO 8859 attendu dans la déclaration XML."),
        Case("doctype", "207", "OBX^{n}^5^1^5", "906", "Document refusé : une déclaration DOCTYPE est interdite."),
        Case("root", "207", "OBX^{n}^5^1^5", "906",
             "Le document n'est pas un CDA : racine ClinicalDocument (urn:hl7-org:v3) attendue."),
        Case("header", "207", "OBX^{n}^5^1^5", "906", "En-tête du document de plus de 1 Mio."),
        Case("size", "207", "OBX^{n}^5^1^5", "906",
             "Document plus grand que la limite de la plateforme ({limit} octets)."),
        Case("message", "207", "", "906", "Message plus grand que la limite de la plateforme ({limit} octets)."),
    ), option="max_cda"),
    Rule("R36", "The CDA is valid against the schema, when the site provides it.", "EEEE", "P", f"{_SHEET}, §6.4", (
        Case("", "207", "OBX^{n}^5^1^5", "906", "Le CDA n'est pas valide selon le schéma XML."),
    ), deletion=_WARN, configurable=True),
    Rule("R37", "The header items that the XDS metadata need are in the CDA.", "EEEE", "P", f"{_SHEET}, §6.1", (
        Case("", "207", "OBX^{n}^5^1^5", "906", "Élément obligatoire de l'en-tête CDA absent : {what}."),
        Case("id", "207", "OBX^{n}^5^1^5", "906", "Élément obligatoire de l'en-tête CDA absent : {what}.", firm=True),
    ), deletion=_WARN),
    Rule("R38", "The dates of the header that leave as metadata are HL7 TS, exist, and are not in the future.", "EEEE",
         "site", "hl7-input §6.2, dmp §2.1", (
        Case("", "207", "OBX^{n}^5^1^5", "906",
             "Date de l'en-tête CDA illisible (AAAAMMJJhhmmss±ZZzz attendu) ou impossible : {what}."),
        Case("birth", "207", "OBX^{n}^5^1^5", "906", "Date de naissance future dans le CDA."),
        Case("future", "", "OBX^{n}^5^1^5", "", "Date future dans l'en-tête CDA : {what}.", _WARN),
    ), deletion=_WARN),
    Rule("R39", "The CDA names one patient: one recordTarget, one patientRole, one patient.", "EEEE", "site",
         "decisions D3, dmp §2.3", (
        Case("", "207", "OBX^{n}^5^1^5", "906",
             "Le CDA nomme plusieurs patients (recordTarget) : un document est celui d'un seul patient."),
    ), deletion=_WARN),
)  # fmt: skip
