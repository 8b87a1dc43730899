"""Building segments and messages of our own (ACK, ZAM), always with the separators `|^~\\&`.

A value is plain text and is escaped; what has structure says so: a tuple of components, a list of
repetitions, a tuple in a tuple for sub-components.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.hl7.text import encode, escape

SubComponents = tuple[str, ...]
Components = tuple["str | SubComponents", ...]
Value = str | Components | list["str | Components"]


class Written(str):
    """A field that is already written: separators `|^~\\&`, escaped."""

    __slots__ = ()


ENCODING_CHARACTERS: Final = "^~\\&"


def field(value: Value) -> str:
    """One field: text, components, or repetitions. Empty components at the end are left out."""
    if isinstance(value, Written):
        return value
    if isinstance(value, list):
        return "~".join(_repetition(one) for one in value)
    return _repetition(value)


def segment(name: str, *values: Value) -> str:
    """`segment("MSA", "AA", "015")` -> `MSA|AA|015`. Empty fields at the end are left out. MSH writes its own MSH-2."""
    fields = [field(value) for value in values]
    while fields and not fields[-1]:
        fields.pop()
    head = f"MSH|{ENCODING_CHARACTERS}" if name == "MSH" else name
    return "|".join((head, *fields))


def message(segments: Iterable[str], codec: str = "utf-8") -> bytes:
    """The bytes of a message: CR after every segment, in the given Python codec (nearest characters, see `encode`)."""
    return encode("".join(f"{one}\r" for one in segments), codec, unknown="nearest")


def _repetition(value: str | Components) -> str:
    if isinstance(value, str):
        return escape(value)
    return "^".join(_component(one) for one in value).rstrip("^")


def _component(value: str | SubComponents) -> str:
    if isinstance(value, str):
        return escape(value)
    return "&".join(map(escape, value)).rstrip("&")
