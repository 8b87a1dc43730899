"""Durable writes of a sink worker, in batches, by one thread: what waits is written together.

Order within a batch: records (receipts, dead letters, held bytes), then rows. So a row never says more than
the bus can prove. Nothing that a lane waits for waits for a timer: an idle writer flushes at once, a busy one gathers
what came while the disk was working. A second thread gathers the records for which no lane waits, and publishes them;
then the first one saves their rows.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from router.contracts import Ledger, Outgoing, Partition, Producer, Row, out_topic
from router.engine.delivery.supersession_rules import passable
from router.engine.retry_policy import backoff
from router.errors import Fenced, Unavailable
from router.exchange import Origin, State

T = TypeVar("T")

MAX_BYTES: Final = 8 * 1024 * 1024
"""The most bytes of records in one transaction (architecture §budgets). One oversize record goes alone."""
MAX_JOBS: Final = 1000
GATHER: Final = 0.02
"""Seconds for which records are gathered while no lane waits for them."""

Rows = Sequence[Row] | Callable[[Sequence[Origin]], Sequence[Row]]


class Opened(NamedTuple):
    """The rows that were there already, by id, and what may have passed those that were opened as `begun`."""

    known: Mapping[str, Row]
    passing: Sequence[Row]


@dataclass(slots=True, eq=False)
class _Job:
    """One caller's write. `rows` may be computed from the origins that its records got."""

    future: asyncio.Future[Any]
    epochs: Mapping[int, int] = field(default_factory=dict)
    """By number of each partition it is about: the epoch that we held when the write was asked for."""
    records: Sequence[Outgoing] = ()
    rows: Rows = ()
    opens: Sequence[Row] = ()
    names: Sequence[str] = ()
    """Lineages whose deletions and replacements are asked for, once the rows are written."""
    ask: Callable[[Ledger], Any] | None = None
    origins: Sequence[Origin] = ()
    result: Any = None
    error: BaseException | None = None

    @property
    def weight(self) -> int:
        return sum(len(record.value) for record in self.records)


Waiting = queue.SimpleQueue[_Job | None]
Work = Callable[[list[_Job]], None]


