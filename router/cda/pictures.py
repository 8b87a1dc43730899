"""Pictures of a document: which kind, and how large, told by their first bytes (PNG, JPEG and GIF specifications)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

LARGEST: Final = 40_000_000
"""Pixels of a picture that is shown: a scanned page of A4 at 600 dpi has 35 million."""
HEAVIEST: Final = 8 * 2**20
"""Bytes of a picture that is shown."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be shown: `kind` is png, jpeg or gif."""

    kind: str
    width: int
    height: int
    content: bytes = field(repr=False)


def picture_of(content: bytes) -> Picture | None:
    """The picture that these bytes begin; None when it is of another kind, cut in its head, or too large to show."""
    size = None
    kind = ""
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= 24:
        kind, size = "png", struct.unpack(">II", content[16:24])
    elif content.startswith((b"GIF87a", b"GIF89a")) and len(content) >= 10:
        kind, size = "gif", struct.unpack("<HH", content[6:10])
    elif content.startswith(b"\xff\xd8\xff"):
        kind, size = "jpeg", _jpeg_size(content)
    if size is None or not 0 < size[0] * size[1] <= LARGEST or len(content) > HEAVIEST:
        return None
    return Picture(kind, size[0], size[1], content)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in the first frame header (ITU T.81)."""
    at = 2
    while at + 9 <= len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        if length < 2:
            return None
        at += 2 + length
    return None
