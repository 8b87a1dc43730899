"""Rules R23, R33–R39, R54 (the documents themselves), R50–R53 (their type), R60–R64 (their identity and versions)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from router.cda.body import body_fault, media_type
from router.cda.document import Document, missing_items, read
from router.cda.minimal import UID
from router.cda.times import born_in_future, future_times, wrong_times
from router.cisis.findings import Findings
from router.cisis.reading import Reading
from router.cisis.rule import Severity
from router.cisis.settings import ProfileRules
from router.errors import Invalid, Malformed
from router.hl7.base64 import decode_obx
from router.hl7.segment import Segment
from router.request import Action, DocumentHeader, TransmissionRequest

#: OBX-3.3 and the code system it stands for (hl7-input §1.4).
CODING_SYSTEMS: Final = {"LN": "2.16.840.1.113883.6.1", "TRE_A05": "1.2.250.1.213.1.1.4.12"}


#: Rules of the action: while it is in doubt, no document is reproached with what another action would ask of it.
ACTION_RULES: Final = ("R30", "R31", "R32")
#: Value sets -> names of those that were missed, and told.
_LACKS: Final[WeakKeyDictionary[TypeCodes, set[str]]] = WeakKeyDictionary()


class TypeCodes(Protocol):
    """What the checks ask of the value sets: None = that set is not loaded."""

    def contains(self, name: str, code: str) -> bool | None: ...

    def label(self, name: str, code: str) -> str | None: ...


class SchemaCheck(Protocol):
    """The XSD of the CDA, when the site provides it (`router.cda.schema.SchemaGate`).

    Gives the sentences of what is not valid, or raises `Invalid` R36 with them, as the site wants it.
    """

    def check(self, document: Document) -> Sequence[str]: ...


# --------------------------------------------------------------------------------------- R33–R39: the bytes


def documents_of(
    reading: Reading, rules: ProfileRules, findings: Findings, schema: SchemaCheck | None
) -> list[tuple[Document, Segment]]:
    """R33 to R39: every document decoded and read, with its OBX; fewer than were sent when one is at fault."""
    if not reading.documents and reading.message.segments("OBX"):
        findings.add("R33", n=1)
    most = 1 if reading.is_mdm else 2
    found = ((_document(one, rules, findings, schema), one) for one in reading.documents[:most])
    return [(document, segment) for document, segment in found if document is not None]


def _document(segment: Segment, rules: ProfileRules, findings: Findings, schema: SchemaCheck | None) -> Document | None:
    place = segment.index
    if segment.text("2").upper() != "ED":
        findings.add("R33", n=place)
        return None
    if segment.text("5.4").upper() != "BASE64":
        findings.add("R33", "encoding", n=place)
        return None
    if not segment.raw("5.5"):
        findings.add("R33", "empty", n=place)
        return None
    try:
        data = decode_obx(segment)
    except Malformed as fault:
        findings.add_read(fault, fault.place)
        return None
    return document_of(data, rules, findings, schema, n=place)


def document_of(
    data: bytes, rules: ProfileRules, findings: Findings, schema: SchemaCheck | None, *, n: int = 1, raw: bool = False
) -> Document | None:
    """R35 to R39 and R54: a CDA read from its bytes; `raw` for one that came without HL7."""
    place = "CDA" if raw else f"OBX^{n}^5^1^5"
    try:
        document = read(data, limit=rules.max_cda, self_presenting=rules.auto_presentable == "accept")
    except Malformed as fault:
        findings.add_read(fault, place)
        return None
    if schema is not None:
        _check_schema(document, schema, findings, n=n)
    missing = missing_items(document.header)
    if missing:
        nameless = UID in dict(missing)  # nobody can tell which document is meant, not even to delete it
        findings.add("R37", "id" if nameless else "", n=n, what=", ".join(name for name, _ in missing))
    if document.header.patients > 1:
        findings.add("R39", n=n)
    if wrong_body := body_fault(document):
        findings.add("R54", wrong_body, n=n, what=media_type(document.header.media_type))
    wrong = wrong_times(document.header)
    if wrong:
        findings.add("R38", n=n, what=", ".join(name for name, _ in wrong))
    if born_in_future(document.header, findings.today):
        findings.add("R38", "birth", n=n)
    if future := future_times(document.header, findings.today):
        findings.add("R38", "future", n=n, what=", ".join(future))
    return document


def _check_schema(document: Document, schema: SchemaCheck, findings: Findings, *, n: int) -> None:
    """R36: what the gate refuses is a fault, what it only tells is a warning."""
    try:
        if schema.check(document):
            findings.add("R36", n=n, severity=Severity.WARN)
    except Invalid:
        findings.add("R36", n=n)


def check_pair(found: Sequence[tuple[Document, Segment]], findings: Findings) -> None:
    """R23: what two documents of one message have in common, and what they mustn't; told at the second one."""
    if len(found) != 2:
        return
    one, two = (document.header for document, _ in found)
    n = found[1][1].index
    identifiers = [{(i.value, i.authority) for i in header.patient.identifiers} for header in (one, two)]
    if all(identifiers) and identifiers[0].isdisjoint(identifiers[1]):
        findings.add("R23", "patient", n=n)
    if one.id == two.id:
        findings.add("R23", "id", n=n)
    if {one.level, two.level} != {1, 3}:
        findings.add("R23", "level", n=n)


