"""Our ER7 reader. A message is its bytes and the places of its segments; all else is looked up when asked.

Nothing is decoded or copied before somebody wants it, so a message that carries a document costs what its
line ends cost. Addresses are those of `router.hl7.path`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from router.errors import Invalid
from router.hl7 import header, layout
from router.hl7 import path as paths
from router.hl7.header import CHARSETS, FOREIGN_BYTES, Unreadable
from router.hl7.rewrite import rewritten
from router.hl7.segment import NOTHING, Encoded, Segment, Span
from router.hl7.text import encode, escape

_CHUNK: Final = 1 << 18
_REMEMBERED: Final = 256
"""Texts up to this length are kept once read: MSH-10 is asked for by everybody."""
#: Bytes that frame messages: inside one, two messages ran into each other, or a document was put in raw.
_FRAMING: Final = (b"\x0b", b"\x1c")
#: What UTF-8 read as 8859/15 looks like: `é` gives `Ã©`, `’` gives `â\x80\x99`.
_MOJIBAKE: Final = ("Ã", "Â", "â\x80")


class Message:
    """One HL7 v2 message. Immutable; its `repr` shows its size only.

    separators: as declared in MSH-1 and MSH-2;  charset: MSH-18 as received;  codec: Python's name of what
    the bytes are in (after the fall-back, if there was one: `fell_back`);  marks: the separators as characters, in
    the order field, component, repetition, escape, sub-component, truncation;  rejoined: lines were glued (E03).
    """

    __slots__ = (
        "_by_name",
        "_data",
        "_encoded",
        "_index",
        "_names",
        "_segments",
        "_spans",
        "_texts",
        "charset",
        "codec",
        "fell_back",
        "marks",
        "rejoined",
        "separators",
    )

    def __init__(self, data: bytes, head: header.Header, names: list[str], spans: list[Span]) -> None:
        self._data, self._names, self._spans = data, names, spans
        self.separators, self.charset, self.codec, self.fell_back = head.separators, head.charset, head.codec, False
        self.rejoined = False
        self._segments: list[Segment | None] = [None] * len(names)
        self._texts: dict[str, str] = {}
        self._encoded = Encoded(data, head.separators, head.codec)
        self.marks = self._encoded.marks
        self._by_name: dict[str, list[int]] = {}
        self._index: list[int] = []
        for rank, name in enumerate(names):
            same = self._by_name.setdefault(name, [])
            same.append(rank)
            self._index.append(len(same))

    # ------------------------------------------------------------------------------------------- making

    @classmethod
    def parse(cls, data: bytes, *, charset_fallback: str | None = None, rejoin: bool = False) -> Message:
        """Read one message (no MLLP framing). The bytes are kept, not copied.

        charset_fallback: Python codec for a message that says UTF-8 and isn't (default: refuse it).
        rejoin: glue lines of bare base64 that follow an ED OBX (default: refuse them).
        Raises `Unreadable` (a `Malformed`): R01 not a message, or a line that is no segment; R02 a batch;
        R10 character set unknown or not respected; R24 several messages at once.
        """
        received = len(data)
        if rejoin:
            data = layout.rejoin(data)
        head = header.read(layout.first_line(data), partial(_codec, data, charset_fallback))
        for control in _FRAMING:
            if control in data:
                raise Unreadable("R01", "100", "", "Caractère de trame MLLP à l'intérieur du message.")
        names, spans = _segments(data, head.separators.field)
        message = cls(data, head, names, spans)
        message.fell_back = CHARSETS[head.charset.upper()] not in ("", head.codec)
        message.rejoined = len(data) != received
        return message

    @classmethod
    def glimpse(cls, data: bytes) -> Message | None:
        """What can be read of the MSH of a message that `parse` refuses: enough to answer it. Never raises."""
        line = layout.first_line(data[:65536])
        head = header.glimpse(line, lambda declared: declared or _guess(line))
        if head is None:
            return None
        return cls(line, head, ["MSH"], [(0, len(line))])

    @classmethod
    def tolerant(cls, data: bytes) -> Message | None:
        """Read what a partner answered: any line that looks like a segment, whatever else is wrong. None if no MSH."""
        head = header.glimpse(layout.first_line(data), lambda declared: declared or _guess(data))
        if head is None:
            return None
        found = [(name, span) for span in layout.lines(data, layout.start(data)) if (name := _name(data, span))]
        return cls(data, head, [name for name, _ in found], [span for _, span in found])

    def with_text(self, path: str, value: str) -> Message:
        """The same message with one value replaced (escaped and encoded here); all other bytes as received.

        A path without component replaces the whole field (or the chosen repetition); `SEG[*]-n` every segment.
        Missing fields, repetitions and components are added, a missing segment is not.
        Raises `Invalid` for a missing segment or repetition key, or a value the character set can't hold.
        """
        if path == "MSH-18":
            return self._recoded(value)
        return self.with_raw(path, encode(escape(value, self.separators, self.codec), self.codec))

    def with_raw(self, path: str, value: bytes) -> Message:
        """As `with_text`, with bytes that are already written in this message's separators and character set."""
        where = paths.parse(path)
        if where.segment == "MSH" and where.tail.field < 3:
            raise ValueError("MSH-1 and MSH-2 can't be replaced")
        chosen = self._chosen(where)
        if not chosen:
            raise Invalid("HL7-PATH", path, "this segment is not in the message")
        message = self
        for segment in chosen:
            start, end, new = rewritten(segment, path, where.tail, value, self.separators)
            message = message._replaced(
                segment.position - 1, start - self._spans[segment.position - 1][0], end - start, new
            )
        return message

    # ---------------------------------------------------------------------------------------- looking up

    def text(self, path: str) -> str:
        """The value at an address: decoded, unescaped once, trimmed of blanks and NBSP; "" when absent or null."""
        known = self._texts.get(path)
        if known is not None:
            return known
        where = paths.parse(path)
        segment = self._first(where)
        found = segment._value(where.tail) if segment is not None else ""
        if len(found) <= _REMEMBERED:
            self._texts[path] = found
        return found

    def texts(self, path: str) -> list[str]:
        """One text per repetition of the field: of the first such segment, or of all with `SEG[*]`.

        An empty field has no repetition, so it gives nothing.
        """
        where = paths.parse(path)
        return [text for segment in self._chosen(where) for text in segment._each(where.tail)]

    def raw(self, path: str) -> memoryview:
        """The bytes at an address as received, never a copy; empty when absent."""
        where = paths.parse(path)
        segment = self._first(where)
        return self._encoded.raw(segment._locate(where.tail, leaf=False)) if segment is not None else NOTHING

    def segments(self, name: str | None = None) -> list[Segment]:
        """The segments of that name, or all of them, in the message's order."""
        ranks = range(len(self._names)) if name is None else self._by_name.get(name, ())
        return [self._segment(rank) for rank in ranks]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the segments, in order."""
        return tuple(self._names)

    @property
    def code(self) -> str:
        """MSH-9.1: `ORU`, `MDM`, `ADT`…"""
        return self.text("MSH-9.1")

    @property
    def event(self) -> str:
        """MSH-9.2: `R01`, `T02`, `A01`…"""
        return self.text("MSH-9.2")

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.text("MSH-10")

    @property
    def version(self) -> str:
        """MSH-12.1."""
        return self.text("MSH-12.1")

    @property
    def holds_nul(self) -> bool:
        """Whether a NUL stands in it, raw or as an escape (`\\X00\\`): no text gives it, which is worth a warning."""
        if b"\x00" in self._data:
            return True
        mark = self.separators.escape
        if not mark or mark not in self._data or mark + b"X" not in self._data:  # one byte is found much faster
            return False
        other, any_pair = rb"(?:0[1-9A-F]|[1-9A-F][0-9A-F])*+", rb"(?:[0-9A-F]{2})*+"
        nul = re.escape(mark) + rb"X" + other + rb"00" + any_pair + re.escape(mark)
        return re.search(nul, self._data, re.IGNORECASE) is not None

    @property
    def misdeclared(self) -> bool:
        """Whether names read as 8859 look like UTF-8 that nobody declared (hl7-input §7.3, E08): worth a warning."""
        if self.codec == "utf-8":
            return False
        texts = (bytes(segment.raw(field)).decode(self.codec) for segment, field in self._people())
        return any(sign in text for text in texts for sign in _MOJIBAKE)

    def to_bytes(self) -> bytes:
        """The bytes: those received, or those rewritten by `with_text`."""
        return self._data

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Message {len(self._data)} bytes>"

    # -------------------------------------------------------------------------------------------- inside

    def _segment(self, rank: int) -> Segment:
        found = self._segments[rank]
        if found is None:
            name = self._names[rank]
            index, span = self._index[rank], self._spans[rank]
            found = self._segments[rank] = Segment(self._encoded, name, index=index, position=rank + 1, span=span)
        return found

    def _first(self, where: paths.Path) -> Segment | None:
        if where.key:
            return next(iter(self._chosen(where)), None)
        ranks = self._by_name.get(where.segment, ())
        at = max(where.occurrence, 1) - 1
        return self._segment(ranks[at]) if at < len(ranks) else None

    def _chosen(self, where: paths.Path) -> list[Segment]:
        if where.occurrence == paths.ALL:
            return self.segments(where.segment)
        if where.key:
            field, component = paths.SEGMENT_KEY.get(where.segment, (1, 1))
            tail = paths.Tail(field, 0, "", component, 0)
            wanted = where.key.casefold()
            every = self.segments(where.segment)
            return [one for one in every if one._value(tail).casefold() == wanted]
        found = self._first(where)
        return [] if found is None else [found]

    def _people(self) -> Iterator[tuple[Segment, str]]:
        for name, fields in (("PID", ("5", "11")), ("PRT", ("5", "8"))):
            for segment in self.segments(name):
                yield from ((segment, field) for field in fields)

    def _replaced(self, rank: int, offset: int, length: int, new: bytes) -> Message:
        """These bytes with `length` of them, at `offset` in a segment, replaced; places are shifted, not searched."""
        begin = self._spans[rank][0] + offset
        view = memoryview(self._data)
        shift = len(new) - length
        spans = [
            span if at < rank else (span[0] if at == rank else span[0] + shift, span[1] + shift)
            for at, span in enumerate(self._spans)
        ]
        data = b"".join((view[:begin], new, view[begin + length :]))
        head = header.Header(self.separators, self.charset, self.codec)
        message = Message(data, head, self._names, spans)
        message.fell_back, message.rejoined = self.fell_back, self.rejoined
        return message

    def _recoded(self, charset: str) -> Message:
        codec = CHARSETS.get(charset.upper())
        if codec is None:
            raise Invalid("HL7-CHARSET", "MSH-18", "unknown character set")
        named = self.with_raw("MSH-18", charset.encode("ascii"))
        if named._data.isascii():
            return Message.parse(named._data)
        return Message.parse(encode(named._data.decode(self.codec), codec or self.codec))


def _segments(data: bytes, field: bytes) -> tuple[list[str], list[Span]]:
    """Names and places of the segments. A line that is none, or a second MSH, is refused."""
    names: list[str] = []
    spans: list[Span] = []
    for span in layout.lines(data, layout.start(data)):
        name = layout.name_of(data[span[0] : span[0] + 3])
        after = span[0] + 3
        if not name or not (after == span[1] or data.startswith(field, after)):
            place = f"{names[-1]}^{names.count(names[-1])}"
            raise Unreadable("R01", "100", place, layout.cut(data, spans[-1], span, names[-1]))
        names.append(name)
        spans.append(span)
    if names.count("MSH") > 1:
        raise Unreadable("R24", "198", "MSH^2", "Plusieurs messages dans une même trame.")
    return names, spans


def _name(data: bytes, span: Span) -> str:
    line = data[span[0] : min(span[0] + 4, span[1])]
    return layout.name_of(line[:3]) if not line[3:4].isalnum() else ""


def _codec(data: bytes, fallback: str | None, declared: str) -> str:
    """The codec the bytes are really in. Raises `Unreadable` R10 (102) when they are not UTF-8 though declared."""
    if declared == "utf-8" and not _is_utf8(data):
        if fallback is None:
            raise Unreadable("R10", "102", "MSH^1^18", FOREIGN_BYTES)
        return codecs.lookup(fallback).name
    return declared or _guess(data)


def _guess(data: bytes) -> str:
    return "utf-8" if _is_utf8(data) else "iso8859-15"


def _is_utf8(data: bytes) -> bool:
    """Checked piece by piece: the text of a 20 MB message is never made."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for at in range(0, len(data), _CHUNK):
            decoder.decode(view[at : at + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
