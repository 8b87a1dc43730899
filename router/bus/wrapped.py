"""What stands around a bus or a consumer (`observed`, `sealed`): it changes some calls and passes the others on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from router.contracts import Bus, Consumer, Offsets, Partition, Record

Callback = Callable[[frozenset[Partition]], None]
"""Hears which partitions were assigned, or revoked."""


class WrappedBus:
    """`contracts.Bus`. Whatever else the bus offers beside the contract is reached as before."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


class WrappedConsumer:
    """`contracts.Consumer`. `inner`: the one of the bus, which its producers must get in a `Settle`."""

    def __init__(self, inner: Consumer) -> None:
        self.inner = inner

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        return self.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout=timeout)

    def pause(self, partitions: Collection[Partition]) -> None:
        self.inner.pause(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self.inner.resume(partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        self.inner.seek(partition, offset)

    def commit(self, offsets: Offsets) -> None:
        self.inner.commit(offsets)

    def committed(self, partition: Partition) -> int | None:
        return self.inner.committed(partition)

    def assignment(self) -> frozenset[Partition]:
        return self.inner.assignment()

    def owns(self, partition: Partition) -> bool:
        return self.inner.owns(partition)

    def close(self) -> None:
        self.inner.close()
