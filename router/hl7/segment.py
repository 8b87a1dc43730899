"""One segment of a message, split only where somebody looks.

A short segment is decoded and cut into texts once, because whoever asks for one of its values asks for others. A
long one (it carries a document, or somebody's millions of separators) is searched in place and never cut whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from router.hl7 import layout
from router.hl7 import path as paths
from router.hl7.header import Separators, Unreadable
from router.hl7.text import BLANKS, unescape

Span = tuple[int, int]

MAX_REPETITIONS: Final = 1000
"""More repetitions of one field than this are no identifiers and no names: they would cost memory, not meaning."""

_SHORT: Final = 2048
"""Bytes up to which a segment, or a repetition, is cut into texts."""
_MOST_FIELDS: Final = 256
"""Fields that are cut; those behind are searched."""
_NULL: Final = '""'
NUL: Final = "\x00"
NOTHING: Final = memoryview(b"")


class Encoded:
    """What segments need of the message in which they stand: its bytes, and how they are to be read.

    They do not know the message itself, which knows them: a cycle would keep 20 MB until the collector comes by.
    """

    __slots__ = ("__weakref__", "codec", "data", "marks", "separators")

    def __init__(self, data: bytes, separators: Separators, codec: str) -> None:
        self.data, self.separators, self.codec = data, separators, codec
        self.marks = separators.texts(codec)

    def text(self, span: Span | None) -> str:
        """What is meant at a span: decoded, unescaped once, trimmed; "" for the HL7 null."""
        if span is None or span[0] == span[1]:
            return ""
        return plain(self.data[span[0] : span[1]].decode(self.codec, "replace"), self)

    def raw(self, span: Span | None) -> memoryview:
        """The bytes there, not a copy."""
        return NOTHING if span is None else memoryview(self.data)[span[0] : span[1]]


def cut(data: bytes, start: int, end: int, separator: bytes, *, most: int = 0) -> list[Span]:
    """Where the pieces of `data[start:end]` lie, or of the first `most`. An absent separator (b"") cuts nothing."""
    if not separator:
        return [(start, end)]
    width, spans = len(separator), []
    found = data.find(separator, start, end)
    while found >= 0:
        spans.append((start, found))
        if len(spans) == most:
            return spans
        start = found + width
        found = data.find(separator, start, end)
    spans.append((start, end))
    return spans


def pick(data: bytes, start: int, end: int, separator: bytes, number: int) -> Span | None:
    """Where the `number`-th piece (from 1) lies, or None."""
    if not separator:
        return (start, end) if number == 1 else None
    width = len(separator)
    for _ in range(number - 1):
        found = data.find(separator, start, end)
        if found < 0:
            return None
        start = found + width
    found = data.find(separator, start, end)
    return (start, end if found < 0 else found)


def written(components: list[str], component: int, subcomponent: int, mark: str) -> str:
    """One component, or sub-component, of those of a repetition; "" when absent. `mark`: between sub-components."""
    if component > len(components):
        return ""
    value = components[component - 1]
    if mark and mark in value:
        pieces = value.split(mark, subcomponent)
        return pieces[subcomponent - 1] if subcomponent <= len(pieces) else ""
    return value if subcomponent == 1 else ""


def plain(value: str, encoded: Encoded) -> str:
    """The text that is meant: unescaped once, without NUL, trimmed; "" for the HL7 null.

    NUL is no character of a name: neither XML, nor a mail, nor PostgreSQL can hold one.
    """
    escape = encoded.marks[3]
    if escape and escape in value:
        value = unescape(value, encoded.separators, encoded.codec)
    if NUL in value:
        value = value.replace(NUL, "")
    value = value.strip(BLANKS)
    return "" if value == _NULL else value


class Repetition:
    """One repetition of a field. Prints nothing of its content."""

    __slots__ = ("_components", "_encoded", "_end", "_start", "number")

    def __init__(self, encoded: Encoded, number: int, start: int, end: int) -> None:
        self._encoded, self.number, self._start, self._end = encoded, number, start, end
        self._components: list[str] | None = None

    def __repr__(self) -> str:
        return f"<Repetition {self.number}>"

    def __bool__(self) -> bool:
        """Whether it holds anything at all."""
        return self._end > self._start

    def text(self, component: int | str = 1, subcomponent: int = 1) -> str:
        """A component decoded, unescaped and trimmed; "" when absent. `text(4, 2)` or `text("4.2")`."""
        if isinstance(component, str):
            first, _, second = component.partition(".")
            component, subcomponent = int(first), int(second or 1)
        if self._end - self._start > _SHORT or not component:
            return self._encoded.text(self._span(component, subcomponent))
        if self._components is None:
            encoded = self._encoded
            whole = encoded.data[self._start : self._end].decode(encoded.codec, "replace")
            self._components = whole.split(encoded.marks[1]) if encoded.marks[1] else [whole]
        found = written(self._components, component, subcomponent, self._encoded.marks[4])
        return plain(found, self._encoded) if found else ""

    def raw(self, component: int = 0, subcomponent: int = 0) -> memoryview:
        """The bytes as received: of the whole repetition, a component or a sub-component."""
        return self._encoded.raw(self._span(component, subcomponent))

    def _span(self, component: int, subcomponent: int) -> Span | None:
        span: Span | None = (self._start, self._end)
        separators = self._encoded.separators
        if component:
            span = pick(self._encoded.data, self._start, self._end, separators.component, component)
        if subcomponent and span is not None:
            span = pick(self._encoded.data, *span, separators.subcomponent, subcomponent)
        return span


class Segment:
    """A segment in its message; prints nothing of its content.

    index: occurrence among the segments of its name;  position: rank in the message; both from 1.
    """

    __slots__ = (
        "_components",
        "_encoded",
        "_end",
        "_fields",
        "_places",
        "_repetitions",
        "_start",
        "index",
        "name",
        "position",
    )

    def __init__(self, encoded: Encoded, name: str, *, index: int, position: int, span: Span) -> None:
        self._encoded, self.name, self.index, self.position = encoded, name, index, position
        self._start, self._end = span
        self._fields: list[str] | None = None
        self._places: list[Span] = []
        self._components: dict[int, list[str]] = {}
        self._repetitions: dict[int, list[Repetition]] = {}

    def __repr__(self) -> str:
        return f"<Segment {self.name}^{self.index}>"

    @property
    def spans(self) -> list[Span]:
        """Where every field lies in the message's bytes; `spans[n]` is field n (MSH-1 included). For rewriting."""
        field = self._encoded.separators.field
        spans = cut(self._encoded.data, self._start, self._end, field)
        if self.name == "MSH":
            spans.insert(1, (spans[0][1], spans[0][1] + len(field)))
        return spans

    def span(self, number: int) -> Span:
        """Where one field lies; empty, at the segment's end, when it is absent."""
        field = self._encoded.separators.field
        piece = number
        if self.name == "MSH" and number:
            if number == 1:
                return self._start + 3, self._start + 3 + len(field)
            piece = number - 1
        if piece >= _MOST_FIELDS:
            return pick(self._encoded.data, self._start, self._end, field, piece + 1) or (self._end, self._end)
        if not self._places:
            self._places = cut(self._encoded.data, self._start, self._end, field, most=_MOST_FIELDS)
        return self._places[piece] if piece < len(self._places) else (self._end, self._end)

    def text(self, tail: str) -> str:
        """`text("15.4")`, `text("3[INS].1")`: decoded, unescaped, trimmed; "" when absent or null (`""`)."""
        return self._value(paths.parse_tail(tail))

    def texts(self, tail: str) -> list[str]:
        """The same over every repetition of the field (or those that `[KEY]` selects)."""
        return list(self._each(paths.parse_tail(tail)))

    def as_written(self, tail: str) -> str:
        """As `text` for the first repetition of a short segment, but neither unescaped nor trimmed."""
        where = paths.parse_tail(tail)
        components = self._components.get(where.field) or self._first(where.field)
        if components is None:
            return bytes(self.raw(tail)).decode(self._encoded.codec, "replace")
        return written(components, where.component or 1, where.subcomponent or 1, self._encoded.marks[4])

    def raw(self, tail: str) -> memoryview:
        """The bytes as received, never a copy. A field without repetition: all its repetitions."""
        return self._encoded.raw(self._locate(paths.parse_tail(tail), leaf=False))

    def rest(self, number: int, component: int) -> memoryview:
        """A field's bytes from a component of its first repetition on, other repetitions included."""
        start, end = self.span(number)
        found = self.field(number)._span(component, 0) if end > start else None
        return self._encoded.raw((found[0], end) if found else None)

    def field(self, number: int) -> Repetition:
        """The first repetition of a field, empty when the field is."""
        start, end = self.span(number)
        found = pick(self._encoded.data, start, end, self._repetition_separator(number), 1) or (start, start)
        return Repetition(self._encoded, 1, *found)

    def repetitions(self, number: int) -> list[Repetition]:
        """The repetitions of a field; none when it is absent or empty. Raises `Unreadable` R01 beyond a thousand."""
        if number in self._repetitions:
            return self._repetitions[number]
        start, end = self.span(number)
        if start == end:
            return []
        data, separator = self._encoded.data, self._repetition_separator(number)
        if end - start > MAX_REPETITIONS and separator and data.count(separator, start, end) >= MAX_REPETITIONS:
            place = f"{self.name}^{self.index}^{number}"
            raise Unreadable("R01", "100", place, "Champ de plus de 1 000 répétitions.")
        spans = cut(data, start, end, separator)
        found = self._repetitions[number] = [
            Repetition(self._encoded, rank, *span) for rank, span in enumerate(spans, 1)
        ]
        return found

    def repeats(self, number: int) -> bool:
        """Whether a field has more than one repetition; none of them is made."""
        separator = self._repetition_separator(number)
        return bool(separator) and self._encoded.data.find(separator, *self.span(number)) >= 0

    def repetition_of(self, tail: paths.Tail) -> int:
        """The number of the repetition that `tail.repetition_key` selects, or 0."""
        return next((one.number for one in self.repetitions(tail.field) if self._is(one, tail)), 0)

    def pieces(self, most: int) -> int:
        """How many separators and escapes there are in it, or more than `most`; they are counted, nothing is cut."""
        known = self._encoded.separators
        marks = (known.field, known.component, known.repetition, known.escape, known.subcomponent)
        return layout.count(self._encoded.data, self._start, self._end, marks, most)

    @property
    def size(self) -> int:
        """Bytes of the segment, without its line end."""
        return self._end - self._start

    def __len__(self) -> int:
        """Number of the last field."""
        return len(self.spans) - 1

    def __bool__(self) -> bool:
        return True

    # ------------------------------------------------------------------------------------------- inside

    def _value(self, tail: paths.Tail) -> str:
        field, repetition, key, component, subcomponent = tail
        components = None
        if repetition in (0, 1) and not key:
            components = self._components.get(field) or self._first(field)
        if components is None:
            return self._encoded.text(self._locate(tail, leaf=True))
        found = written(components, component or 1, subcomponent or 1, self._encoded.marks[4])
        return plain(found, self._encoded) if found else ""

    def _first(self, number: int) -> list[str] | None:
        """The components of a field's first repetition, as texts; None when the field must be searched in place."""
        fields = self._cut()
        if fields is None or number >= _MOST_FIELDS or (self.name == "MSH" and number < 3):
            return None
        if number >= len(fields):
            return []
        _, component, repetition, *_ = self._encoded.marks
        value = fields[number]
        if repetition and repetition in value:
            value = value[: value.index(repetition)]
        found = self._components[number] = value.split(component) if component else [value]
        return found

    def _cut(self) -> list[str] | None:
        """The fields of a short segment, as texts."""
        if self._fields is None and self._end - self._start <= _SHORT:
            encoded = self._encoded
            line = encoded.data[self._start : self._end].decode(encoded.codec, "replace")
            self._fields = line.split(encoded.marks[0], _MOST_FIELDS)
            if self.name == "MSH":
                self._fields.insert(1, encoded.marks[0])
        return self._fields

    def _repetition_separator(self, number: int) -> bytes:
        """MSH-1 and MSH-2 are the separators themselves: nothing divides them."""
        return b"" if self.name == "MSH" and number < 3 else self._encoded.separators.repetition

    def _each(self, tail: paths.Tail) -> Iterator[str]:
        for repetition in self.repetitions(tail.field):
            if tail.repetition > 0 and repetition.number != tail.repetition:
                continue
            if tail.repetition_key and not self._is(repetition, tail):
                continue
            yield repetition.text(tail.component or 1, tail.subcomponent or 1)

    def _is(self, repetition: Repetition, tail: paths.Tail) -> bool:
        component = paths.REPETITION_KEY.get((self.name, tail.field), 1)
        return repetition.text(component).casefold() == tail.repetition_key.casefold()

    def _locate(self, tail: paths.Tail, *, leaf: bool) -> Span | None:
        """Where an address lies. `leaf`: down to the first sub-component when the address stops before."""
        span: Span | None = self.span(tail.field)
        if span is None or span[0] == span[1] or (self.name == "MSH" and tail.field < 3):
            return span
        data, separators = self._encoded.data, self._encoded.separators
        if tail.repetition_key:
            chosen = next((one for one in self.repetitions(tail.field) if self._is(one, tail)), None)
            span = None if chosen is None else chosen._span(0, 0)
        elif tail.repetition > 0 or tail.component or leaf:
            span = pick(data, *span, separators.repetition, max(tail.repetition, 1)) if span else None
        component, subcomponent = tail.component or leaf, tail.subcomponent or leaf
        if span and component:
            span = pick(data, *span, separators.component, component)
        if span and subcomponent:
            span = pick(data, *span, separators.subcomponent, subcomponent)
        return span
