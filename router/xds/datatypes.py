"""The data types of XDS metadata values (dmp §2.1; IHE ITI TF-3 §4.2.3.1).

Every function is pure and gives the text *before* XML escaping. Text that a person wrote has its HL7 delimiters
escaped, and is shortened where the whole would not fit in a slot value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import zip_longest
from typing import Final

from router.cda.oids import PROFESSIONALS, STRUCTURES
from router.errors import Invalid
from router.request import Author, Device, Patient, Professional, Structure

SLOT_LIMIT: Final = 256
"""Characters of a slot value (LongName of ebXML RIM 3.0)."""
TITLE_LIMIT: Final = 128
OID_LIMIT: Final = 64

_TS: Final = re.compile(r"(\d{4}(?:\d\d){0,5})(?:\.\d+)?([+-]\d{4})?", re.ASCII)
_DTM_FORMATS: Final = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+", re.ASCII)
_ESCAPES: Final = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_UNSAFE: Final = re.compile(r"[\\|^&~\x00-\x1f\x7f]|\s\s|[^\S ]|^\s|\s$")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f]+")


# ------------------------------------------------------------------------------------------- times and numbers


@lru_cache(maxsize=512)
def dtm(value: str, zone: tzinfo | None = None, *, place: str = "") -> str:
    """An HL7 TS as a DTM: UTC, digits only, as precise as it was. A date without time stays that date.

    `zone` is assumed for a time that carries no offset; None refuses it. Raises `Invalid` `XDS-DTM`.
    """
    match = _TS.fullmatch(value)
    if match is None:
        raise Invalid("XDS-DTM", place, "date ou heure illisible")
    digits, offset = match.groups()
    if len(digits) <= 8:
        return digits
    if offset is None and zone is None:
        raise Invalid("XDS-DTM", place, "heure sans décalage par rapport à UTC")
    try:
        fields = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2))]
        local = datetime(*fields)  # type: ignore[arg-type]  # at most six
        if offset is None:
            moment = local.replace(tzinfo=zone).astimezone(UTC)
        else:
            minutes = int(offset[1:3]) * 60 + int(offset[3:5])
            moment = local - timedelta(minutes=minutes if offset[0] == "+" else -minutes)
    except (ValueError, OverflowError):
        raise Invalid("XDS-DTM", place, "date ou heure impossible") from None
    precision = 12 if len(digits) == 10 and moment.minute else len(digits)  # an offset may hold minutes
    return moment.strftime(_DTM_FORMATS[precision])


def dtm_of(seconds: float) -> str:
    """Unix seconds as a DTM of 14 digits."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def is_oid(text: str) -> bool:
    """Whether the text is an OID that XDS accepts: at most 64 characters, no leading zero."""
    return len(text) <= OID_LIMIT and _OID.fullmatch(text) is not None


def oid_of(delivery_id: str, purpose: str) -> str:
    """An OID of ours, the same at each call: `2.25.` + the integer of a UUID drawn from both texts."""
    digest = hashlib.sha256(f"{delivery_id}|{purpose}".encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF000 << 64) | 0x8000 << 64  # version 8, RFC 9562 §5.8
    number = number & ~(0xC000 << 48) | 0x8000 << 48  # variant
    return f"2.25.{number}"


# -------------------------------------------------------------------------------------------------------- text


def escape(text: str) -> str:
    r"""Text as a component: `\E\`, `\F\`, `\S\`, `\T\`, `\R\` for the delimiters; line breaks become blanks."""
    if _UNSAFE.search(text) is None:
        return text
    return _BLANKS.sub(" ", text).strip().translate(_ESCAPES)


def title(text: str) -> str:
    """A title: one line of at most 128 characters."""
    line = _BLANKS.sub(" ", text).strip()
    return line if len(line) <= TITLE_LIMIT else line[: TITLE_LIMIT - 1].rstrip() + "…"


def fitted(*parts: str) -> str:
    """A slot value: `parts` are in turn fixed text and free text, the fixed ones at even places.

    Free text is escaped; the longest of it is shortened until the value has at most 256 characters.
    """
    pieces = list(parts)
    pieces[1::2] = map(escape, parts[1::2])
    value = "".join(pieces)
    return value if len(value) <= SLOT_LIMIT else _shortened(parts[0::2], list(parts[1::2]))


