"""Where the segments of a message lie: line ends, blank lines, lines that are no segment; batches in a file.

CR is the standard's segment end; LF and CRLF are met everywhere and accepted (hl7-input §7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from router.hl7.header import BOM, Unreadable
from router.language import filled

MAX_SEGMENTS: Final = 100_000
"""More lines than this is no message: it would cost memory, not meaning."""

_NAME: Final = re.compile(rb"[A-Z][A-Z0-9]{2}")
_SHORT: Final = 4 * 1024
"""Bytes of a segment up to which its separators are simply counted."""
_ENVELOPE: Final = (b"FHS", b"BHS", b"BTS", b"FTS")
#: Where a message or a line of a batch's envelope begins; of the latter nothing but the name may be there.
_MSH_LINE: Final = re.compile(rb"(?:\A|(?<=[\r\n]))(?:MSH[^\w\s]|(?:FHS|BHS|BTS|FTS)(?:[^\w\s]|[ \t]*(?:[\r\n]|\Z)))")
_BASE64_LINE: Final = re.compile(rb"[A-Za-z0-9+/=]+")
_OBX_ED: Final = re.compile(rb"OBX(.)[^\r\n]{0,12}?\1ED\1", re.DOTALL)


@lru_cache(maxsize=4096)
def name_of(raw: bytes) -> str:
    """The segment name, or "" when these three bytes are none."""
    return raw.decode() if _NAME.fullmatch(raw) else ""


def start(data: bytes) -> int:
    """Offset of the first byte that counts: after a BOM and blank lines."""
    at = len(BOM) if data.startswith(BOM) else 0
    while data[at : at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def lines(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where each line that is not blank lies. The line ends are found, nothing is copied."""
    size = len(data)
    cr, lf = data.find(b"\r", at), data.find(b"\n", at)
    cr, lf = size if cr < 0 else cr, size if lf < 0 else lf
    count = 0
    while at < size:
        end = cr if cr < lf else lf
        if end > at and not (data[at] in b" \t" and not data[at:end].strip()):
            yield at, end
        count += 1
        if count > MAX_SEGMENTS:
            raise Unreadable("R01", "100", "", filled("Message de plus de {limit} segments.", limit=MAX_SEGMENTS))
        at = end + 1
        if end == cr:
            cr = data.find(b"\r", at)
            cr = size if cr < 0 else cr
        else:
            lf = data.find(b"\n", at)
            lf = size if lf < 0 else lf


def first_line(data: bytes) -> bytes:
    """The MSH line, without BOM and line end; "" when there is none."""
    for begin, end in lines(data, start(data)):
        return data[begin:end]
    return b""


def messages(data: bytes) -> Iterator[bytes]:
    """The messages of a file: each runs from its MSH to the next one; batch envelopes are left out.

    What else stands before the first MSH, or behind an envelope's line, is given as it is: it can't be read, and must
    be answered.
    """
    marks = [found.start() for found in _MSH_LINE.finditer(data, start(data))]
    if not marks or data[start(data) : marks[0]].strip():
        marks.insert(0, 0)
    for begin, end in zip(marks, [*marks[1:], len(data)], strict=True):
        piece = data[begin:end]
        if piece[:3] in _ENVELOPE:
            piece = data[next(iter(lines(data, begin)))[1] : end]
        if piece.strip():
            yield piece


_CUT_BASE64: Final = "Ligne qui n'est pas un segment : une fin de ligne a sans doute coupé le contenu en base64."
_CUT_FIELD: Final = (
    "Saut de ligne ({end}) à l'intérieur du segment {name} : la ligne qui suit n'est pas un segment. "
    "Dans un champ, un saut de ligne s'écrit par l'échappement .br."
)


def cut(data: bytes, before: tuple[int, int], line: tuple[int, int], name: str) -> str:
    """Why a line is no segment: base64 that goes on, or a text that was cut, whose segment and line end are named.

    before: where the segment `name` lies, which precedes that line.
    """
    bare = data[line[0] : line[1]].partition(_separator(data))[0]
    if _OBX_ED.match(data[before[0] : before[0] + 32]) and _BASE64_LINE.fullmatch(bare):
        return _CUT_BASE64
    ends = {b"\r": "CR", b"\n": "LF"}
    written = [ends[byte] for at in range(before[1], line[0]) if (byte := data[at : at + 1]) in ends]
    return _CUT_FIELD.format(name=name, end=" ".join(written[:2]))


def rejoin(data: bytes) -> bytes:
    """Glue lines of bare base64 to the ED OBX they were cut from (E03; off unless the feed asks for it)."""
    pieces: list[bytes] = []
    inside = False
    for line in data.splitlines(keepends=True):
        bare = line.rstrip(b"\r\n")
        if inside and not _is_segment(bare) and _BASE64_LINE.fullmatch(bare.partition(_separator(data))[0]):
            pieces[-1] = pieces[-1].rstrip(b"\r\n")
            pieces.append(line)
            continue
        inside = _OBX_ED.match(bare) is not None
        pieces.append(line)
    return b"".join(pieces)


def _separator(data: bytes) -> bytes:
    at = start(data)
    return data[at + 3 : at + 4] or b"|"


def _is_segment(line: bytes) -> bool:
    return bool(name_of(line[:3])) and (len(line) == 3 or not line[3:4].isalnum())


def count(data: bytes, start: int, end: int, marks: Iterable[bytes], most: int) -> int:
    """How often these bytes occur in `data[start:end]`, or a number above `most`. An absent mark (b"") is not there.

    `bytes.count` looks at each byte, `bytes.find` at many at once: ten times as fast on a document in base64.
    """
    found = 0
    for mark in filter(None, marks):
        if end - start <= _SHORT:
            found += data.count(mark, start, end)
            continue
        at = data.find(mark, start, end)
        while at >= 0 and found <= most:
            found += 1
            at = data.find(mark, at + 1, end)
    return found
