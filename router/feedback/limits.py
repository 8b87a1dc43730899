"""How much of a stranger's mail is read: beyond any of these it goes to a person, unread (promise 11)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Reports of mail servers and of readers stay far below each of them.

    fields:       header fields of one header, and of one report part
    header_bytes: bytes of one header, and of one report part
    depth:        parts within parts;  parts: of the whole mail
    text_bytes:   bytes of a text that are looked at; the rest is passed over
    seconds:      time to read one mail
    """

    fields: int = 1000
    header_bytes: int = 256 * 1024
    depth: int = 10
    parts: int = 200
    text_bytes: int = 100_000
    seconds: float = 2.0


LIMITS: Final = Limits()


class TooMuch(Exception):
    """The mail is beyond a limit. Its text names the limit, and holds no value of the mail."""


class Budget:
    """What may still be spent on one mail. Every method raises `TooMuch`."""

    def __init__(self, limits: Limits = LIMITS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._parts = 0
        self._monotonic = monotonic
        self._deadline = monotonic() + limits.seconds

    def part(self, depth: int) -> None:
        """One more part, at this depth; the mail itself is at depth 0."""
        self._parts += 1
        if self._parts > self.limits.parts:
            raise TooMuch(f"more than {self.limits.parts} parts")
        if depth > self.limits.depth:
            raise TooMuch(f"parts within parts, deeper than {self.limits.depth}")
        self.time()

    def header(self, fields: int, size: int) -> None:
        """A header has so many fields and bytes so far."""
        if fields > self.limits.fields:
            raise TooMuch(f"more than {self.limits.fields} header fields")
        if size > self.limits.header_bytes:
            raise TooMuch(f"a header of more than {self.limits.header_bytes} bytes")

    def time(self) -> None:
        if self._monotonic() > self._deadline:
            raise TooMuch(f"more than {self.limits.seconds:g} s to read")
