"""Which bytes of a segment change when one value does: everything else stays as received."""

from __future__ import annotations

from router.errors import Invalid
from router.hl7 import path as paths
from router.hl7.header import Separators
from router.hl7.segment import Segment


def rewritten(segment: Segment, path: str, tail: paths.Tail, value: bytes, marks: Separators) -> tuple[int, int, bytes]:
    """(start, end, new bytes) in the message, so that the address holds `value`.

    Fields, repetitions and components that are missing are added. Raises `Invalid` (`HL7-PATH`) for a repetition
    key that is not there, or a level for which the message declares no separator.
    """
    spans = segment.spans
    number = max(tail.repetition, 1)
    if tail.repetition_key:
        number = segment.repetition_of(tail)
        if not number:
            raise Invalid("HL7-PATH", path, "this repetition is not in the message")
    if tail.field >= len(spans):
        at = spans[-1][1]
        return at, at, marks.field * (tail.field - len(spans) + 1) + _with_part(b"", tail, number, value, marks)
    start, end = spans[tail.field]
    return start, end, _with_part(bytes(segment.raw(str(tail.field))), tail, number, value, marks)


def _with_part(field: bytes, tail: paths.Tail, number: int, value: bytes, marks: Separators) -> bytes:
    """A field's bytes with one repetition, component or sub-component replaced."""
    if not (tail.repetition or tail.repetition_key or tail.component):
        return value
    levels = [(marks.repetition, number), (marks.component, tail.component), (marks.subcomponent, tail.subcomponent)]
    return _put(field, [level for level in levels if level[1]], value)


def _put(raw: bytes, levels: list[tuple[bytes, int]], value: bytes) -> bytes:
    if not levels:
        return value
    (separator, number), *rest = levels
    pieces = raw.split(separator) if separator else [raw]
    pieces += [b""] * (number - len(pieces))
    if len(pieces) > 1 and not separator:
        raise Invalid("HL7-PATH", "MSH-2", "this message declares no separator for that")
    pieces[number - 1] = _put(pieces[number - 1], rest, value)
    return separator.join(pieces)