# ---------------------------------------------------------------------------------------- R50–R53: the type


def check_type(
    document: Document, segment: Segment, reading: Reading, sets: TypeCodes, findings: Findings, *, dmp: bool
) -> None:
    """R50 to R53 for one document OBX. A segment that is absent (R20) and a type that is absent (R51) are told once."""
    n, code = segment.index, segment.text("3.1")
    message, header = reading.message, document.header
    differs = bool(code and header.code.code) and header.code.code != code
    if code and reading.is_mdm and "TXA" in message and message.text("TXA-2") != code:
        findings.add("R50", "TXA")
    if code and reading.table.obr_code and "OBR" in message and message.text("OBR-4.1") != code:
        findings.add("R50", "OBR")
    if differs:
        findings.add("R50", "CDA", n=n)
    check_code(code, sets, findings, dmp=dmp, n=n)
    system = CODING_SYSTEMS.get(segment.text("3.3").upper())
    if system is None or (not differs and header.code.system and header.code.system != system):
        findings.add("R53", n=n)


def check_code(code: str, sets: TypeCodes, findings: Findings, *, dmp: bool, n: int = 1) -> None:
    """R51, and R52 when the DMP is asked for."""
    known = sets.contains("JDV_J07", code)
    if known is False:
        findings.add("R51", n=n)
    elif known is None and _first_lack(sets, "JDV_J07"):
        findings.add("R51", "unknown", n=n)
    if dmp and not findings.broke("R51"):  # what J07 lacks, J66 lacks too
        admitted = sets.contains("JDV_J66", code)
        if admitted is False:
            findings.add_dmp("R52", n=n)
        elif admitted is None and _first_lack(sets, "JDV_J66"):
            findings.add("R52", "unknown", n=n)


def labelled(request: TransmissionRequest, sets: TypeCodes) -> TransmissionRequest:
    """The same, each type with its label of JDV_J07 where the CDA gives the code alone (mssante §1.3)."""
    if all(header.code.label for header in request.documents):
        return request
    documents = tuple(_labelled(header, sets) for header in request.documents)
    return request.model_copy(update={"documents": documents})


def _labelled(header: DocumentHeader, sets: TypeCodes) -> DocumentHeader:
    label = header.code.label or sets.label("JDV_J07", header.code.code) or ""
    return header.model_copy(update={"code": header.code.model_copy(update={"label": label})})


def _first_lack(sets: TypeCodes, name: str) -> bool:
    """Whether this is the first time that this set is missed: a process warns once, not with each document."""
    told = _LACKS.setdefault(sets, set())
    first = name not in told
    told.add(name)
    return first


# ------------------------------------------------------------------------------------ R60–R64: the identity


