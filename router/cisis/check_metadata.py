"""Rules R70–R75 (metadata of the volet) and R87, R89, R91, R94 (what masks and destinations allow together)."""

from __future__ import annotations

from collections import Counter
from typing import Final

from router.cisis.dialects import ACKNOWLEDGEMENTS, BODIES, DESTINATIONS, MASKS
from router.cisis.findings import Findings
from router.cisis.reading import Metadatum, Reading
from router.cisis.rule import Severity
from router.cisis.settings import ProfileRules
from router.errors import Malformed
from router.hl7.base64 import decode_tolerant
from router.request import Masks

REQUIRED: Final = (*MASKS, *DESTINATIONS)
YES_NO: Final = (*REQUIRED, *ACKNOWLEDGEMENTS)

#: The volet's matrix of MSSanté (hl7-input §2.4): one row per line; a missing name is either Y or N.
MATRIX: Final[tuple[dict[str, bool], ...]] = (
    {
        "MASQUE_PS": False,
        "INVISIBLE_PATIENT": False,
        "INVISIBLE_REP_LEGAUX": False,
        "DESTMSSANTEPS": True,
        "DESTMSSANTEPAT": True,
    },
    {
        "MASQUE_PS": False,
        "INVISIBLE_PATIENT": True,
        "INVISIBLE_REP_LEGAUX": False,
        "DESTMSSANTEPS": True,
        "DESTMSSANTEPAT": False,
    },
    {
        "INVISIBLE_PATIENT": False,
        "CONNEXION_SECRETE": False,
        "DESTDMP": False,
        "DESTMSSANTEPS": False,
        "DESTMSSANTEPAT": True,
    },
)


def check_metadata(reading: Reading, rules: ProfileRules, findings: Findings) -> None:
    """R70 to R74. A message without any OBX is told so once (R20)."""
    if "OBX" not in reading.message:
        return
    _check_presence(reading, findings)
    _check_order(reading, rules, findings)
    expected = "CWE" if reading.is_mdm else "CE"
    for one in reading.metadata:
        if one.name in YES_NO:
            _check_value(one, expected, findings)
        elif one.name not in BODIES and one.name not in reading.table.ignored:
            findings.add("R74", n=one.n)


def _check_presence(reading: Reading, findings: Findings) -> None:
    counted = Counter(one.name for one in reading.metadata)
    for name in REQUIRED:
        if not counted[name]:
            findings.add("R70", what=name, severity=_of_a_mask(name, findings))
    for name in ACKNOWLEDGEMENTS:
        if name in reading.table.metadata and not counted[name]:
            findings.add("R70", "optional", what=name)
    seen: set[str] = set()
    for one in reading.metadata:
        if one.name in seen and one.name in (*YES_NO, *BODIES):
            findings.add("R70", "duplicate", n=one.n, what=one.name, severity=_of_a_mask(one.name, findings))
        seen.add(one.name)


def _check_order(reading: Reading, rules: ProfileRules, findings: Findings) -> None:
    """The first metadata that stands behind one it should precede."""
    ranks = {name: rank for rank, name in enumerate(reading.table.metadata)}
    severity = Severity.ERROR if rules.metadata_order == "strict" and reading.table.order_is_a_rule else None
    highest = -1
    for one in reading.metadata:
        rank = ranks.get(one.name)
        if rank is None:
            continue
        if rank < highest:
            findings.add("R71", n=one.n, what=one.name, severity=severity)
            return
        highest = rank


def _check_value(one: Metadatum, expected: str, findings: Findings) -> None:
    if one.value.upper() not in ("Y", "N"):
        findings.add("R72", n=one.n, what=one.name, severity=_of_a_mask(one.name, findings))
    elif not one.well_written:
        findings.add("R72", "tolerated", n=one.n, what=one.name)
    if one.segment.text("2").upper() != expected:
        findings.add("R73", n=one.n, what=one.name)


def _of_a_mask(name: str, findings: Findings) -> Severity | None:
    """Masks never hold back a deletion, so their form doesn't either (D1): it only warns."""
    return Severity.WARN if findings.deletion and name in MASKS else None


def masks_of(reading: Reading) -> Masks:
    """The five visibility metadata."""
    return Masks(**{name.lower(): reading.yes(name) for name in MASKS})


def body(reading: Reading, name: str, findings: Findings) -> str | None:
    """R75: the text of CORPSMAIL_PS or CORPSMAIL_PATIENT; None when absent or unreadable."""
    found = reading.first(name)
    if found is None:
        return None
    if found.segment.text("5.4").upper() != "BASE64":
        return plain(found.segment.text("5.5")) or None
    try:
        raw, truncated = decode_tolerant(found.segment.raw("5.5"), separators=reading.message.separators)
    except Malformed:
        findings.add("R75", "unreadable", n=found.n, what=name)
        return None
    if truncated:
        findings.add("R75", n=found.n, what=name)
    if not is_utf8(raw):
        findings.add("R75", "charset", n=found.n, what=name)
    return plain(text_of(raw)) or None


def text_of(raw: bytes) -> str:
    """A mail body's text: UTF-8, an incomplete last character dropped; else windows-1252, which most software means."""
    return raw.decode("utf-8", "ignore") if is_utf8(raw) else raw.decode("cp1252", "replace")


def is_utf8(raw: bytes) -> bool:
    """Whether it is UTF-8, whole or cut within its last character."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def plain(text: str) -> str:
    """Line ends as `\\n`, no other control character: a body can't become a header (E45)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter for letter in lines if letter.isprintable() or letter in "\n\t")


def check_combination(values: dict[str, bool], places: dict[str, int], rules: ProfileRules, findings: Findings) -> None:
    """R87, R89, R91, R94. `values`: every mask and destination; `places`: occurrence of its OBX, by name."""
    professionals, patient = values["DESTMSSANTEPS"], values["DESTMSSANTEPAT"]
    if values["INVISIBLE_PATIENT"] and patient:
        findings.add("R87", n=places.get("DESTMSSANTEPAT", 1))
    if values["MASQUE_PS"] and professionals and rules.r89 == "refuse":
        findings.add("R89", n=places.get("DESTMSSANTEPS", 1))
    if not (values["DESTDMP"] or professionals or patient):
        if not rules.local_consumer and not findings.broke("R70", "R72", "R20"):
            findings.add("R91", n=places.get("DESTDMP", 1))
        return
    outside = (professionals or patient) and not any(_matches(row, values) for row in MATRIX)
    if outside and rules.matrice_mssante != "off" and not findings.broke("R87", "R89"):
        severity = Severity.ERROR if rules.matrice_mssante == "strict" else Severity.WARN
        findings.add("R94", n=places.get("DESTMSSANTEPS" if professionals else "DESTMSSANTEPAT", 1), severity=severity)


def _matches(row: dict[str, bool], values: dict[str, bool]) -> bool:
    return all(values[name] is wanted for name, wanted in row.items())
