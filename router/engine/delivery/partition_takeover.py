"""Partitions come and go: what a predecessor left is taken over, what leaves is drained first."""

from __future__ import annotations

from typing import Final

from router.engine.delivery import row_transitions
from router.engine.delivery.admission import Admission
from router.engine.delivery.attempt_tasks import AttemptTasks
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes, in_order
from router.engine.delivery.owned_partitions import OwnedPartitions
from router.engine.delivery.partition_reader import PartitionReader
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.worker_settings import WorkerSettings
from router.errors import Fenced
from router.exchange import Origin, State

GRACE: Final = 0.2
"""Seconds in which a worker that takes over reads its topic before it repeats anything: a deletion that came
meanwhile must find the document still here (D1)."""


class PartitionTakeover:
    """Takes over, clears and reclaims partitions of one sink worker; called from its dispatcher, one at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        reader: PartitionReader,
        owned: OwnedPartitions,
        lanes: Lanes,
        tasks: AttemptTasks,
        writer: DurableWriter,
        remote: RemoteInFlight,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._owned = owned
        self._lanes = lanes
        self._tasks = tasks
        self._writer = writer
        self._remote = remote
        self._admission = admission
        self._skipped: dict[int, int] = {}
        """The first offset that was passed over in a partition that is not ours, or no longer."""
        self._strays: dict[int, float] = {}
        """Partitions that the group gives us and we do not work on, since when (monotonic)."""

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Take partitions over; those that are lost again meanwhile are left out."""
        for number in partitions:
            self._skipped.pop(number, None)
        while partitions:
            await self.clear(partitions)
            try:
                await self._take_over(partitions)
                return
            except Fenced as fenced:
                self.lost(fenced)
                partitions &= self._owned.numbers

    async def clear(self, partitions: frozenset[int]) -> None:
        """Start nothing more, wait for what is in flight, forget the rest: the ledger has it."""
        self._forget(partitions, in_flight=False)
        await self._tasks.drain(partitions, self._settings.limits.patience)
        self._forget(partitions, in_flight=True)

    def lost(self, fenced: Fenced) -> None:
        """A write was refused: forget what is no longer ours; its owner reads the same rows. Raises `Fenced` again
        when it does not say which partitions were lost."""
        if not fenced.partitions:
            raise fenced
        self._forget(fenced.partitions, in_flight=False)

    def skip(self, origin: Origin) -> None:
        """This record was passed over, for its partition is not ours."""
        self._skipped.setdefault(origin.partition, origin.offset)

    def reclaim(self) -> None:
        """Ask for partitions that the group still gives us although we gave them up.

        The group may have been silent for a while and then go on as if nothing had been; or a predecessor that woke
        late took the epoch of what is ours. Not at once: who was frozen must hear first what it lost.
        """
        now = self._settings.clock.monotonic()
        strays = [n for n in self._reader.assigned if n not in self._owned and self._reader.owns(n)]
        self._strays = {number: self._strays.get(number, now) for number in strays}
        ripe = [number for number, since in self._strays.items() if now - since >= self._settings.limits.patience]
        if ripe:
            self._strays = {}
            self._reader.retake({number: self._skipped.get(number) for number in ripe})

    async def _take_over(self, partitions: frozenset[int]) -> None:
        """What a predecessor left unfinished: what it had begun has an unknown outcome."""
        sink = self._settings.sink
        ours = await self._writer.take(partitions)
        rows = in_order(await self._writer.ask(lambda ledger: ledger.unfinished(sink, ours)))
        for row in await self._writer.ask(lambda ledger: ledger.dead(sink, strict=True)):
            if row.partition in ours:
                self._lanes.block(row)
        self._owned.add(ours)
        begun = [row for row in rows if row.state is State.BEGUN]
        rows = [row_transitions.restarted(row) for row in rows]
        if begun:  # others must not take it for one that is in flight
            await self._writer.write(sorted(ours), rows=list(map(row_transitions.restarted, begun)))
        await self._admission.enter([(row, None) for row in rows], not_before=self._settings.clock.monotonic() + GRACE)

    def _forget(self, partitions: frozenset[int], *, in_flight: bool) -> None:
        self._owned.forget(partitions, in_flight=in_flight)
        self._remote.look()