def check_txa(principal: Document, reading: Reading, action: Action | None, findings: Findings) -> None:
    """R60, R61, R63: the TXA of an MDM against its document."""
    message, header = reading.message, principal.header
    if not reading.is_mdm or "TXA" not in message:
        return
    received = _entity(message.segments("TXA")[0], 12)
    if not received[0]:
        findings.add("R60", "absent")
    elif not _same_id(received, header.uid, header.extension):
        findings.add("R60")
    elif not _well_formed(received, header.extension):
        findings.add("R60", "form")
    if action is Action.REPLACE and not findings.broke(*ACTION_RULES):
        _check_parent(_entity(message.segments("TXA")[0], 13), principal, findings)
    for field, values in ((1, {"1"}), (3, {"TEXT"}), (17, {"AU", "LA"})):
        if message.text(f"TXA-{field}").upper() not in values:
            findings.add("R63", field=field)


def _check_parent(received: tuple[str, str, str], principal: Document, findings: Findings) -> None:
    if not received[0]:
        findings.add("R61", "absent")
        return
    parents = [parent.partition("^") for parent in principal.predecessors]
    if parents and not any(_same_id(received, root, extension) for root, _, extension in parents):
        findings.add("R61")


def _entity(segment: Segment, field: int) -> tuple[str, str, str]:
    """(EI-1, EI-2, EI-3) of TXA-12 or TXA-13."""
    return segment.text(f"{field}.1"), segment.text(f"{field}.2"), segment.text(f"{field}.3")


def _same_id(received: tuple[str, str, str], root: str, extension: str) -> bool:
    """Whether an EI names the CDA's id, in the volet's form or in one that is tolerated (R60)."""
    number, _, system = received
    if not extension:
        return number == root
    if system:
        return (number, system) == (extension, root)
    return number in (f"{root}.{extension}", f"{root}^{extension}")


def _well_formed(received: tuple[str, str, str], extension: str) -> bool:
    """The volet's own form: extension in EI-1 and root in EI-3, or the root alone; EI-2 empty."""
    return not received[1] and bool(received[2]) is bool(extension)


def check_versions(
    found: Sequence[tuple[Document, int]], action: Action | None, findings: Findings, *, lenient: bool
) -> None:
    """R62: what the CDA says it replaces. `lenient`: the second document of an old sender's pair may say nothing."""
    documents = [document for document, _ in found]
    if findings.broke(*ACTION_RULES):
        return
    for rank, (document, n) in enumerate(found):
        parents = document.predecessors
        if action is Action.INITIAL and parents:
            findings.add("R62", "initial", n=n)
        if action is not Action.REPLACE:
            continue
        if document.header.id in parents:
            findings.add("R62", "itself", n=n)
        elif not parents and lenient and len(documents) == 2 and _other_replaces(documents, rank):
            findings.add("R62", "twin", n=n)
        elif len(parents) != 1:
            findings.add("R62", n=n)


def _other_replaces(documents: Sequence[Document], rank: int) -> bool:
    return any(len(other.predecessors) == 1 for at, other in enumerate(documents) if at != rank)


def check_extension(document: Document, rules: ProfileRules, findings: Findings, *, n: int, mdm: bool) -> None:
    """R64, when the DMP is asked for: it knows documents by OID only."""
    extension = document.header.extension
    if not extension:
        return
    if rules.dmp_id_extension == "concat" and extension.isdecimal() and (extension == "0" or extension[0] != "0"):
        return
    findings.add_dmp("R64", "" if mdm else "ORU", n=n)


def check_confidentiality(document: Document, rules: ProfileRules, findings: Findings, *, n: int = 1) -> None:
    """R90, when the DMP is asked for: R and V should not be shared."""
    if document.header.confidentiality.code not in ("R", "V"):
        return
    if rules.r90 == "hold":
        findings.hold_dmp("R90", n=n)
    else:
        findings.add("R90", n=n, severity=Severity.ERROR if rules.r90 == "refuse" else Severity.WARN)


def replaced(principal: Document, reading: Reading) -> str:
    """The id of the document that a replacement replaces: the CDA's own word, else TXA-13."""
    if principal.header.replaces:
        return principal.header.replaces
    number, _, root = _entity(reading.message.segments("TXA")[0], 13) if "TXA" in reading.message else ("", "", "")
    return f"{root}^{number}" if root else number
