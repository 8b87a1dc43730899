"""What a sink worker is given and never changes: its bounds, its policy, its clock, and where it tells what happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from router.contracts import Alert, Clock, Observer, Row
from router.engine.dead_letters.evidence import Names
from router.engine.dead_letters.remediation import Advice
from router.engine.retry_policy import RetryPolicy
from router.exchange import Origin


def nothing_doubtful(_origin: Origin) -> bool:
    """The bus was not restored from a backup."""
    return False


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a sink worker; the defaults are the design's."""

    capacity: int = 10_000
    """Rows of all lanes in memory."""
    backlog: int = 50_000
    """Rows of all lanes that only the ledger holds."""
    window: int = 64
    """Rows of one lane in memory."""
    bytes: int = 64 * 1024 * 1024
    """Payload bytes in memory; beyond, they are dropped and read again."""
    patience: float = 10.0
    """Seconds given to what is in flight when a partition leaves or the worker stops."""
    hold_after: float = 60.0
    """Seconds after which a waiting lane leaves memory."""
    sweep: float = 5.0
    """Seconds between two looks for such lanes."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """See the module. `sink`: the name of the sink instance."""

    sink: str
    policy: RetryPolicy
    limits: Limits
    clock: Clock
    observer: Observer
    alert: Alert
    advice: Advice
    names: Names
    """Of evidence: what operators call it."""
    doubtful: Callable[[Origin], bool] = nothing_doubtful
    """Whether what was made of the record at this place may have left already: see `row_transitions.in_doubt`."""

    def due(self, row: Row) -> float:
        """Monotonic time of a row's next try; a clock that jumped makes nobody wait longer than the ceiling."""
        delay = min(row.next_try - self.clock.now(), self.policy.ceiling)
        return self.clock.monotonic() + delay if delay > 0 else 0.0
