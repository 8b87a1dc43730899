"""What a PDF says of itself: the part of PDF/A that it claims to keep (ISO 19005, `pdfaid` in its XMP metadata)."""

from __future__ import annotations

import re
from typing import Final

_PART: Final = re.compile(rb"""pdfaid:part\s*(?:>|=\s*["'])\s*([1-4])""")
_LEVEL: Final = re.compile(rb"""pdfaid:conformance\s*(?:>|=\s*["'])\s*([ABUEFabuef])""")


def claimed(pdf: bytes | bytearray) -> str:
    """`PDF/A-1b` of a PDF whose metadata claims it, '' of one that claims nothing. The claim is not verified.

    PDF/A wants these metadata in clear (ISO 19005-1): those that are packed count as none.
    """
    told = pdf.find(b"pdfaid:part")
    part = _PART.search(pdf, told) if told >= 0 else None
    if part is None:
        return ""
    level = _LEVEL.search(pdf, max(part.start() - 2000, 0))
    return f"PDF/A-{part[1].decode()}{level[1].decode().lower() if level else ''}"
