"""One segment of a message, split only where somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from router.hl7 import path as paths
from router.hl7.text import BLANKS, unescape

if TYPE_CHECKING:
    from router.hl7.message import Message

Span = tuple[int, int]

#: Tails that mean "the first of everything", in the fields after `field`.
_FIRST = frozenset((r, "", c, s) for r in (0, 1) for c in (0, 1) for s in (0, 1))

_SMALL = 2048
"""Below this many bytes splitting a copy is faster than searching in place."""


def cut(data: bytes, start: int, end: int, separator: bytes) -> list[Span]:
    """Where the pieces of `data[start:end]` lie. An absent separator (b"") cuts nothing."""
    if not separator:
        return [(start, end)]
    width, spans = len(separator), []
    if end - start <= _SMALL:
        for piece in data[start:end].split(separator):
            spans.append((start, start + len(piece)))
            start += len(piece) + width
        return spans
    found = data.find(separator, start, end)
    while found >= 0:
        spans.append((start, found))
        start = found + width
        found = data.find(separator, start, end)
    spans.append((start, end))
    return spans


def pick(data: bytes, start: int, end: int, separator: bytes, number: int) -> Span | None:
    """Where the `number`-th piece (from 1) lies, or None."""
    if not separator:
        return (start, end) if number == 1 else None
    if number > 1:
        width = len(separator)
        for _ in range(number - 1):
            found = data.find(separator, start, end)
            if found < 0:
                return None
            start = found + width
    found = data.find(separator, start, end)
    return (start, end if found < 0 else found)


class Repetition:
    """One repetition of a field. Prints nothing of its content."""

    __slots__ = ("_end", "_message", "_start", "number")

    def __init__(self, message: Message, number: int, start: int, end: int) -> None:
        self._message, self.number, self._start, self._end = message, number, start, end

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
        return self._message._text(self._span(component, subcomponent))

    def raw(self, component: int = 0, subcomponent: int = 0) -> memoryview:
        """The bytes as received: of the whole repetition, a component or a sub-component."""
        return self._message._raw(self._span(component, subcomponent))

    def _span(self, component: int, subcomponent: int) -> Span | None:
        span: Span | None = (self._start, self._end)
        separators = self._message.separators
        if component:
            span = pick(self._message._data, self._start, self._end, separators.component, component)
        if subcomponent and span is not None:
            span = pick(self._message._data, *span, separators.subcomponent, subcomponent)
        return span


class Segment:
    """A segment in its message; prints nothing of its content.

    index: occurrence among the segments of its name;  position: rank in the message; both from 1.
    """

    __slots__ = ("_end", "_message", "_spans", "_start", "index", "name", "position")

    def __init__(self, message: Message, name: str, *, index: int, position: int, span: Span) -> None:
        self._message, self.name, self.index, self.position = message, name, index, position
        self._start, self._end = span
        self._spans: list[Span] | None = None

    def __repr__(self) -> str:
        return f"<Segment {self.name}^{self.index}>"

    @property
    def spans(self) -> list[Span]:
        """Where each field lies in the message's bytes; `spans[n]` is field n (MSH-1 included)."""
        if self._spans is None:
            field = self._message.separators.field
            spans = cut(self._message._data, self._start, self._end, field)
            if self.name == "MSH":
                spans.insert(1, (spans[0][1], spans[0][1] + len(field)))
            self._spans = spans
        return self._spans

    def text(self, tail: str) -> str:
        """`text("15.4")`, `text("3[INS].1")`: decoded, unescaped, trimmed; "" when absent or null (`""`)."""
        return self._message._text(self._locate(paths.parse_tail(tail), leaf=True))

    def texts(self, tail: str) -> list[str]:
        """The same over every repetition of the field (or those that `[KEY]` selects)."""
        return list(self._each(paths.parse_tail(tail)))

    def raw(self, tail: str) -> memoryview:
        """The bytes as received, never a copy. A field without repetition: all its repetitions."""
        return self._message._raw(self._locate(paths.parse_tail(tail), leaf=False))

    def field(self, number: int) -> Repetition:
        """The first repetition of a field, empty when the field is."""
        start, end = self._field(number)
        found = pick(self._message._data, start, end, self._repetition_separator(number), 1) or (start, start)
        return Repetition(self._message, 1, *found)

    def repetitions(self, number: int) -> list[Repetition]:
        """The repetitions of a field; none when it is absent or empty."""
        start, end = self._field(number)
        if start == end:
            return []
        spans = cut(self._message._data, start, end, self._repetition_separator(number))
        return [Repetition(self._message, rank, *span) for rank, span in enumerate(spans, 1)]

    def repetition_of(self, tail: paths.Tail) -> int:
        """The number of the repetition that `tail.repetition_key` selects, or 0."""
        return next((one.number for one in self.repetitions(tail.field) if self._is(one, tail)), 0)

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

    def _field(self, number: int) -> Span:
        spans = self.spans
        return spans[number] if number < len(spans) else (self._end, self._end)

    def _repetition_separator(self, number: int) -> bytes:
        """MSH-1 and MSH-2 are the separators themselves: nothing divides them."""
        return b"" if self.name == "MSH" and number < 3 else self._message.separators.repetition

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
        spans, number = self.spans, tail.field
        span: Span | None = spans[number] if number < len(spans) else None
        if span is None or span[0] == span[1] or (self.name == "MSH" and number < 3):
            return span
        data, separators = self._message._data, self._message.separators
        if leaf and tail[1:] in _FIRST and span[1] - span[0] < _SMALL and separators.plain(data[span[0] : span[1]]):
            return span
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


def decode(data: bytes, span: Span | None, message: Message) -> str:
    """The text at a span: decoded, unescaped once, trimmed; "" for the HL7 null."""
    if span is None or span[0] == span[1]:
        return ""
    raw = data[span[0] : span[1]]
    text = raw.decode(message.codec, "replace")
    mark = message.separators.escape
    if mark and mark in raw:
        text = unescape(text, message.separators, message.codec)
    text = text.strip(BLANKS)
    return "" if text == '""' else text
