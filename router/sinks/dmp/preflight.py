"""What is checked before any call, at the moment of sending (dmp §6; decisions D1, D2, D9).

The codes of these refusals begin with `PFI-`: they are ours, not the DMP's. A deletion isn't held up by form: it
needs the right patient and an identifier the DMP can find (decisions D1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from router.cisis import ins
from router.cisis.valuesets import ValueSets
from router.errors import Refused, Unavailable
from router.language import filled
from router.payload import DocumentOrder
from router.request import Action, DocumentHeader, TransmissionRequest
from router.sinks.dmp.settings import DmpConfig
from router.sinks.tools import shipped
from router.structures import Environment
from router.xds import datatypes
from router.xds.tables import Tables


@dataclass(frozen=True, slots=True)
class Moment:
    """What the checks look at besides the message."""

    config: DmpConfig
    codes: Tables
    environment: Environment
    now: float
    value_sets: ValueSets = field(default_factory=shipped, repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery as the checks see it."""

    order: DocumentOrder
    documents: Sequence[bytes | memoryview] = field(repr=False)

    @property
    def request(self) -> TransmissionRequest:
        return self.order.request


Check = Callable[[Case, Moment], None]


def check(case: Case, moment: Moment) -> None:
    """Raises `Refused` `PFI-…`, or `Unavailable` for a document dated a little ahead of our clock."""
    deleting = case.request.action is Action.DELETE
    for one in ALWAYS if deleting else (*ALWAYS, *FEEDING):
        one(case, moment)


# ------------------------------------------------------------------------------------- for every action, delete too


def _asked(case: Case, _: Moment) -> None:
    """dmp §6.1: DESTDMP = Y. A pipeline never widens a request (D5)."""
    if not case.request.dmp:
        raise Refused("PFI-DESTDMP", "OBX", "l'émetteur n'a pas demandé l'envoi au DMP")
    if case.request.dmp_inadmissible is not None:
        rule, reason = case.request.dmp_inadmissible
        raise Refused(f"PFI-{rule}", "OBX", reason)
    if not case.request.documents or len(case.documents) != len(case.request.documents):
        raise Refused("PFI-DOCUMENT", "OBX", "la demande ne porte aucun document")


def _own_structure(case: Case, _: Moment) -> None:
    """D11: the VIHF is signed with the number of the site's own structure, whatever the message says."""
    own, sender = case.order.structure, case.request.sender
    named = datatypes.struct_id_nat(sender.structure) if sender and sender.structure else ""
    if own is not None and own.finess and named and named != own.id_nat:
        raise Refused("PFI-STRUCTURE", "PRT-8", "la structure émettrice n'est pas celle du site")


def _qualified(case: Case, moment: Moment) -> None:
    """dmp §6.2–6.4: a qualified INS, well formed, whose OID belongs to this environment, both ways (D9)."""
    identity = case.request.patient.ins
    if identity is None:
        raise Refused("PFI-INS", "PID-3", "identité du patient non qualifiée")
    if not ins.is_ins(identity):
        raise Refused("PFI-INS-OID", "PID-3", "l'autorité d'affectation n'est pas celle d'une INS")
    fault = ins.environment_fault(identity, moment.environment)
    if fault:
        raise Refused("PFI-INS-OID", "PID-3", fault)
    if not ins.has_valid_key(identity.value):
        raise Refused("PFI-INS-KEY", "PID-3", "clé de l'INS incorrecte")


def _same_patient(case: Case, _: Moment) -> None:
    """dmp §6.5: the INS of the request is that of each document, OID and matricule.

    The document of a deletion may lack it (D1): the INS of the message, then that of the deposit, say whose it is.
    """
    identity = case.request.patient.ins
    for header in case.request.documents:
        named = header.patient.ins
        if named is None and case.request.action is Action.DELETE:
            continue
        if named is None or identity is None:
            raise Refused("PFI-INS-CDA", "recordTarget", "le document ne porte pas l'INS du patient")
        if (named.authority, named.value) != (identity.authority, identity.value):
            raise Refused("PFI-INS-CDA", "recordTarget", "l'INS du document n'est pas celle de la demande")


