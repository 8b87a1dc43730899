"""How long senders and receivers waited in a stretch of time, and how much of it for a processor. Seconds, Unix times.

On a machine that others use, a process stands ready to run and gets no processor. Linux counts that for each thread
(`/proc/<pid>/task/<thread>/schedstat`). What the processes between sender and acknowledgement waited so is taken off
a gap: on a quiet machine that is nearly nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without an acknowledgement. `starved`: of it, what its processes waited for a processor."""

    began: float = 0.0
    seconds: float = 0.0
    starved: float = 0.0

    @property
    def own(self) -> float:
        """What is the router's."""
        return max(0.0, self.seconds - self.starved)


class Starvation:
    """Adds up, several times a second, for how long some processes stood ready without a processor.

    At each look the thread counts that waited longest, of all of them: others waited at the same time.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._last: dict[str, int] = {}
        self._times: list[float] = []
        self._sums: list[float] = []

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Read the counters now."""
        longest, seen = 0, {}
        for pid in self._pids():
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError, IndexError, ValueError):
                    seen[str(file)] = waited = int(file.read_text().split()[1])
                    longest = max(longest, waited - self._last.get(str(file), waited))
        self._last = seen
        self._times.append(time.time())
        self._sums.append((self._sums[-1] if self._sums else 0.0) + longest / 1e9)

    def between(self, since: float, until: float) -> float:
        """Seconds waited between two moments, rounded up to whole looks."""
        if not self._times:
            return 0.0
        first = max(0, bisect_right(self._times, since) - 1)
        last = min(len(self._times) - 1, bisect_left(self._times, until))
        return self._sums[last] - self._sums[first]


def longest_gap(moments: Iterable[float], since: float, until: float) -> Gap:
    """The longest stretch between `since` and `until` in which none of these moments lies."""
    inside = sorted(one for one in moments if since < one < until)
    edges = [since, *inside, until]
    began, end = max(pairwise(edges), key=lambda pair: pair[1] - pair[0])
    return Gap(began, end - began)
