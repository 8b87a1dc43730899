"""HL7 addresses that a condition names in another way than ours, `field("OBR-4.1")`: what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from router.hl7 import path

_NO_CODE: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|//.*")
"""Texts and remarks."""
_BARE: Final = re.compile(
    r"(?<![\w.])(?:message\.)?(?P<segment>[A-Za-z][A-Za-z0-9]{2})(?P<rank>\[\w+\])?[-.]"
    r"(?P<rest>\d+(?:\[\w+\])?(?:[-.]\d+)*)(?!\w)"
)


@dataclass(frozen=True, slots=True)
class Bare:
    """An address that stands in a condition without quotes: from `column` (from 1) up to `end`, and its right form."""

    column: int
    end: int
    written: str
    right: str


def bare(source: str) -> Iterator[Bare]:
    """Those that stand outside of quotes."""
    blanked = _NO_CODE.sub(lambda text: " " * len(text[0]), source)
    for found in _BARE.finditer(blanked):
        if right := _right(found):
            yield Bare(found.start() + 1, found.end() + 1, found[0], right)


def mended(written: str) -> str:
    """The right form of a text that can only be meant as an address (`OBR.4.1`, `OBR-4-1`, `OBR4.1`), else ""."""
    apart = re.sub(r"^([A-Za-z]{3}|[A-Za-z]{2}\d)(?=\d)", r"\1-", written)
    found = _BARE.fullmatch(apart)
    return _right(found) if found else ""


def _right(found: re.Match[str]) -> str:
    text = f"{found['segment'].upper()}{found['rank'] or ''}-{found['rest'].replace('-', '.')}"
    try:
        path.parse(text)
    except ValueError:
        return ""
    return text
