"""The MSH line, read before anything else can be: separators (MSH-1, MSH-2) and character set (MSH-18).

Sources: HL7 v2.5 §2.5.4 and §2.16.9 (MSH), table 0211 (character sets); hl7-input §7.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from router.errors import Malformed

#: MSH-18 (upper case) -> Python codec. "" means: UTF-8 if the bytes are, else 8859/15 (hl7-input §7.3).
CHARSETS: Final[dict[str, str]] = {
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "8859/15": "iso8859-15",
    "8859/1": "latin-1",
    "ASCII": "",
    "": "",
}

BOM: Final = b"\xef\xbb\xbf"
_CHARSET_FORM: Final = re.compile(rb"[\w/ .:-]*")
_NEEDED: Final = 18
"""Fields of MSH that are cut here: up to MSH-18."""
FOREIGN_BYTES: Final = "Le contenu n'est pas codé dans le jeu de caractères annoncé (MSH-18)."
_BATCH: Final = (b"FHS", b"BHS", b"BTS", b"FTS")


class Unreadable(Malformed):
    """Not readable as one HL7 v2 message. `condition` is the ERR-3 code of the answer (table 0357)."""

    def __init__(self, code: str, condition: str, place: str = "", text: str = "") -> None:
        super().__init__(code, place, text)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class Separators:
    """The declared delimiters, as they stand in the bytes of this message. "" where MSH-2 declares none."""

    field: bytes = b"|"
    component: bytes = b"^"
    repetition: bytes = b"~"
    escape: bytes = b"\\"
    subcomponent: bytes = b"&"
    truncation: bytes = b""

    def texts(self, codec: str) -> tuple[str, str, str, str, str, str]:
        """The same as characters: field, component, repetition, escape, sub-component, truncation."""
        pieces = (self.field, self.component, self.repetition, self.escape, self.subcomponent, self.truncation)
        return tuple(piece.decode(codec) for piece in pieces)  # type: ignore[return-value]


DEFAULT: Final = Separators()


@dataclass(frozen=True, slots=True)
class Header:
    """What the MSH line says of the rest. `codec`: Python's name of what the bytes are in."""

    separators: Separators
    charset: str
    codec: str


def read(line: bytes, settle: Callable[[str], str]) -> Header:
    """Read an MSH line (without BOM and line end).

    settle: given the codec that MSH-18 names ("" when it leaves it open), gives the one to read with.
    Raises `Unreadable`: R01 (100) when it is no MSH with distinct separators and 12 fields, R02 (200) for a
    batch header, R10 (103 or 102) for an unknown character set or a MSH-2 that is not in it.
    """
    if line[:3] in _BATCH:
        raise Unreadable("R02", "200", "", "Les lots (FHS, BHS) ne sont pas acceptés : un message par trame.")
    if line[:3] != b"MSH" or len(line) < 8:
        raise Unreadable("R01", "100", "", "La trame ne commence pas par un segment MSH lisible.")
    field = _first_character(line[3:7])
    parts = line.split(field, _NEEDED)
    if len(parts) < 12:
        raise Unreadable("R01", "100", "MSH^1", "Le segment MSH a moins de 12 champs.")
    charset = _declared(parts)
    codec = CHARSETS.get(charset.upper())
    if codec is None:
        raise Unreadable("R10", "103", "MSH^1^18", "Jeu de caractères inconnu (MSH-18).")
    codec = settle(codec)
    return Header(_separators(field, parts[1], codec), charset, codec)


def glimpse(line: bytes, settle: Callable[[str], str]) -> Header | None:
    """As `read`, but never raises and asks for nothing but `MSH`: enough to answer a message we can't read."""
    if line[:3] != b"MSH" or len(line) < 4:
        return None
    try:
        field = _first_character(line[3:7])
        parts = line.split(field, _NEEDED)
        charset = _declared(parts)
        codec = settle(CHARSETS.get(charset.upper(), ""))
        return Header(_separators(field, parts[1] if len(parts) > 1 else b"", codec), charset, codec)
    except Unreadable:
        usable = line[3] < 0x80 and not _unfit(chr(line[3])) and line[3:4] not in b"^~\\&"
        return Header(Separators(field=line[3:4]) if usable else DEFAULT, "", settle(""))


def _first_character(raw: bytes) -> bytes:
    """MSH-1 in its own bytes; beyond ASCII it is taken as UTF-8, else as one byte."""
    if raw[0] < 0x80:
        return raw[:1]
    character = raw.decode("utf-8", "ignore")[:1]
    return character.encode() if character and raw.startswith(character.encode()) else raw[:1]


def _declared(parts: list[bytes]) -> str:
    """First repetition of MSH-18, as ASCII."""
    if len(parts) < 18:
        return ""
    found = _CHARSET_FORM.match(parts[17])
    return found.group().decode("ascii").strip() if found else ""


def _separators(field: bytes, declared: bytes, codec: str) -> Separators:
    try:
        every = (field + declared).decode(codec)
    except UnicodeDecodeError as error:
        raise Unreadable("R10", "102", "MSH^1^18", FOREIGN_BYTES) from error
    first, characters = every[0], every[1:]
    strange = first.encode(codec) != field or any(map(_unfit, every))
    if not 4 <= len(characters) <= 5 or len(set(every)) != len(every) or strange:
        raise Unreadable("R01", "100", "MSH^1^2", "Séparateurs absents, répétés ou impossibles (MSH-1, MSH-2).")
    return Separators(field, *(character.encode(codec) for character in characters))


def _unfit(character: str) -> bool:
    """Letters, digits, blanks and controls can't delimit anything."""
    return character.isalnum() or character.isspace() or not character.isprintable()
