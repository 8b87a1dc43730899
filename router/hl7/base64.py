"""The base64 of real senders: cut into lines, escaped, unpadded, truncated (hl7-input §7.5).

Normalise, then decode strictly: Python's own lenient decoder drops what it doesn't know and returns garbage.
Clean base64 takes the fast road: one strict decode, no copy of the text.
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from typing import Final

import pybase64

from router.errors import Malformed
from router.hl7.header import DEFAULT, Separators
from router.hl7.segment import Segment

Buffer = bytes | bytearray | memoryview

_BLANKS: Final = b"\r\n\t \xa0"
_NBSP: Final = b"\xc2\xa0"


#: An escape that stands for a line end or a blank, between its escape characters (`%s`): `.br`, `.sp`, `.ce`…, or
#: bytes in hexadecimal in any number of digits (`0D`, `00D`, `000D`, `0D0A`, `20`), as engines write them.
_BREAK: Final = (
    rb"(?:\.(?:br|ce|fi|nf|(?:sp|sk|in|ti)[+-]?\d{0,4})"
    rb"|X(?=[\dA-F]{1,64}%s)(?:[9AD]|A0|85|(?:0*20|0*C2A0|0+[9AD])+0*|0+))"
)


@lru_cache(maxsize=64)
def _line_breaks(mark: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    r"""`\.br\`, `\X0D\`, `\X0A\`, `\X00D\` in any case; and those that share an escape character or were escaped twice.

    The second pattern (`\X0D\X0A\`, `\E\X0D\E\`) could take a letter of the text for its own: only where the first
    leaves escape characters.
    """
    once = re.escape(mark)
    twice = rb"(?:%s(?:E%s)?)" % (once, once)
    inside = _BREAK % once
    return (
        re.compile(once + inside + once, re.IGNORECASE),
        re.compile(twice + rb"(?:" + inside + twice + rb")+", re.IGNORECASE),
    )


def normalise(field: Buffer, separators: Separators = DEFAULT) -> bytes:
    """The bare base64 text, without line breaks in any form, repetition separators and padding."""
    text = received = bytes(field)
    if separators.escape and separators.escape in text:
        plain, odd = _line_breaks(separators.escape)
        text = plain.sub(b"", text)
        if separators.escape in text:
            text = odd.sub(b"", received)
    if separators.repetition:
        text = text.replace(separators.repetition, b"")
    if _NBSP in text:
        text = text.replace(_NBSP, b"")
    return text.translate(None, _BLANKS).rstrip(b"=")


def decode(field: Buffer, *, place: str = "", separators: Separators = DEFAULT) -> bytes:
    """The document's bytes. `place` is where the field stands (`OBX^1^5^1^5`).

    Raises `Malformed` R34: a character that is not base64, a truncated group, or nothing at all.
    """
    try:
        decoded = pybase64.b64decode(field, validate=True)
    except (binascii.Error, ValueError):
        text = normalise(field, separators)
        if len(text) % 4 == 1:
            raise Malformed("R34", place, "Document tronqué : base64 incomplet.") from None
        decoded = _strict(text, place)
    if not decoded:
        raise Malformed("R34", place, "Document illisible : base64 invalide.")
    return decoded


def decode_tolerant(field: Buffer, *, place: str = "", separators: Separators = DEFAULT) -> tuple[bytes, bool]:
    """For mail bodies: as `decode`, but a last group that was cut is dropped; says whether one was.

    A group of one character (4k+1) holds no whole byte; an empty field gives b"". Raises `Malformed` R34.
    """
    text = normalise(field, separators)
    truncated = len(text) % 4 == 1
    return _strict(text[:-1] if truncated else text, place), truncated


def decode_obx(segment: Segment, *, place: str = "") -> bytes:
    """The document of an ED OBX (OBX-5.5), joined again when `~` split it. Raises `Malformed` R34."""
    place = place or f"OBX^{segment.index}^5^1^5"
    separators = segment._encoded.separators
    first, whole = segment.field(5), segment.raw("5")
    begin = len(first.raw())
    if begin == len(whole):
        return decode(first.raw(5), place=place, separators=separators)
    rest = bytes(whole[begin:])
    if separators.component and separators.component in rest:
        raise Malformed("R34", place, "Plusieurs documents dans un même OBX-5.")
    return decode(bytes(first.raw(5)) + rest, place=place, separators=separators)


def _strict(text: bytes, place: str) -> bytes:
    try:
        return pybase64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("R34", place, "Document illisible : base64 invalide.") from error
