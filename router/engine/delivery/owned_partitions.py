"""The partitions whose lanes are in this worker's memory."""

from __future__ import annotations

from collections.abc import Iterable

from router.engine.delivery.lanes import Lanes
from router.engine.delivery.partition_reader import PartitionReader
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import PendingDelivery


class OwnedPartitions:
    """Owns the set of partition numbers: `partition in owned`. A partition that leaves takes its rows with it.

    The reader knows sooner whether the group still gives us a partition; this says whether we work on it.
    """

    def __init__(self, reader: PartitionReader, lanes: Lanes, payloads: PayloadCache) -> None:
        self._reader = reader
        self._lanes = lanes
        self._payloads = payloads
        self._numbers: set[int] = set()

    def __contains__(self, partition: int) -> bool:
        return partition in self._numbers

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(self._numbers)

    def add(self, partitions: Iterable[int]) -> None:
        self._numbers.update(partitions)

    def forget(self, partitions: Iterable[int], *, in_flight: bool) -> None:
        """These partitions leave, and their rows leave memory; those in flight too if `in_flight`."""
        partitions = frozenset(partitions)
        self._numbers.difference_update(partitions)
        for pending in self._lanes.drop(partitions, in_flight=in_flight):
            self._payloads.release(pending)

    def forget_lost(self) -> None:
        """Forget the partitions that another process has taken without a word to us."""
        if lost := [number for number in self._numbers if not self._reader.owns(number)]:
            self.forget(lost, in_flight=False)

    def forget_fenced(self, pending: PendingDelivery) -> None:
        """A write of this attempt was refused: whoever owns the partition now reads what the row says."""
        self.forget([pending.row.partition], in_flight=False)
        self._lanes.lose(pending)
