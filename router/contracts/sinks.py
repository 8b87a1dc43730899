"""What a step and a sink are to those who run them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from router.contracts.ledger import Row
from router.exchange import Delivery, Exchange, Filtered


class Step(Protocol):
    """One transformation: pure but for the look-ups it was built with.

    Raises `MessageFault` (dead letter) or `Unavailable` (the event, and what stands behind it in its partition, waits).
    """

    def __call__(self, exchange: Exchange) -> Exchange | Filtered: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which try this is: `number` from 1, `first` Unix time of the first one, `unknown` if one's outcome is.

    The trials of an open circuit are not counted.

    progress: what earlier attempts had settled when they failed (`RouterError.progress`), for an effect of several
    parts: those are not made again.

    recheck: for a sink that had to wait for its turn, right before what changes the outside leaves. Raises what the
    sink lets pass: `Overtaken` once a deletion has come, `Fenced` once the lane is another's.
    """

    number: int
    first: float
    unknown: bool = False
    recheck: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    progress: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sink says of an effect that succeeded: evidence for the receipt, context for feedback."""

    code: str = ""
    text: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """Delivers to one outside system. Lives on one event loop; many `deliver` run at once, one per lane.

    No foreign exception leaves it: `Refused` and the other `MessageFault`s dead-letter the delivery (their
    receipt answers the sender), `Unavailable` waits, `OutcomeUnknown` asks `on_unknown`, `OperatorFault` opens
    the circuit. What reaches the outside derives its identifiers from `delivery.id` alone.
    """

    name: str
    on_unknown: Literal["verify", "repeat", "hold"]

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome: ...

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        """After an unknown outcome: the outcome if the effect did happen, None if it did not."""
        ...

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """The receipt's context, also for a delivery that failed or was superseded. Cheap, no I/O."""
        ...

    async def probe(self) -> None:
        """One cheap call that fails as a delivery would while the system is down."""
        ...

    async def close(self) -> None: ...


class Archive(Protocol):
    """What a sink may ask of the past, read-only: earlier deliveries of the same document."""

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]: ...


class Turns(Protocol):
    """Turns that are evenly spaced over all processes of a site (dmp §7: a limit of the DMP)."""

    def take(self, name: str, interval: float) -> float:
        """Reserve the next turn of `name`, `interval` seconds after the one before it; seconds until then. Any thread.

        Raises `Unavailable` when the database is away: no turn was taken.
        """
        ...

    def at_hand(self, name: str, interval: float) -> float | None:
        """The same when this process has a turn of `name` reserved already, at no cost; None: call `take`."""
        ...


class OwnTurns:
    """Turns of this process alone: for tools and tests."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, name: str, interval: float) -> float:
        """See `Turns`."""
        with self._lock:
            now = self._monotonic()
            mine = max(now, self._next.get(name, now))
            self._next[name] = mine + interval
            return mine - now

    def at_hand(self, name: str, interval: float) -> float | None:
        """See `Turns`: always one."""
        return self.take(name, interval)