class DurableWriter:
    """Owns the producer and the ledger of a sink worker. Its coroutines return once the write is durable.

    `owns(partition number)` is asked right before each batch: a job for a partition that another process owns
    now is not written and raises `Fenced`. A process may be frozen after that question: so the ledger is shown the
    epochs of the partitions too, and refuses the rows of one that was taken since. Only the jobs about such
    partitions fail. While the bus or the database is away the batch is tried again for as long as it takes. An
    error that no one expects ends the worker: every later write raises it.
    """

    def __init__(self, name: str, sink: str, producer: Producer, ledger: Ledger, owns: Callable[[int], bool]) -> None:
        self._name = name
        self._sink = sink
        self._epochs: dict[int, int] = {}
        self._noted: dict[int, int] = {}
        """In each partition, the offset behind the last row that was opened."""
        self._producer = producer
        self._ledger = ledger
        self._owns = owns
        self._queue: Waiting = queue.SimpleQueue()
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = self._made(f"{name}-writer", self._queue, self._batch, self._answer)
        self._beside: Waiting = queue.SimpleQueue()
        self._publisher = self._made(f"{name}-publisher", self._beside, self._publish_beside, self._hand_on)
        self.broken: BaseException | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()
        self._publisher.start()

    async def take(self, partitions: Iterable[int]) -> frozenset[int]:
        """Become the one writer of these partitions' rows, as far as they are still ours; returns those."""
        asked, sink = sorted(partitions), self._sink
        taken = await self.ask(lambda ledger: ledger.take(sink, [number for number in asked if self._owns(number)]))
        self._epochs.update(taken)
        return frozenset(taken)

    async def write(
        self, partitions: Sequence[int], *, records: Sequence[Outgoing] = (), rows: Rows = (), beside: bool = False
    ) -> Sequence[Origin]:
        """Publish the records, then save the rows; returns the records' origins. Raises `Fenced`.

        beside: no lane waits for it; what is asked for later may be written sooner
        """
        waiting, epochs = self._beside if beside else self._queue, self._held(partitions)
        origins: Sequence[Origin] = await self._put(waiting, epochs=epochs, records=records, rows=rows)
        return origins

    async def begin(self, row: Row, after: Row | None = None) -> Sequence[Row]:
        """Save a row that says `begun`; returns the deletions and replacements that may have passed its document.

        after: a row of the same partition that is saved with it

        They are looked for after the write: another worker that opens one and then looks for us sees us, or we see it.
        Raises `Fenced`.
        """
        names, rows = passable(row.delivery), [row] if after is None else [after, row]
        found: Sequence[Row] | None = await self._put(
            self._queue, epochs=self._held([row.partition]), rows=rows, names=names
        )
        return found or ()

    async def open(self, rows: Sequence[Row]) -> Opened:
        """Insert rows whose id is new; of those that say `begun` the same is looked for. Raises `Fenced`."""
        epochs = self._held(row.partition for row in rows)
        names = [name for row in rows if row.state is State.BEGUN for name in passable(row.delivery)]
        opened: Opened = await self._put(self._queue, epochs=epochs, opens=rows, names=names)
        for row in rows:
            self._noted[row.partition] = max(row.sequence + 1, self._noted.get(row.partition, 0))
        return opened

    async def saw(self, offsets: Mapping[int, int]) -> None:
        """Note how far these partitions of the sink's topic were seen. Rows that were opened have noted their own.

        A group's offset beyond what is noted says that the ledger is an older one, from a backup.
        """
        if new := {number: at for number, at in offsets.items() if self._noted.get(number, 0) < at}:
            topic = out_topic(self._sink)
            await self.ask(lambda ledger: ledger.saw({Partition(topic, number): at for number, at in new.items()}))

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        """Run a query on the ledger's thread, after every write that was queued before it."""
        answer: T = await self._put(self._queue, ask=question)
        return answer

    def close(self) -> None:
        """Write what is queued, end the thread. Gives up on a bus or database that is away."""
        self._closing.set()
        for thread, waiting in ((self._publisher, self._beside), (self._thread, self._queue)):
            waiting.put(None)
            if thread.is_alive():
                thread.join()

    def _held(self, partitions: Iterable[int]) -> dict[int, int]:
        """Their epochs; 0, which the ledger never gives, for one that was not taken."""
        return {number: self._epochs.get(number, 0) for number in partitions}

    def _put(self, waiting: Waiting, **work: Any) -> asyncio.Future[Any]:
        loop = self._loop
        if loop is None:
            raise RuntimeError("the writer has not been started")
        future = loop.create_future()
        if self.broken is not None:
            future.set_exception(self.broken)
        else:
            waiting.put(_Job(future, **work))
        return future

    # -------------------------------------------------------------------------------------- on the thread

    def _made(self, name: str, waiting: Waiting, work: Work, done: Work) -> threading.Thread:
        return threading.Thread(target=self._run, args=(waiting, work, done), name=name, daemon=True)

    def _run(self, waiting: Waiting, work: Work, done: Work) -> None:
        held: _Job | None = None
        while True:
            job = held or waiting.get()
            if job is None:
                return
            if waiting is self._beside:
                self._closing.wait(GATHER)
            jobs, held, last = self._gather(waiting, job)
            try:
                work(jobs)
            except BaseException as error:
                self.broken = error
                for failed in jobs:
                    failed.error = failed.error or error
            done(jobs)
            if last:
                return

    @staticmethod
    def _gather(waiting: Waiting, first: _Job) -> tuple[list[_Job], _Job | None, bool]:
        """What waits, up to the limits; the job that did not fit; whether the end was asked for."""
        jobs, weight = [first], first.weight
        while len(jobs) < MAX_JOBS:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, None, True
            weight += job.weight
            if weight > MAX_BYTES and job.records:
                return jobs, job, False
            jobs.append(job)
        return jobs, None, False

    def _batch(self, jobs: list[_Job]) -> None:
        if self.broken is not None:
            raise self.broken
        jobs = [job for job in jobs if job.error is None]
        self._refuse_lost(jobs)
        jobs = [job for job in jobs if job.error is None]
        self._publish([job for job in jobs if job.records])
        self._save(jobs)

    def _publish_beside(self, jobs: list[_Job]) -> None:
        if self.broken is not None:
            raise self.broken
        self._refuse_lost(jobs)
        self._publish([job for job in jobs if job.error is None])

    def _hand_on(self, jobs: list[_Job]) -> None:
        """Their records are on the bus: their rows are next."""
        for job in jobs:
            job.records = ()
            self._queue.put(job)

    def _refuse_lost(self, jobs: list[_Job]) -> None:
        """Jobs about partitions that another owns now, or that we took again since they were asked for."""
        newest: dict[int, int] = {}
        for job in jobs:
            for number, epoch in job.epochs.items():
                newest[number] = max(epoch, newest.get(number, 0))
        held = {number: epoch for number, epoch in newest.items() if self._owns(number)}
        if len(held) == len(newest) and all(job.epochs.items() <= held.items() for job in jobs):
            return
        for job in jobs:
            if lost := frozenset(n for n, epoch in job.epochs.items() if held.get(n) != epoch):
                job.error = Fenced("NOT-OWNED", "", "another process owns the partition", partitions=lost)

    def _publish(self, jobs: list[_Job]) -> None:
        records = [record for job in jobs for record in job.records]
        if not records:
            return
        origins = self._insist(lambda: self._producer.publish(records))
        at = 0
        for job in jobs:
            job.result = job.origins = origins[at : at + len(job.records)]
            at += len(job.records)

    def _save(self, jobs: list[_Job]) -> None:
        saves = {id(job): job.rows(job.origins) if callable(job.rows) else job.rows for job in jobs}
        found = self._rows([job for job in jobs if job.opens or saves[id(job)]], saves)
        names = sorted({name for job in jobs for name in job.names})
        passing = self._insist(lambda: self._ledger.overtakers(self._sink, names)) if names else ()
        for job in jobs:
            if job.names:
                job.result = passing
            if job.opens:
                job.result = Opened(found, passing)
            if job.ask is not None:
                job.result = self._insist(lambda ask=job.ask: ask(self._ledger))  # type: ignore[misc]

    def _rows(self, jobs: list[_Job], saves: Mapping[int, Sequence[Row]]) -> Mapping[str, Row]:
        """The rows of all these jobs in one transaction; again without those that the ledger says were taken."""
        while jobs:
            opening = [row for job in jobs for row in job.opens]
            saving = [row for job in jobs for row in saves[id(job)]]
            fence = {(self._sink, number): epoch for job in jobs for number, epoch in job.epochs.items()}
            try:
                return self._insist(lambda a=opening, b=saving, c=fence: self._ledger.write(a, b, c))  # type: ignore[misc]
            except Fenced as fenced:
                for job in jobs:
                    if not fenced.partitions.isdisjoint(job.epochs):
                        job.error = fenced
                left = [job for job in jobs if job.error is None]
                if len(left) == len(jobs):
                    raise
                jobs = left
        return {}

    def _insist(self, work: Callable[[], T]) -> T:
        """Until it succeeds: the lanes wait meanwhile and nothing is lost."""
        attempts = 0
        while True:
            try:
                return work()
            except Unavailable:
                attempts += 1
                if self._closing.wait(backoff(attempts, 0.05, 2.0, 5.0, 0.05)):
                    raise

    def _answer(self, jobs: list[_Job]) -> None:
        def deliver() -> None:
            for job in jobs:
                if job.future.done():
                    continue
                if job.error is not None:
                    job.future.set_exception(job.error)
                else:
                    job.future.set_result(job.result)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(deliver)
