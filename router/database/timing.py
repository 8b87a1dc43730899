"""How long transactions and statements take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Access = Literal["read", "write", "statement"]
"""A transaction that reads, one that writes, or one statement of the driver's own."""
Took = Callable[[Access, float], None]
"""(kind of access, seconds)."""


def unheard(_access: Access, _seconds: float) -> None:
    """Nobody wants to know."""


class Timing:
    """`took` hears of each block. What fails is timed too: it may have waited long."""

    def __init__(self) -> None:
        self.took: Took = unheard

    @contextmanager
    def block(self, access: Access) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.took(access, time.perf_counter() - start)
