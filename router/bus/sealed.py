"""A bus whose records are sealed on the disk. The same for Kafka and the embedded bus.

A sealed record has the header `sealed`. One without it is read as it is: a bus may hold both, while encryption is
turned on or off. Key and headers stay in clear, for order and for what never opens a record; they hold pseudonyms
(decisions D7). They are bound to the value: it can't stand in another record.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

from router.bus.wrapped import Callback, WrappedBus, WrappedConsumer
from router.contracts import Bus, Consumer, Offsets, Outgoing, Producer, Record, Settle, first_offsets, rewind
from router.errors import Malformed, OperatorFault
from router.exchange import Origin
from router.sealing import envelope
from router.sealing.sealer import Sealer

log = logging.getLogger(__name__)

HEADER: Final = "sealed"
_RAW: Final = "raw."


class Seals:
    """What seals and opens the records of one bus.

    sealer:   None where the site has no `encryption`: then a sealed record is the operator's matter
    writes:   seal new records
    in_clear: topics that other systems write or read, beside `raw.<feed>`
    """

    def __init__(self, sealer: Sealer | None, *, writes: bool, in_clear: Collection[str] = ()) -> None:
        self._sealer, self.writes = sealer, writes and sealer is not None
        self._in_clear = frozenset(in_clear)

    def sealed(self, records: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Raises `Unavailable`, `OperatorFault` before the first data key of this process."""
        return [self._one(record) for record in records] if self.writes else records

    def opened(self, record: Record) -> Record:
        """The record as it was written; `damaged` and empty when its value is not what was sealed there.

        Raises `OperatorFault` or `Unavailable` when no key opens it: it may be whole, so nothing is done with it.
        """
        if HEADER not in record.headers or self._clear(record.topic):
            return record
        bare = _without_mark(record)
        if self._sealer is None:
            text = "a record is sealed: the site file lacks `encryption` (`bus: false` in it writes in clear)"
            raise OperatorFault("SEALING-OFF", record.topic, text)
        try:
            value = self._sealer.unseal(record.value, _what(record.topic, record.key, bare.headers))
        except Malformed as fault:
            log.error(
                "a sealed record was changed on the disk: %s", record.origin, extra={"code": fault.code, "alert": "bus"}
            )
            return replace(bare, value=b"", damaged=True)
        return replace(bare, value=value)

    def _one(self, record: Outgoing) -> Outgoing:
        if self._sealer is None or self._clear(record.topic):
            return record
        value = self._sealer.seal(record.value, _what(record.topic, record.key, record.headers))
        return replace(record, value=value, headers={**record.headers, HEADER: str(envelope.VERSION)})

    def _clear(self, topic: str) -> bool:
        return topic.startswith(_RAW) or topic in self._in_clear


def _without_mark(record: Record) -> Record:
    return replace(record, headers={name: value for name, value in record.headers.items() if name != HEADER})


def _what(topic: str, key: str, headers: Mapping[str, str]) -> bytes:
    """What a record is, as associated data of its value."""
    return envelope.context("bus", topic, key, json.dumps(headers, sort_keys=True, separators=(",", ":")))


def sealed(bus: Bus, seals: Seals) -> Bus:
    """The same bus, sealed. Whatever else it offers beside the contract is reached as before."""
    return cast(Bus, _SealedBus(bus, seals))


class _SealedBus(WrappedBus):
    """A bus whose consumers open records, and whose producers seal them."""

    def __init__(self, bus: Bus, seals: Seals) -> None:
        super().__init__(bus)
        self._seals = seals
        if seals.writes and (noted := getattr(bus, "holds_sealed", None)) is not None:
            noted()

    def producer(self, name: str) -> Producer:
        return _SealedProducer(self._bus.producer(name), self._seals)

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        assigned: Callback | None = None,
        revoked: Callback | None = None,
    ) -> Consumer:
        inner = self._bus.consumer(group, topics, member=member, assigned=assigned, revoked=revoked)
        return _SealedConsumer(inner, self._seals)

    def read(self, origin: Origin) -> Record | None:
        record = self._bus.read(origin)
        return None if record is None else self._seals.opened(record)

    def scan(self, topic: str, *, newest_first: bool = False, limit: int | None = None) -> Iterator[Record]:
        return map(self._seals.opened, self._bus.scan(topic, newest_first=newest_first, limit=limit))

    def headlines(self, topic: str, *, lacking: str = "", begin: Offsets | None = None) -> Iterable[Record]:
        """See the contract. On Kafka the bytes were read, and stay closed."""
        return map(_without_mark, self._bus.headlines(topic, lacking=lacking, begin=begin or {}))


class _SealedConsumer(WrappedConsumer):
    """A consumer that opens what it reads."""

    def __init__(self, inner: Consumer, seals: Seals) -> None:
        super().__init__(inner)
        self._seals = seals

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        """Where a record can't be opened, those polled with it come again: the positions go back before it raises."""
        records = self.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout=timeout)
        try:
            return [self._seals.opened(record) for record in records]
        except BaseException:
            rewind(self.inner, first_offsets(records))
            raise


class _SealedProducer:
    """`contracts.Producer`."""

    def __init__(self, inner: Producer, seals: Seals) -> None:
        self._inner = inner
        self._seals = seals

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        if settle is not None and isinstance(settle.consumer, _SealedConsumer):
            settle = replace(settle, consumer=settle.consumer.inner)
        return self._inner.publish(self._seals.sealed(records), settle=settle)

    def close(self) -> None:
        self._inner.close()
