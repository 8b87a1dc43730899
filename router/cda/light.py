"""A document without its long texts of base64, which are most of its bytes: the same to a parser, and much faster.

The characters of base64 stand for themselves in XML text of every encoding that contains ASCII, and in any canonical
form. So such a text is taken out before libxml2 works, a mark stands in its place, and it is put back after.
"""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pybase64

_SELF: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \n"
LONG: Final = 4096
"""Bytes from which a text is worth taking out."""
_STEP: Final = 1 << 16
"""Bytes that are looked at in one piece; of base64 whole groups."""


@dataclass(frozen=True, slots=True)
class Light:
    """A document with numbered marks (32 random hex digits: it can't hold one itself) for its long texts."""

    data: bytes = field(repr=False)
    _mark: bytes
    _texts: tuple[memoryview, ...] = field(repr=False)

    @classmethod
    def of(cls, data: bytes | memoryview) -> Light:
        """The long texts stay where they are in `data`: they are not copied."""
        mark, view = b"segur-%s-" % secrets.token_hex(16).encode(), memoryview(data)
        places = list(_places(view))
        pieces: list[bytes | memoryview] = []
        last = 0
        for number, (start, end) in enumerate(places):
            pieces += (view[last:start], b"%s%d." % (mark, number))
            last = end
        light = b"".join((*pieces, view[last:])) if places else bytes(data)
        return cls(light, mark, tuple(view[start:end] for start, end in places))

    def whole(self, text: bytes) -> list[bytes | memoryview]:
        """Text that was made of `data`, in pieces: the long texts are back in their places."""
        first, *rest = text.split(self._mark)
        pieces: list[bytes | memoryview] = [first]
        for piece in rest:
            number, _, after = piece.partition(b".")
            pieces += (self._texts[int(number)], after)
        return pieces

    def restored(self, text: str) -> str:
        """Text of the parsed document as it was written."""
        if not self._texts or self._mark.decode() not in text:
            return text
        return b"".join(self.whole(text.encode())).decode()

    def decoded(self, element: Any) -> bytes | None:
        """The content of an ED element (`representation="B64"`); None when it has none, or it is no base64."""
        if element is None or element.get("representation") != "B64":
            return None
        written = "".join("".join(element.itertext(with_tail=False)).split()).encode("ascii", "replace")
        return decode([piece for piece in self.whole(written) if piece])


def decode(pieces: list[bytes | memoryview]) -> bytes | None:
    """The content of base64 in pieces, with or without blanks and padding; None when it is none."""
    content = _exact(pieces[0]) if len(pieces) == 1 else None
    if content is not None:
        return content
    text = b"".join(pieces).translate(None, b" \t\r\n").rstrip(b"=")
    return _exact(text + b"=" * (-len(text) % 4))


def _places(data: memoryview) -> Iterator[tuple[int, int]]:
    """Where the long texts begin and end.

    Such a text reaches up to a `<`, so it is no attribute's value: that would have to be closed by a quote. From the
    end of each stretch of `LONG` bytes we look back for a `<`, so most bytes of a long text are never looked at.
    """
    at = 0
    while at + LONG < len(data):
        bracket = bytes(data[at : at + LONG]).rfind(b"<")
        if bracket >= 0:
            at += bracket + 1
            continue
        end = _find(data, b"<", at + LONG, len(data))
        if end < 0:
            return
        start = _find(data, b">", at, end) + 1
        if start and end - start >= LONG and _stands_for_itself(data[start:end]):
            yield start, end
        at = end + 1


def _find(data: memoryview, mark: bytes, start: int, end: int) -> int:
    """Where this byte first stands in `data[start:end]`, or -1."""
    for at in range(start, end, _STEP):
        found = bytes(data[at : min(at + _STEP, end)]).find(mark)
        if found >= 0:
            return at + found
    return -1


def _stands_for_itself(text: memoryview) -> bool:
    """Whether it holds nothing but `_SELF`, and not blanks alone. Base64 on one line is told 20 times faster."""
    blank = True
    for at in range(0, len(text), _STEP):
        piece = text[at : at + _STEP]
        if _exact(piece) is not None:
            blank = False
            continue
        written = bytes(piece)
        if written.translate(None, _SELF):
            return False
        blank = blank and written.isspace()
    return not blank


def _exact(text: bytes | memoryview) -> bytes | None:
    """The content of base64 without blanks and with its padding; None of any other text."""
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
