"""Pages of a PDF as pictures, made in a process of its own: what a hostile file breaks is that process.

`python -m router.console.pdf_pages PAGE` reads a PDF and writes a PNG; without PAGE, it writes the number of pages.
"""

from __future__ import annotations

import struct
import sys
import zlib
from typing import Final

from router.console import apart
from router.errors import Malformed

SECONDS: Final = 20
"""A page that takes longer is not shown."""
MOST: Final = 200
_WIDTH: Final = 1000
"""Pixels of a page's width."""
_UNREADABLE: Final = "the PDF can't be shown: download it"


def number(text: str) -> int | None:
    """A rank in an address: 0 to `MOST`, in the digits 0 to 9 alone; None for anything else (`²`, `-1`, `007` too)."""
    plain = text.isascii() and text.isdigit() and str(int(text[:5])) == text
    return int(text) if plain and int(text) < MOST else None


def count(pdf: bytes) -> int:
    """How many pages, `MOST` at most. Raises `Malformed` when it can't be read."""
    answer = _asked(pdf)
    return min(MOST, int(answer)) if answer.isdigit() else 0


def page(pdf: bytes, number: int) -> bytes:
    """One page, from 0 on, as PNG. Raises `Malformed` when it can't be drawn."""
    return _asked(pdf, str(number))


def _asked(pdf: bytes, *words: str) -> bytes:
    fault = Malformed("PDF-PAGE", "", _UNREADABLE)
    return apart.answer_of("router.console.pdf_pages", pdf, *words, seconds=SECONDS, fault=fault)


def _drawn(pdf: bytes, number: int | None) -> bytes:
    import pypdfium2

    document = pypdfium2.PdfDocument(pdf)
    if number is None:
        return str(len(document)).encode()
    shown = document[number]
    scale = min(3.0, _WIDTH / max(1.0, shown.get_width()))
    bitmap = shown.render(scale=scale, rev_byteorder=True, prefer_bgrx=False, may_draw_forms=False)
    return png(bytes(bitmap.buffer), bitmap.width, bitmap.height, bitmap.stride, bitmap.n_channels)


def png(data: bytes, width: int, height: int, stride: int, channels: int) -> bytes:
    """A PNG of 8 bits a channel: grey, RGB or RGBA (PNG, third edition)."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + data[line * stride : line * stride + width * channels] for line in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def main(words: list[str]) -> int:
    """Bounded in memory and time; a fault is an exit code and no text."""
    return apart.work(SECONDS, lambda pdf: _drawn(pdf, int(words[0]) if words else None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
