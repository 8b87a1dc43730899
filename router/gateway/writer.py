"""Group commit: one thread that takes whatever is waiting, writes it in one publish, and only then lets answers go.

The slower the disk, the bigger the batch: nothing waits for one message at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.contracts import Bus, Ledger, Outgoing, Producer, Settle
from router.errors import Bug, Fenced, MessageFault, OperatorFault, RouterError, Unavailable

BATCH_BYTES: Final = 8 * 2**20
"""The most bytes of one transaction (architecture §budgets). One bigger item goes alone."""


@dataclass(slots=True)
class Item:
    """One message to write. After its turn: `known` is the ACK stored for its id, or `error` why it isn't written."""

    event_id: str
    records: Sequence[Outgoing] = field(repr=False)
    note: Callable[[], Outgoing] | None = field(default=None, repr=False)
    """Gives what is written instead of `records` when the id is already known."""
    context: object = field(default=None, repr=False)
    known: bytes | None = field(default=None, repr=False)
    error: RouterError | None = None
    late: Callable[[], Sequence[Outgoing]] | None = field(default=None, repr=False)
    """Gives the records when they are written, where they hold a copy of a large message of `size` bytes."""
    size: int = 0

    @property
    def weight(self) -> int:
        return self.size or sum(len(record.value) for record in self.records)


class KnownIds:
    """The ledger's stored ACKs, for several threads: one asks at a time. A ledger that can't be asked knows nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()

    def acks(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """The ACKs of those ids that were accepted before. A miss is harmless: the pipelines' claim decides."""
        with self._lock:
            try:
                return self._ledger.acks(ids)
            except RouterError:
                return {}


class BatchWriter:
    """Writes items in batches with one producer. Not thread-safe: belongs to the thread that writes."""

    def __init__(self, bus: Bus, known: KnownIds, name: str) -> None:
        self._bus, self._known, self._name = bus, known, name
        self._producer: Producer | None = None

    def write(self, items: Sequence[Item], *, settle: Settle | None = None) -> None:
        """Write them, and move the offsets of `settle` with them. Fills `known` and `error` of each item.

        With `settle` all or nothing: raises what the bus raised. Without it never raises.
        """
        stored = self._known.acks([item.event_id for item in items if item.event_id])
        for item in items:
            item.known = stored.get(item.event_id)
        try:
            self._publish(items, settle)
        except RouterError as error:
            if settle is not None:
                raise
            self._apart(items, error)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _publish(self, items: Sequence[Item], settle: Settle | None) -> None:
        try:
            records: list[Outgoing] = []
            for item in items:
                if item.known is None:
                    records += item.late() if item.late is not None else item.records
                elif item.note is not None:
                    records.append(item.note())
            if not records and settle is None:
                return
            if self._producer is None:
                self._producer = self._bus.producer(self._name)
            self._producer.publish(records, settle=settle)
        except RouterError:
            raise
        except Exception as error:
            raise Bug.of(error, "publish") from error

    def _apart(self, items: Sequence[Item], error: RouterError) -> None:
        """A batch failed. When a message is to blame, write each alone, so that only that one is refused."""
        if isinstance(error, MessageFault) and len(items) > 1:
            for item in items:
                try:
                    self._publish([item], None)
                except RouterError as own:
                    item.error = _bare(own)
            return
        error = _bare(error)
        for item in items:
            # What is already known was answered before: that stays true whatever the bus says now.
            item.error = error if item.known is None else None


def _bare(error: RouterError) -> RouterError:
    """The error without its tracebacks: their frames hold the messages, and an item that holds its error would make
    a cycle that keeps 20 MB until the collector comes by."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class GroupCommit:
    """The writing thread. `done` is called in it with each batch that has had its turn."""

    def __init__(self, writer: BatchWriter, done: Callable[[Sequence[Item]], None]) -> None:
        self._writer, self._done = writer, done
        self._waiting: deque[Item] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self.fatal: RouterError | None = None
        """Set when another process took our place, or an operator must act: nothing more will be written."""
        self._thread = threading.Thread(target=self._run, name="gateway-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue an item. Any thread."""
        with self._wake:
            self._waiting.append(item)
            self._wake.notify()

    @property
    def waiting(self) -> int:
        """How many items nobody has taken yet."""
        return len(self._waiting)

    def close(self, timeout: float) -> None:
        """Write what is queued, then stop; wait at most so many seconds."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # whoever waits for an answer must not wait for ever
            self.fatal = Bug.of(error, "writer")

    def _work(self) -> None:
        while self._turn():
            pass
        self._writer.close()

    def _turn(self) -> bool:
        """Write one batch; False once closed and done. Nothing holds the batch afterwards, which may be large."""
        batch = self._take()
        if not batch:
            return False
        self._writer.write(batch)
        failed = next((item.error for item in batch if item.error is not None), None)
        if isinstance(failed, Fenced | OperatorFault):
            self.fatal = failed
        if isinstance(failed, Unavailable):
            batch = [*batch, *self._give_up(failed)]
        self._done(batch)
        return True

    def _take(self) -> list[Item]:
        """Everything that waits, up to 8 MB; blocks for the first. Empty once closed and done."""
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            batch: list[Item] = []
            size = 0
            while self._waiting and (not batch or size + self._waiting[0].weight <= BATCH_BYTES):
                item = self._waiting.popleft()
                size += item.weight
                batch.append(item)
            return batch

    def _give_up(self, error: RouterError) -> list[Item]:
        """The bus is away: those who wait behind are told at once, rather than each after its own time-out."""
        with self._wake:
            left = list(self._waiting)
            self._waiting.clear()
        for item in left:
            item.error = error
        return left
