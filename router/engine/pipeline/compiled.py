"""What the pipeline stage asks of the floors above: a compiled pipeline, and words for the journal and the sender."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from router.errors import MessageFault
from router.exchange import Delivery, Event, Exchange, Filtered, Receipt, Routed

UNWANTED: Final = "UNWANTED"
"""Code of a `Filtered` that says: this pipeline's condition does not concern the event. It is not journalled."""


class CompiledPipeline(Protocol):
    """One pipeline file, ready to run. `digest` identifies the file's content in everything it produces."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def feed(self) -> str: ...

    @property
    def reads_only(self) -> bool:
        """Whether `process` changes nothing, so that it may be tried on any event at any time."""
        ...

    def process(self, exchange: Exchange) -> Routed | Filtered:
        """All steps. Raises `MessageFault` (dead letter), `Unavailable` or `OperatorFault` (the feed waits)."""
        ...


Pipelines = Callable[[str], Sequence[CompiledPipeline]]
"""Gives the pipelines of a feed. It is called once a batch, so a reload takes effect between two batches."""

Describe = Callable[[Event, Exchange], Mapping[str, Any]]
"""Gives the fields of `JournalEntry` that the engine cannot know: control_id, documents, patients, asked…"""

Unserved = Callable[
    [Exchange, Sequence[Delivery], Sequence[Receipt], Sequence[MessageFault | Filtered]], Sequence[Receipt]
]
"""(exchange, deliveries made, receipts given, what ended the others) -> receipts that tell the sender which
destination it asked for is not served. Called once per event, whatever became of it. The exchange is the last
one that a pipeline gave back, else the bare event's: the hook reads the event when it has no request."""


Earlier = Callable[[Exchange, Sequence[Delivery], Sequence[Receipt]], Routed]
"""(exchange, deliveries made, receipts given) -> what is made for people whom the message does not name and who have an
earlier version of its document. Called once per event that was decided. Raises `Unavailable`: the feed waits."""


def nobody_earlier(exchange: Exchange, _deliveries: Sequence[Delivery], _receipts: Sequence[Receipt]) -> Routed:
    """Nobody is looked for."""
    return Routed((), exchange)


Unmatched = Callable[[Event], bool]
"""Whether an event that no pipeline wants is a dead letter. If not, it is journalled as filtered."""

NO_PIPELINE: Final = "NO-PIPELINE"
"""Code of an event that no pipeline wants."""


def always_a_dead_letter(_event: Event) -> bool:
    """Nothing is left without anybody seeing it."""
    return True


def no_description(_event: Event, _exchange: Exchange) -> Mapping[str, Any]:
    """Nothing to add to the journal."""
    return {}


def all_served(
    _exchange: Exchange,
    _deliveries: Sequence[Delivery],
    _receipts: Sequence[Receipt],
    _ends: Sequence[MessageFault | Filtered],
) -> Sequence[Receipt]:
    """Nobody to tell."""
    return ()


@dataclass(frozen=True, slots=True)
class BugLimit:
    """How many unexpected errors a pipeline may make before it stops and its events wait."""

    in_a_row: int = 10
    ratio: float = 0.5
    over: int = 100
    """The ratio counts over the last so many events."""


class BugBudget:
    """Counts the unexpected errors of one pipeline at one digest."""

    def __init__(self, limit: BugLimit) -> None:
        self._limit = limit
        self._row = 0
        self._last: deque[bool] = deque(maxlen=limit.over)

    def note(self, bug: bool) -> None:
        """One event went through: with an unexpected error or without."""
        self._row = self._row + 1 if bug else 0
        self._last.append(bug)

    @property
    def spent(self) -> bool:
        """Whether the next unexpected error must stop the pipeline."""
        full = len(self._last) == self._limit.over
        return self._row >= self._limit.in_a_row or (full and sum(self._last) >= self._limit.ratio * self._limit.over)
