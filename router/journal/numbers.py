"""Short numbers in the place of long texts: of five million events each byte of a key counts twenty times.

A number has 64 bits, in the range of a signed integer of SQL. Those of events and terms are parts of digests: that two
of the millions of one journal are the same is as likely as one in ten thousand, and they need the same instant too.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_HALF: Final = 2**63
_DIGITS: Final = 8
_LOW: Final = 32
_LOWER: Final = 0xFFFF_FFFF
_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")


def of_event(event_id: str) -> int:
    """Of a digest its first eight digits, in their order, and a part of a digest of it all; of other ids that alone."""
    number = of_text(event_id)
    if not _DIGEST.fullmatch(event_id):
        return number
    return (int(event_id[:_DIGITS], 16) << _LOW) - _HALF + (number & _LOWER)


def of_text(text: str) -> int:
    """Of a term, or of a line."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def beginning(text: str) -> tuple[int, int] | None:
    """(first, last) of the events whose id may begin with these digits; None when it is not the beginning of one."""
    text = text.strip().lower()
    if not _DIGEST.fullmatch(text):
        return None
    first = (int(text[:_DIGITS], 16) << _LOW) - _HALF
    return first, first + _LOWER
