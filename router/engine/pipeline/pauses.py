"""What waits in the pipeline stage: a whole feed, or one partition of it. Nothing of it is lost, the others go on.

A fault of ours (`OperatorFault`) is every event's: the feed waits. What is away (`Unavailable`: a look-up without an
answer) is only needed by the event that asked: its partition waits, because offsets go forward in order and because
what stands behind it may be the same patient's. The other partitions of the feed, and other feeds, go on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from router.contracts import Alert, Clock, Observer, Partition
from router.engine.pipeline.compiled import CompiledPipeline, Pipelines
from router.engine.pipeline.decider import Stopped
from router.engine.pipeline.known_good_events import Blocked
from router.engine.retry_policy import backoff
from router.errors import OperatorFault, Unavailable
from router.wire import NEWER_FORMAT

PATIENCE: Final = 1.0
"""The most seconds between two tries while one event may cause the `OperatorFault` (later events may show it), or while
a newer version's event is there: another process may take it, and what stands beside it must go on."""
TELL_AGAIN: Final = 60
"""A feed, or a stage, that waits causes an alert again after so many tries."""

Where = str | Partition
"""A feed, or one partition of it."""


@dataclass(slots=True)
class _Pause:
    """Why something waits: until a time, and while a stopped pipeline keeps its digest."""

    until: float
    stopped: tuple[str, str] | None = None


class Pauses:
    """Who waits, and until when. feeds: topic -> feed"""

    def __init__(self, feeds: dict[str, str], *, clock: Clock, observer: Observer, alert: Alert) -> None:
        self._feeds = feeds
        self._clock = clock
        self._observer = observer
        self._alert = alert
        self._pauses: dict[Where, _Pause] = {}
        self._attempts: dict[tuple[Where, str], int] = {}

    @property
    def until(self) -> dict[str, float]:
        """Feeds of which something waits, and the monotonic time of the next try."""
        found: dict[str, float] = {}
        for where, pause in self._pauses.items():
            feed = self._feed(where)
            found[feed] = min(pause.until, found.get(feed, pause.until))
        return found

    def holds(self, partition: Partition) -> bool:
        """Whether events of this partition must wait."""
        return partition in self._pauses or self._feeds[partition.topic] in self._pauses

    def add(self, partition: Partition, fault: Unavailable | OperatorFault) -> None:
        """An event of this partition must wait."""
        feed = self._feeds[partition.topic]
        newer = fault.code == NEWER_FORMAT
        where: Where = partition if newer or isinstance(fault, Unavailable) else feed
        key = (where, fault.code if newer else "")  # other events of the feed that go on don't end that wait
        first = not any(self._feed(one) == feed and code == key[1] for one, code in self._attempts)
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        retry_after = fault.retry_after if isinstance(fault, Unavailable) else None
        ceiling = PATIENCE if newer or isinstance(fault, Blocked) else 30.0
        delay = max(backoff(attempts, 0.2, 2.0, ceiling, 0.2), retry_after or 0.0)
        stopped = (fault.pipeline, fault.digest) if isinstance(fault, Stopped) else None
        self._pauses[where] = _Pause(self._clock.monotonic() + delay, stopped)
        if stopped or first or (isinstance(fault, OperatorFault) and attempts % TELL_AGAIN == 0):
            what = "pipeline-stopped" if stopped else "feed-waits"
            self._alert(what, {"feed": feed, "code": fault.code, "place": fault.place, "text": fault.text})
        self._measure(feed)

    def decided(self, partition: Partition) -> None:
        """An event of this partition was decided: its wait is over, and that of its feed for a fault of ours."""
        feed = self._feeds[partition.topic]
        ended = [key for key in ((partition, ""), (feed, "")) if self._attempts.pop(key, 0)]
        if ended and not any(self._feed(where) == feed and not code for where, code in self._attempts):
            self._alert("feed-goes-on", {"feed": feed})
        if ended:
            self._measure(feed)

    def end(self, assigned: Collection[Partition], pipelines: Pipelines) -> None:
        """Forget the pauses whose time has come, and those of partitions that left. pipelines: those that run now."""
        now = self._clock.monotonic()
        for where, pause in list(self._pauses.items()):
            feed = self._feed(where)
            gone = isinstance(where, Partition) and where not in assigned
            if gone:
                self._attempts = {key: count for key, count in self._attempts.items() if key[0] != where}
                self._measure(feed)
            if gone or (now >= pause.until and not _still_stopped(pause, pipelines(feed))):
                del self._pauses[where]

    def _feed(self, where: Where) -> str:
        return where if isinstance(where, str) else self._feeds[where.topic]

    def _measure(self, feed: str) -> None:
        """How many partitions have a first event that waits; the whole feed counts as one."""
        waiting = {where for where, _ in self._attempts if self._feed(where) == feed}
        self._observer.set("partitions_waiting", len(waiting), feed=feed)


def _still_stopped(pause: _Pause, running: Sequence[CompiledPipeline]) -> bool:
    """A stopped pipeline waits for another version of its file."""
    return pause.stopped is not None and pause.stopped in {(one.name, one.digest) for one in running}
