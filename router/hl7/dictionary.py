"""The HL7 dictionary, drawn from hl7apy once and compiled into small tables: fields, types, structures, tables.

hl7apy itself never reads a message here: it drops PRT and Z segments in 2.5 and 2.6 (hl7-input §8.2). It is
imported on first use, in this module only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from router.hl7.ack import Err
from router.hl7.message import Message
from router.hl7.segment import Segment
from router.language import filled

#: Data types whose form can be checked (HL7 v2.5 chapter 2A). The others are any text.
FORMS: Final[dict[str, re.Pattern[str]]] = {
    "DT": re.compile(r"\d{4}(\d{2}(\d{2})?)?"),
    "TM": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,4})?)?)?([+-]\d{4})?"),
    "DTM": re.compile(r"\d{4}(\d{2}(\d{2}(\d{2}(\d{2}(\d{2}(\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?"),
    "NM": re.compile(r"[+-]?\d+(\.\d*)?|[+-]?\.\d+"),
    "SI": re.compile(r"\d{1,4}"),
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One field of a segment. `leaves`: (component, sub-component, type) whose form is checked."""

    number: int
    name: str
    datatype: str
    required: bool
    repeatable: bool
    table: str
    leaves: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """A message structure, flat: the segments it knows, and those without which it isn't one."""

    name: str
    known: frozenset[str]
    required: tuple[str, ...]


class Dictionary:
    """One version of HL7 v2. Everything is compiled when first asked for, then kept."""

    def __init__(self, version: str) -> None:
        import hl7apy

        self.version = version
        self._library = hl7apy.load_library(version)
        self._fields: dict[str, tuple[FieldRule, ...]] = {}

    def fields(self, segment: str) -> tuple[FieldRule, ...]:
        """The fields of a segment, in order; () for a segment this version doesn't know (PRT, Z…)."""
        found = self._fields.get(segment)
        if found is None:
            entry = self._library.SEGMENTS.get(segment)
            found = tuple(_field(number, child) for number, child in enumerate(entry[1], 1)) if entry else ()
            self._fields[segment] = found
        return found

    def structure(self, name: str) -> Structure:
        """A structure by its name (`ORU_R01`). Raises `LookupError` when this version has none such."""
        entry = self._library.MESSAGES.get(name)
        if entry is None:
            raise LookupError(f"{name} is no structure of HL7 {self.version}")
        known = frozenset(_segments(entry[1], required_only=False))
        return Structure(name, known, tuple(_segments(entry[1], required_only=True)))

    def table(self, number: int) -> frozenset[str]:
        """The codes of an HL7 table (`table(103)` -> D, P, T); empty for a user-defined one."""
        entry = self._library.TABLES.get(f"HL7{number:04d}")
        return frozenset(entry[1]) if entry else frozenset()


@cache
def dictionary(version: str) -> Dictionary:
    """The dictionary of a version (`2.5`, `2.6`…). Raises `LookupError` for one that HL7 never published."""
    import hl7apy

    if version not in hl7apy.SUPPORTED_LIBRARIES:
        raise LookupError(f"no HL7 version {version}")
    return Dictionary(version)


def check(message: Message, version: str, structure: str = "") -> list[Err]:
    """What the base standard finds wrong: missing segments (100), required fields (101), malformed values (102).

    Unknown segments and extra fields are never wrong. The texts hold no value.
    """
    book = dictionary(version)
    faults = _missing(message, book.structure(structure)) if structure else []
    for segment in message:
        faults += _wrong(segment, book.fields(segment.name))
    return faults


def _missing(message: Message, structure: Structure) -> list[Err]:
    return [
        Err("100", name, text=filled("segment {segment} absent", segment=name))
        for name in structure.required
        if name not in message
    ]


def _wrong(segment: Segment, rules: tuple[FieldRule, ...]) -> Iterator[Err]:
    place = f"{segment.name}^{segment.index}"
    spans = segment.spans
    for rule in rules:
        empty = rule.number >= len(spans) or spans[rule.number][0] == spans[rule.number][1]
        if empty:
            if rule.required:
                yield Err(
                    "101",
                    f"{place}^{rule.number}",
                    text=filled("{segment}-{n} est obligatoire", segment=segment.name, n=rule.number),
                )
        elif rule.leaves:
            yield from _malformed(segment, rule, place)


def _malformed(segment: Segment, rule: FieldRule, place: str) -> Iterator[Err]:
    for repetition in segment.repetitions(rule.number):
        for component, subcomponent, datatype in rule.leaves:
            value = repetition.text(component, subcomponent)
            if value and not FORMS[datatype].fullmatch(value):
                where = f"{place}^{rule.number}^{repetition.number}^{component}"
                text = filled(
                    "{segment}-{n}.{component} n'a pas la forme d'un {datatype}",
                    segment=segment.name,
                    n=rule.number,
                    component=component,
                    datatype=datatype,
                )
                yield Err("102", where, text=text)


def _field(number: int, child: Any) -> FieldRule:
    reference, cardinality = child[1], child[2]
    leaves = tuple(_leaves(reference))
    return FieldRule(
        number, reference[3], reference[2], cardinality[0] > 0, cardinality[1] < 0, reference[4] or "", leaves
    )


def _leaves(reference: Any) -> Iterator[tuple[int, int, str]]:
    if reference[0] == "leaf":
        if reference[2] in FORMS:
            yield 1, 1, reference[2]
        return
    for component, child in enumerate(reference[1], 1):
        inner = child[1]
        parts = [(1, inner)] if inner[0] == "leaf" else [(n, part[1]) for n, part in enumerate(inner[1], 1)]
        for subcomponent, part in parts:
            if part[0] == "leaf" and part[2] in FORMS:
                yield component, subcomponent, part[2]


def _segments(children: Any, *, required_only: bool) -> Iterator[str]:
    for name, reference, cardinality, kind in children:
        if required_only and cardinality[0] < 1:
            continue
        if kind == "SEG":
            yield name
        else:
            yield from _segments(reference[1], required_only=required_only)
