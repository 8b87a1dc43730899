"""Addresses of values in a message: `PID-3[INS].1`, `OBX[2]-5.5`, `PRT[RCT]-15.4`, `ZFA-9.1`.

    segment [which] - field [which] . component . sub-component

`[which]` of a segment: its occurrence among the segments of that name, from 1; `*` for all of them; or a
word, compared with what such a segment calls itself (`SEGMENT_KEY`; field 1 for other segments).
`[which]` of a field: its repetition, from 1; `*` for all; or a word, compared with the component that says
what the repetition is (`REPETITION_KEY`, such as CX-5 for identifiers; component 1 for other fields).
What is left out is the first one; reading a component without sub-component gives its first sub-component,
and a field without component its first component (HL7 v2.5 §2.5.3: a simple type may become composite).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from router.language import filled

#: Segment -> (field, component) that names an occurrence.
SEGMENT_KEY: Final[dict[str, tuple[int, int]]] = {
    "OBX": (3, 1),  # observation identifier: OBX[DESTDMP]-5.1
    "PRT": (4, 1),  # participation: PRT[SB]-5.1
    "ORC": (1, 1),  # order control
    "NK1": (3, 1),  # relationship
    "ERR": (3, 1),  # error code
}

_CX, _XPN, _XAD, _XCN, _XON, _XTN = 5, 7, 7, 13, 7, 2

#: (segment, field) -> component that says what a repetition is (identifier type, name type, address type…).
REPETITION_KEY: Final[dict[tuple[str, int], int]] = {
    ("PID", 2): _CX,
    ("PID", 3): _CX,
    ("PID", 4): _CX,
    ("PID", 5): _XPN,
    ("PID", 6): _XPN,
    ("PID", 9): _XPN,
    ("PID", 11): _XAD,
    ("PID", 13): _XTN,
    ("PID", 14): _XTN,
    ("PID", 18): _CX,
    ("PID", 21): _CX,
    ("MRG", 1): _CX,
    ("MRG", 3): _CX,
    ("MRG", 7): _XPN,
    ("PV1", 7): _XCN,
    ("PV1", 8): _XCN,
    ("PV1", 9): _XCN,
    ("PV1", 17): _XCN,
    ("PV1", 19): _CX,
    ("PV1", 50): _CX,
    ("PD1", 3): _XON,
    ("PD1", 4): _XCN,
    ("ORC", 10): _XCN,
    ("ORC", 12): _XCN,
    ("ORC", 21): _XON,
    ("OBR", 16): _XCN,
    ("OBR", 28): _XCN,
    ("OBX", 16): _XCN,
    ("TXA", 9): _XCN,
    ("NK1", 2): _XPN,
    ("NK1", 4): _XAD,
    ("NK1", 33): _CX,
    ("PRT", 5): _XCN,
    ("PRT", 8): _XON,
    ("PRT", 15): 3,  # XTN-3, X.400
    ("ROL", 4): _XCN,
}

ALL: Final = -1

_FORM: Final = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<which>[^\[\]]+)\])?"
    r"-(?P<field>[1-9]\d{0,3})(?:\[(?P<repetition>[^\[\]]+)\])?"
    r"(?:\.(?P<component>[1-9]\d{0,3}))?(?:\.(?P<subcomponent>[1-9]\d{0,3}))?"
)
_TAIL: Final = re.compile(r"(?P<field>[1-9]\d{0,3})(?:\[(?P<repetition>[^\[\]]+)\])?"
    r"(?:\.(?P<component>[1-9]\d{0,3}))?(?:\.(?P<subcomponent>[1-9]\d{0,3}))?")  # fmt: skip


class Tail(NamedTuple):
    """The part after the segment. 0 = not said; `ALL` = every one; a key is "" when a number was given."""

    field: int
    repetition: int
    repetition_key: str
    component: int
    subcomponent: int


class Path(NamedTuple):
    """A parsed address."""

    segment: str
    occurrence: int
    key: str
    tail: Tail


@lru_cache(maxsize=4096)
def parse(text: str) -> Path:
    """Parse an address; cached. Raises `ValueError` when it has not the form above."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(filled("not an HL7 address: {value} (write it like PID-3[INS].1)", value=repr(text)))
    occurrence, key = _which(found["which"])
    return Path(found["segment"], occurrence, key, _tail(found))


@lru_cache(maxsize=4096)
def parse_tail(text: str) -> Tail:
    """Parse what follows the segment: `5`, `15.4`, `3[INS].4.2`. Raises `ValueError`."""
    found = _TAIL.fullmatch(text)
    if found is None:
        raise ValueError(filled("not an address within a segment: {value} (write it like 3[INS].1)", value=repr(text)))
    return _tail(found)


def _tail(found: re.Match[str]) -> Tail:
    repetition, key = _which(found["repetition"])
    return Tail(int(found["field"]), repetition, key, int(found["component"] or 0), int(found["subcomponent"] or 0))


def _which(text: str | None) -> tuple[int, str]:
    if text is None:
        return 0, ""
    if text == "*":
        return ALL, ""
    if text.isdecimal():
        if int(text) < 1:
            raise ValueError("occurrences and repetitions are counted from 1")
        return int(text), ""
    return 0, text.strip()