def _identifiers(case: Case, _: Moment) -> None:
    """dmp §6.8: the DMP knows documents by an OID alone."""
    for header in case.request.documents:
        if header.extension:
            raise Refused("PFI-EXTENSION", "id", "le DMP n'accepte pas d'identifiant de document avec extension")
        if not datatypes.is_oid(header.uid):
            raise Refused("PFI-ID", "id", "l'identifiant du document n'est pas un OID")
    ids = [header.uid for header in case.request.documents]
    if len(set(ids)) != len(ids):
        raise Refused("PFI-ID", "id", "les deux documents portent le même identifiant")


# ------------------------------------------------------------------------------------------------ to feed only


def _ins_first(case: Case, _: Moment) -> None:
    """dmp §2.3: patientId is the INS, and the DMP compares it with the first id of recordTarget."""
    for header in case.request.documents:
        if header.patient.ins is not None and header.patient.identifiers[:1] != (header.patient.ins,):
            raise Refused("PFI-INS-FIRST", "recordTarget", "l'INS n'est pas le premier identifiant du patient")


def _one_patient(case: Case, _: Moment) -> None:
    """R39: a document that names several patients is filed under none."""
    if any(header.patients > 1 for header in case.request.documents):
        raise Refused("PFI-R39", "recordTarget", "le document nomme plusieurs patients")


def _action(case: Case, _: Moment) -> None:
    """dmp §6.9: a predecessor if and only if the action is a replacement; a new version has a new id (dmp §10.15)."""
    replacing = case.request.action is Action.REPLACE
    principal = case.request.principal
    if replacing and not (principal.replaces or case.request.replaces):
        raise Refused("PFI-ACTION", "relatedDocument", "remplacement sans identifiant du document remplacé")
    for header in case.request.documents:
        if header.replaces and not replacing:
            raise Refused("PFI-ACTION", "relatedDocument", "le document en remplace un autre, la demande non")
        if header.replaces == header.id:
            raise Refused("PFI-SAME-ID", "relatedDocument", "la nouvelle version porte l'identifiant de l'ancienne")
        if "^" in header.replaces:
            raise Refused("PFI-EXTENSION", "relatedDocument", "identifiant du document remplacé avec extension")


def _intact(case: Case, moment: Moment) -> None:
    """The bytes are those whose header was read; and not too many."""
    for header, data in zip(case.request.documents, case.documents, strict=True):
        if len(data) > moment.config.max_document_bytes:
            text = filled("document de plus de {limit} octets", limit=moment.config.max_document_bytes)
            raise Refused("PFI-SIZE", "OBX-5", text)
        if len(data) != header.size or hashlib.sha1(data, usedforsecurity=False).hexdigest() != header.sha1:
            raise Refused("PFI-HASH", "OBX-5", "les octets du document ont changé depuis sa réception")


def _dated(case: Case, moment: Moment) -> None:
    """dmp §6.10: document ≤ submission ≤ VIHF. A clock a little ahead of ours: we wait as long."""
    zone = ZoneInfo(moment.config.naive_time) if moment.config.naive_time else None
    for header in case.request.documents:
        ahead = _begin(datatypes.dtm(header.effective_time, zone, place="effectiveTime")) - moment.now
        if ahead > moment.config.max_future:
            raise Refused("PFI-FUTURE", "effectiveTime", "le document est daté du futur")
        if ahead > 0:
            text = "document daté de quelques secondes en avance"
            raise Unavailable("PFI-FUTURE", "effectiveTime", text, circuit=False, retry_after=ahead)


def _coded(case: Case, moment: Moment) -> None:
    """dmp §6.7 and §6.11: formatCode taken by the DMP, class known, body of one of the five media types."""
    for header in case.request.documents:
        found = moment.codes.format_of(header)
        if found is None:
            raise Refused("PFI-MEDIA", "nonXMLBody", "type de contenu que le DMP n'accepte pas")
        if not moment.codes.in_dmp(found.code):
            raise Refused("PFI-FORMAT", "templateId", "modèle de document que le DMP n'accepte pas")
        if moment.codes.class_of(header.code.code) is None and not moment.config.default_class:
            raise Refused("PFI-CLASS", "code", "type de document sans classe connue")


