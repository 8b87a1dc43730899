"""Each message of the inbox to the room that handles it: deliveries, commands, partitions that come and go.

Everything here runs one thing at a time, in the order in which the reader told it, so that rows which are not in
flight have a single writer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from router.contracts import Record
from router.engine.delivery.attempt import Attempts
from router.engine.delivery.attempt_tasks import AttemptTasks
from router.engine.delivery.command_handler import CommandHandler
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.inbox import Command, Message, Sweep
from router.engine.delivery.owned_partitions import OwnedPartitions
from router.engine.delivery.partition_reader import Assigned, Broke, PartitionReader, Polled, Revoked
from router.engine.delivery.partition_takeover import PartitionTakeover
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.row_opener import RowOpener
from router.engine.delivery.spill import Spill
from router.errors import Fenced


class RecordDispatcher:
    """Handles the messages of one sink worker's inbox."""

    def __init__(
        self,
        reader: PartitionReader,
        writer: DurableWriter,
        owned: OwnedPartitions,
        opener: RowOpener,
        commands: CommandHandler,
        takeover: PartitionTakeover,
        remote: RemoteInFlight,
        attempts: Attempts,
        tasks: AttemptTasks,
        spill: Spill,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._owned = owned
        self._opener = opener
        self._commands = commands
        self._takeover = takeover
        self._remote = remote
        self._attempts = attempts
        self._tasks = tasks
        self._spill = spill

    async def admit(self, message: Message) -> None:
        """Handle one message: its deliveries are in their lanes then. Raises what the reader broke on."""
        match message:
            case Polled(records):
                await self._ours(records, self._opener.open)
            case Command(record):
                await self._ours([record], self._obey)
            case Assigned(partitions):
                await self._takeover.assigned(partitions)
            case Revoked(partitions, drained):
                await self._takeover.clear(partitions)
                drained.set()
            case Broke(error):
                raise error
            case Sweep():
                await self._sweep()

    async def _ours(self, records: Sequence[Record], work: Callable[[Sequence[Record]], Awaitable[None]]) -> None:
        """Do this for the records of partitions that are ours; then their offsets may move, for the rows say what is
        left to do. A write that is refused says which are not ours."""
        told = records
        while records := [record for record in records if record.partition in self._owned]:
            before = self._owned.numbers
            try:
                await work(records)
                break
            except Fenced as fenced:
                self._takeover.lost(fenced)
                if self._owned.numbers == before:
                    raise
        done: dict[int, int] = {}
        owned = self._owned.numbers
        for record in told:
            if record.partition in owned:
                done[record.partition] = record.offset + 1
            else:
                self._takeover.skip(record.origin)
        await self._writer.saw(done)
        self._reader.settle(done)

    async def _obey(self, records: Sequence[Record]) -> None:
        for record in records:
            await self._commands.obey(record)

    async def _sweep(self) -> None:
        """Look for what has been waiting for long: partitions, other workers' attempts, our own, lanes."""
        self._takeover.reclaim()
        self._remote.look()
        await self._attempts.look_again(self._tasks.begun())
        try:
            await self._spill.sweep()
        except Fenced as fenced:
            self._takeover.lost(fenced)
