"""An HL7 message as a tree with the names of its fields; what is long or binary is shown as its size and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from router.console.hl7_names import NAMES
from router.hl7.dictionary import dictionary
from router.hl7.message import Message
from router.hl7.segment import Repetition, Segment

_VERSIONS: Final = ("2.6", "2.7")
"""The dictionaries that are asked, one after the other: PRT stands in the second one."""
_LONGEST: Final = 2000
"""Bytes of a field that is shown whole."""
_COMPONENTS: Final = 60
MOST: Final = 2000
"""Segments and fields that are shown: a message of 20 MB may have a million of them, and no browser shows those."""


@dataclass(frozen=True, slots=True)
class Field:
    """One repetition of a field. place: `PID-3[2]`;  parts: (number, text) of its components, when it has several
    digest: SHA-256 of a value that is not shown, "" otherwise
    """

    place: str
    name: str
    text: str = field(repr=False)
    parts: tuple[tuple[int, str], ...] = field(default=(), repr=False)
    size: int = 0
    digest: str = ""

    @property
    def known(self) -> bool:
        """Whether the catalogue has its name; else it is that of the standard, in English."""
        return self.name in NAMES


@dataclass(frozen=True, slots=True)
class Branch:
    """One segment: its name, its rank among those of the same name, its size in bytes."""

    name: str
    index: int
    size: int
    fields: tuple[Field, ...] = field(repr=False)


def tree(message: Message) -> Iterator[Branch]:
    """The segments in their order, `MOST` lines at most; empty fields are left out."""
    left = MOST
    for segment in message.segments():
        fields = tuple(islice(_fields(segment, message), left))
        yield Branch(segment.name, segment.index, segment.size, fields)
        left -= len(fields) + 1
        if left <= 0:
            return


def _fields(segment: Segment, message: Message) -> Iterator[Field]:
    names = _names(segment.name)
    for number in range(1, len(segment) + 1):
        if segment.name == "MSH" and number <= 2:
            text = bytes(segment.raw(str(number))).decode(message.codec, "replace")
            yield Field(f"MSH-{number}", names.get(number, ""), text)
            continue
        for one in segment.repetitions(number):
            if one:
                rank = f"[{one.number}]" if segment.repeats(number) else ""
                yield _field(one, f"{segment.name}-{number}{rank}", names.get(number, ""), message)


def _field(one: Repetition, place: str, name: str, message: Message) -> Field:
    raw = one.raw()
    if len(raw) > _LONGEST:
        return Field(place, name, "", size=len(raw), digest=hashlib.sha256(raw).hexdigest())
    written = bytes(raw).decode(message.codec, "replace")
    count = written.count(message.marks[1]) + 1 if message.marks[1] else 1
    if count == 1:
        return Field(place, name, one.text(1))
    parts = [(rank, text) for rank in range(1, min(count, _COMPONENTS) + 1) if (text := one.text(rank))]
    return Field(place, name, written, tuple(parts))


def _names(segment: str) -> dict[int, str]:
    """Number -> name of the fields of a segment; none for one that no dictionary knows (Z segments)."""
    for version in _VERSIONS:
        if rules := dictionary(version).fields(segment):
            return {rule.number: rule.name.replace("_", " ").capitalize() for rule in rules}
    return {}