def _in_value_sets(case: Case, moment: Moment) -> None:
    """dmp §6.7: healthcareFacilityTypeCode in JDV_J61, practiceSettingCode in JDV_J62, with their code systems."""
    for header in case.request.documents:
        for place, name, code in (
            ("healthCareFacility", "JDV_J61", header.facility_type),
            ("standardIndustryClassCode", "JDV_J62", header.practice_setting),
        ):
            if code is None:
                raise Refused("PFI-METADATA", place, "le document ne donne pas cette métadonnée requise par le DMP")
            if moment.value_sets.contains(name, code.code, code.system) is False:
                text = filled("code hors du jeu de valeurs {name} du DMP", name=name)
                raise Refused("PFI-VALUE-SET", place, text)


def doubts(case: Case, moment: Moment) -> str:
    """What passes without a proof, in one sentence: codes that our value sets take for members; '' when none."""
    found = {
        name: code.code
        for header in case.request.documents
        for name, code in (("JDV_J61", header.facility_type), ("JDV_J62", header.practice_setting))
        if code is not None and moment.value_sets.unverified(name, code.code)
    }
    return " ; ".join(
        filled("{code} : présence non vérifiée dans {name}", code=found[name], name=name) for name in found
    )


def _ours(case: Case, _: Moment) -> None:
    """dmp §2.3, §5.1: one author at least is of the structure that the VIHF names; the DMP refuses the others."""
    own = case.order.structure
    for header in case.request.documents:
        named = {datatypes.struct_id_nat(one.structure) for one in header.authors if one.structure}
        if own is not None and own.finess and own.id_nat not in named:
            raise Refused("PFI-AUTHOR-STRUCTURE", "author", "aucun auteur n'est de la structure émettrice")


def _complete(case: Case, _: Moment) -> None:
    """dmp §6.10 and PDT-INF-617: a legal authenticator and authors, with name and given name."""
    for header in case.request.documents:
        if header.legal_authenticator is None:
            raise Refused("PFI-LEGAL", "legalAuthenticator", "le document n'est pas validé par un responsable légal")
        signer = header.legal_authenticator.person
        if signer is None or not (signer.family and signer.given):
            raise Refused("PFI-LEGAL", "legalAuthenticator", "nom ou prénom du responsable légal absent")
        _named(header)


def _named(header: DocumentHeader) -> None:
    if not header.authors:
        raise Refused("PFI-AUTHOR", "author", "le document n'a pas d'auteur")
    for author in header.authors:
        if author.person is not None and not (author.person.family and author.person.given):
            raise Refused("PFI-AUTHOR", "author", "nom ou prénom d'un auteur absent")


def _confidential(case: Case, moment: Moment) -> None:
    """dmp §2.7 and §6.13 (EX_2.1-1050): combinations that the DMP refuses; R and V shouldn't be shared."""
    masks = case.request.masks
    if masks.masque_ps and masks.invisible_patient:
        raise Refused("PFI-MASKS", "OBX", "MASQUE_PS et INVISIBLE_PATIENT ne peuvent pas aller ensemble")
    if masks.connexion_secrete and not masks.invisible_rep_legaux:
        raise Refused("PFI-SECRET", "OBX", "connexion secrète sans masquage aux représentants légaux")
    if moment.config.restricted == "refuse":
        for header in case.request.documents:
            if header.confidentiality.code in ("R", "V"):
                raise Refused("PFI-RESTRICTED", "confidentialityCode", "document restreint : ne pas le partager")


ALWAYS: Final[tuple[Check, ...]] = (_asked, _own_structure, _qualified, _same_patient, _identifiers)
FEEDING: Final[tuple[Check, ...]] = (
    *(_one_patient, _ins_first, _action, _intact, _dated, _coded, _in_value_sets, _complete, _ours, _confidential),
)


def _begin(dtm: str) -> float:
    """Unix seconds of the beginning of a DTM (UTC); a bare date begins where the day begins first (UTC+14)."""
    padded = dtm + "00000101000000"[len(dtm) :]
    seconds = datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    return seconds if len(dtm) > 8 else seconds - 14 * 3600
