"""A bus that is measured: rebalances, fences, and how long commits take. The same for Kafka and the embedded bus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from router.bus.wrapped import Callback, WrappedBus, WrappedConsumer
from router.contracts import Bus, Consumer, Observer, Offsets, Outgoing, Partition, Producer, Record, Settle
from router.errors import Fenced
from router.exchange import Origin


def observed(bus: Bus, observer: Observer) -> Bus:
    """The same bus, measured. Whatever else it offers beside the contract is reached as before."""
    return cast(Bus, _ObservedBus(bus, observer))


class _ObservedBus(WrappedBus):
    """`contracts.Bus`: what `bus` does, with its consumers and producers measured by group."""

    def __init__(self, bus: Bus, observer: Observer) -> None:
        super().__init__(bus)
        self._observer = observer

    def producer(self, name: str) -> Producer:
        return _ObservedProducer(self._bus.producer(name))

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        assigned: Callback | None = None,
        revoked: Callback | None = None,
    ) -> Consumer:
        def given(partitions: frozenset[Partition]) -> None:
            self._observer.count("rebalances_total", group=group)
            if assigned is not None:
                assigned(partitions)

        measured = _Group(group, self._observer)
        with measured.fences():
            inner = self._bus.consumer(group, topics, member=member, assigned=given, revoked=revoked)
        return ObservedConsumer(inner, measured)


class _Group:
    """Where the measures of one group go."""

    def __init__(self, name: str, observer: Observer) -> None:
        self._name = name
        self._observer = observer

    @contextmanager
    def fences(self) -> Iterator[None]:
        try:
            yield
        except Fenced:
            self._observer.count("fences_total", group=self._name)
            raise

    @contextmanager
    def commit(self) -> Iterator[None]:
        """A commit that fails is measured too: it may have waited long."""
        start = time.perf_counter()
        try:
            with self.fences():
                yield
        finally:
            self._observer.time("commit_seconds", time.perf_counter() - start, group=self._name)


class ObservedConsumer(WrappedConsumer):
    """A consumer whose fences and commits are measured."""

    def __init__(self, inner: Consumer, group: _Group) -> None:
        super().__init__(inner)
        self.measured = group

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        with self.measured.fences():
            return self.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout=timeout)

    def seek(self, partition: Partition, offset: int) -> None:
        with self.measured.fences():
            self.inner.seek(partition, offset)

    def commit(self, offsets: Offsets) -> None:
        if offsets:
            with self.measured.commit():
                self.inner.commit(offsets)


class _ObservedProducer:
    """`contracts.Producer`: a transaction is measured as the commit of the group whose offsets it moves."""

    def __init__(self, inner: Producer) -> None:
        self._inner = inner

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        if settle is None or not isinstance(settle.consumer, ObservedConsumer):
            return self._inner.publish(records, settle=settle)
        with settle.consumer.measured.commit():
            return self._inner.publish(records, settle=replace(settle, consumer=settle.consumer.inner))

    def close(self) -> None:
        self._inner.close()
