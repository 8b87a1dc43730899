"""A small valid PDF of a chosen size: one page of text, and an image of noise that gives the weight.

Real PDFs are compressed, so the noise is what makes archives and mails as large as real ones.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

SMALLEST = 1100
"""Bytes of a PDF without the noise, about."""


def pdf(title: str, lines: Sequence[str], *, size: int = 0, rng: random.Random | None = None) -> bytes:
    """A PDF 1.4 with `title` and `lines` on its page, of `size` bytes or a little more than its text needs."""
    text = _page(title, lines)
    bare = _assemble(text, b"", 0)
    if size <= len(bare):
        return bare
    width = 64
    noise = (rng or random.Random(0)).randbytes(max(width, size - len(bare)) // width * width)
    return _assemble(text, noise, width)


def _page(title: str, lines: Sequence[str]) -> bytes:
    shown = [f"/F1 14 Tf 50 790 Td ({_escape(title)}) Tj /F1 10 Tf"]
    shown += [f"0 -16 Td ({_escape(line)}) Tj" for line in lines]
    return b"BT " + "\n".join(shown).encode("cp1252", "replace") + b" ET"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _assemble(text: bytes, noise: bytes, width: int) -> bytes:
    draw = b"\nq 400 0 0 200 50 50 cm /I1 Do Q" if noise else b""
    resources = b"/Font << /F1 5 0 R >>" + (b" /XObject << /I1 6 0 R >>" if noise else b"")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << " + resources + b" >> >>",
        _stream(b"", text + draw),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    if noise:
        shape = b"/Type /XObject /Subtype /Image /Width %d /Height %d" % (width, len(noise) // width)
        objects.append(_stream(shape + b" /ColorSpace /DeviceGray /BitsPerComponent 8 ", noise))
    return _file(objects)


def _stream(entries: bytes, body: bytes) -> bytes:
    return b"<< %s/Length %d >>\nstream\n%s\nendstream" % (entries, len(body), body)


def _file(objects: Sequence[bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