def _shortened(fixed: Sequence[str], free: list[str]) -> str:
    """Less and less of the longest free text, until all of it fits."""
    while True:
        value = "".join(piece for pair in zip_longest(fixed, map(escape, free), fillvalue="") for piece in pair)
        excess = len(value) - SLOT_LIMIT
        longest = max(range(len(free)), key=lambda index: len(free[index]))
        if excess <= 0 or not free[longest]:
            return value[:SLOT_LIMIT]
        # an escape takes three characters: a third of the excess never cuts too much
        free[longest] = free[longest][: -max(1, excess // 3)]


# ------------------------------------------------------------------------------------------------- identifiers


def cx(value: str, authority: str, kind: str) -> str:
    """CX: `value^^^&authority&ISO^kind`; CX.7 and CX.8 stay empty (dmp §2.1)."""
    return fitted("", value, f"^^^&{escape(authority)}&ISO^{escape(kind)}")


def ps_id_nat(number: str, kind: str) -> tuple[str, str]:
    """(PS_IdNat, XCN.13) of a number as PRT-5 or the CDA writes it: a bare RPPS gets its prefix 8."""
    if "/" in number:
        return number, "EI"
    if kind in {"RPPS", "IDNPS", ""} and re.fullmatch(r"\d{11}", number):
        return f"8{number}", "IDNPS"
    if kind == "ADELI" and len(number) == 9:
        return f"0{number}", "IDNPS"
    return number, "IDNPS" if kind in {"", "RPPS", "ADELI"} else kind


def struct_id_nat(structure: Structure) -> str:
    """Struct_IdNat: a FINESS of 9 characters (which may hold letters) gets its prefix 1; '' when unknown."""
    number = structure.id
    if structure.finess and (structure.kind not in {"IDNST", ""} or not number):
        return f"1{structure.finess}"
    if structure.kind in {"FINEG", "FINEJ"} and len(number) == 9:
        return f"1{number}"
    return number


def xcn(person: Professional) -> str:
    """A professional: `id^Nom^Prénom^^^^^^&oid&ISO^D^^^IDNPS`."""
    number, kind = ps_id_nat(person.id, person.kind)
    return fitted(
        f"{escape(number)}^", person.family, "^", person.given, f"^^^^^^&{PROFESSIONALS}&ISO^D^^^{escape(kind)}"
    )


def xcn_device(device: Device) -> str:
    """A piece of software: its name and model stand in the place of names, XCN.10 is `U`, XCN.13 `RI`.

    The DMP wants each of them: the name stands for a model that nobody gives, and for an authority that nobody
    names the national one of persons and systems (dmp §2.1; PDSM4DMP of the ANS, "AuthorPersonSystem").
    """
    name, model = device.name or device.model or device.id, device.model or device.name or device.id
    authority = device.authority if is_oid(device.authority) else PROFESSIONALS
    return fitted(f"{escape(device.id)}^", name, "^", model, f"^^^^^^&{authority}&ISO^U^^^RI")


def author_person(author: Author) -> str:
    """XCN of whoever made it, person before software; '' when neither is known."""
    if author.person is not None:
        return xcn(author.person)
    return xcn_device(author.device) if author.device is not None else ""


def xon(structure: Structure) -> str:
    """An organisation: `Nom^^^^^&oid&ISO^IDNST^^^Struct_IdNat`; the name alone when it has no number."""
    number = struct_id_nat(structure)
    if not number:
        return fitted("", structure.name)
    return fitted("", structure.name, f"^^^^^&{STRUCTURES}&ISO^IDNST^^^{escape(number)}")


def specialty(value: tuple[str, str, str]) -> str:
    """`code^libellé^oid`."""
    code, label, system = value
    return fitted(f"{escape(code)}^", label, f"^{escape(system)}")


def source_patient_info(patient: Patient) -> tuple[str, ...]:
    """The slot values PID-5 (one per name: L birth, D used), PID-7 and PID-8."""
    names = [("L", patient.birth_family)]
    if patient.used_family and patient.used_family != patient.birth_family:
        names.append(("D", patient.used_family))
    values = [
        fitted("PID-5|", family, "^", patient.given, f"^^^^^{kind}")
        for kind, family in names
        if family or patient.given
    ]
    if patient.birth_date:
        values.append(f"PID-7|{patient.birth_date[:8]}")
    if patient.sex:
        values.append(f"PID-8|{escape(patient.sex)}")
    return tuple(values)
