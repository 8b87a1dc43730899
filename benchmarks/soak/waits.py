"""How long good senders wait for their acknowledgement, with and without hostile peers. Seconds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from statistics import median

ALLOWED = 2.0
"""Seconds by which hostile peers may delay an acknowledgement."""
STARVED = 0.3
"""Share of the time that the gateway stood ready to run without a processor: beyond, others had the machine."""


@dataclass(frozen=True, slots=True)
class Waited:
    """One message by one way in: from its first sending to its acknowledgement, repeats included."""

    control: str
    way: str
    began: float
    seconds: float


@dataclass
class Waits:
    """`begin` at the first sending of a message, `end` at its acknowledgement."""

    done: list[Waited] = field(default_factory=list)
    _open: dict[str, tuple[str, float]] = field(default_factory=dict)

    def begin(self, control: str, way: str) -> None:
        """`way`: a feed's MLLP listener, or `folder`."""
        self._open[control] = way, time.monotonic()

    def end(self, control: str) -> None:
        way, began = self._open.pop(control)
        self.done.append(Waited(control, way, began, time.monotonic() - began))

    async def window(self, seconds: float, patience: float = 20.0) -> list[Waited]:
        """All messages first sent in the next `seconds`; one that has no answer `patience` later has waited so long."""
        since = time.monotonic()
        await asyncio.sleep(seconds)
        until = time.monotonic()
        while any(since <= at <= until for _, at in self._open.values()) and time.monotonic() < until + patience:  # noqa: ASYNC110  # a dict
            await asyncio.sleep(0.05)
        now = time.monotonic()
        late = [Waited(control, way, at, now - at) for control, (way, at) in self._open.items()]
        return [one for one in [*self.done, *late] if since <= one.began <= until]


@dataclass(frozen=True)
class Comparison:
    """Two windows without any fault: before the hostile peers came, and with them."""

    before: list[Waited]
    among: list[Waited]
    starved: float = 0.0
    """Share of the second window in which the gateway was kept waiting for a processor."""

    @property
    def judged(self) -> bool:
        """Whether the delays are the router's; on a machine that gave it no processor they can't be told apart."""
        return self.starved <= STARVED

    def delayed(self) -> list[tuple[Waited, float]]:
        """What waited longer than it may, and by how many seconds more than the median of before on its way in."""
        usual = {way: median(waits) for way, waits in by_way(self.before).items()}
        more = [(one, one.seconds - usual.get(one.way, 0.0)) for one in self.among]
        return [(one, seconds) for one, seconds in more if seconds > ALLOWED]


def by_way(waits: list[Waited]) -> dict[str, list[float]]:
    """The seconds waited, by way in."""
    found: dict[str, list[float]] = {}
    for one in waits:
        found.setdefault(one.way, []).append(one.seconds)
    return found


def told(waits: list[Waited]) -> str:
    """For the report."""
    return "; ".join(
        f"{way} {len(seconds)}, median {median(seconds):.2f} s, longest {max(seconds):.2f} s"
        for way, seconds in sorted(by_way(waits).items())
    )
