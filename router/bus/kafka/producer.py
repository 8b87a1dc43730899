"""A Kafka producer: idempotent for batches, transactional for what settles offsets; both under one stable name."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaProducer as RawProducer
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError

from router.bus.kafka.client_thread import ClientThread
from router.bus.kafka.consumer import KafkaConsumer, raw_offsets
from router.bus.kafka.errors import mapped
from router.bus.plans import partition_of
from router.contracts import Outgoing, Settle
from router.errors import Fenced, Invalid, RouterError
from router.exchange import Origin

_OUR_SUCCESSOR: Final = (ProducerFencedError, InvalidProducerEpochError)

_LAST_TURN: Final = 5.0
"""Seconds that we wait for the thread of a client that was told to end."""

Open = Callable[[str | None], RawProducer]
Counts = Callable[[Sequence[str]], dict[str, int]]


class KafkaProducer:
    """`contracts.Producer`. `publish` without `settle` may be called by many threads; with it by one at a time."""

    def __init__(self, name: str, open_raw: Open, counts: Counts, give_up: float) -> None:
        """counts: partitions per topic, creating those that are missing; give_up: seconds per batch."""
        self._name = name
        self._open = open_raw
        self._counts = counts
        self._give_up = give_up
        self._plain: RawProducer | None = None
        self._plain_lock = threading.Lock()
        self._transactions = _Transactions(name, open_raw, give_up)
        self._spread = itertools.count(random.randrange(1 << 16))  # noqa: S311  (spreads load, hides nothing)
        self._closed = False

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        """See the contract. Raises `Invalid` for a record larger than the cluster takes.

        After `Unavailable` with `settle` the transaction may have been committed: begin again from what the
        group has committed.
        """
        if self._closed:
            raise Fenced("KAFKA-PRODUCER", self._name, "this producer is closed")
        if not records and settle is None:
            return ()
        counts = self._counts(sorted({record.topic for record in records}))
        if settle is None:
            return self._publish_plain(records, counts)
        if not isinstance(settle.consumer, KafkaConsumer):
            raise TypeError("a transaction settles offsets of its own bus only")
        ours = settle.consumer.assignment()  # a silence of the broker's is its own to judge, as it ends
        for partition in settle.offsets:
            if partition not in ours:
                raise Fenced("KAFKA-PARTITION", str(partition), "this partition is no longer ours")
        return self._transactions.publish(settle, lambda raw: self._send(raw, records, counts))

    def close(self) -> None:
        self._closed = True
        with self._plain_lock:
            raw, self._plain = self._plain, None
        if raw is not None:
            _close_in_time(raw, _LAST_TURN)
        self._transactions.close()

    def _publish_plain(self, records: Sequence[Outgoing], counts: dict[str, int]) -> list[Origin]:
        raw = None
        try:
            with mapped():
                raw = self._opened()
                return _results(self._send(raw, records, counts), self._give_up)
        except Invalid:
            raise
        except RouterError:
            self._drop(raw)
            raise

    def _opened(self) -> RawProducer:
        with self._plain_lock:
            if self._plain is None:
                self._plain = self._open(None)
            return self._plain

    def _drop(self, raw: RawProducer | None) -> None:
        """After any failure the next batch gets a new client: an idempotent one can't be trusted half-way.

        What other threads have in it may still succeed.
        """
        with self._plain_lock:
            if raw is None or raw is not self._plain:
                return
            self._plain = None
        threading.Thread(target=_close_in_time, args=(raw, self._give_up), daemon=True).start()

    def _send(self, raw: RawProducer, records: Sequence[Outgoing], counts: dict[str, int]) -> list[Any]:
        return [self._send_one(raw, record, counts[record.topic]) for record in records]

    def _send_one(self, raw: RawProducer, record: Outgoing, count: int) -> Any:
        partition = partition_of(record.key, count) if record.key else next(self._spread) % count
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        key = record.key.encode() if record.key else None
        return raw.send(record.topic, value=record.value, key=key, headers=headers, partition=partition)


class _Transactions:
    """The transactional side: one client at a time, thrown away whenever its state is in doubt."""

    def __init__(self, name: str, open_raw: Open, give_up: float) -> None:
        self._name = name
        self._open = open_raw
        self._give_up = give_up
        self._raw: RawProducer | None = None
        self._client_thread: ClientThread | None = None
        self._fenced = False
        self._lock = threading.Lock()

    def publish(self, settle: Settle, send: Callable[[RawProducer], list[Any]]) -> list[Origin]:
        """One transaction, given up after a while: `commit_transaction` itself would wait for ever."""
        with self._lock:
            if self._fenced:
                raise Fenced("KAFKA-PRODUCER", self._name, "another process writes under this producer's name")
            client_thread = self._client_thread = self._client_thread or ClientThread(f"kafka-{self._name}")
            try:
                with mapped():
                    found: list[Origin] = client_thread.call(lambda: self._transaction(settle, send), self._give_up)
                    return found
            except RouterError as error:
                if isinstance(error.__cause__, TimeoutError):
                    self._abandon()
                raise

    def close(self) -> None:
        with self._lock:
            self._abandon()

    def _transaction(self, settle: Settle, send: Callable[[RawProducer], list[Any]]) -> list[Origin]:
        """In the hand's thread."""
        raw = self._ready()
        try:
            raw.begin_transaction()
            futures = send(raw)
            consumer = settle.consumer
            if settle.offsets and isinstance(consumer, KafkaConsumer):
                raw.send_offsets_to_transaction(raw_offsets(settle.offsets), consumer.group_metadata())
            raw.commit_transaction()
            return _results(futures, self._give_up)
        except BaseException as error:
            # What comes after a failure is only told that there was one.
            cause = raw._transaction_manager.last_error or error
            self._undo(raw, cause)
            if cause is error:
                raise
            raise cause from error

    def _ready(self) -> RawProducer:
        if self._raw is None:
            raw = self._open(self._name)
            try:
                raw.init_transactions()
            except BaseException:
                _close_quietly(raw)
                raise
            self._raw = raw
        return self._raw

    def _undo(self, raw: RawProducer, error: BaseException) -> None:
        """Abort and replace the client: the old one (kafka-python 3.0.12) would settle these offsets next time."""
        if raw is self._raw:
            fenced = isinstance(error, _OUR_SUCCESSOR) or _refuses_to_abort(raw)
            if raw is self._raw:  # what one that was given up learns too late says nothing of its successor
                self._fenced, self._raw = fenced, None
        _close_quietly(raw)

    def _abandon(self) -> None:
        raw, self._raw = self._raw, None
        client_thread, self._client_thread = self._client_thread, None
        if client_thread is not None:
            client_thread.drop()
        if raw is not None:
            threading.Thread(target=_close_quietly, args=(raw,), daemon=True).start()


def _results(futures: Sequence[Any], seconds: float) -> list[Origin]:
    """Where each record went, in order; raises the first failure."""
    deadline = time.monotonic() + seconds
    found = [future.get(timeout=max(0.001, deadline - time.monotonic())) for future in futures]
    return [Origin(data.topic, data.partition, data.offset) for data in found]


def _refuses_to_abort(raw: RawProducer) -> bool:
    """Whether the broker knows a successor of ours. A client that can't abort leaves that to its successor."""
    try:
        raw.abort_transaction()
    except (KafkaError, OSError, RuntimeError) as error:
        return isinstance(error, _OUR_SUCCESSOR)
    return False


def _close_in_time(raw: RawProducer, seconds: float) -> None:
    """When what waits in it has been sent, or after so many seconds."""
    try:
        raw.close(timeout=seconds)
    except (KafkaError, OSError, RuntimeError, ValueError):
        _close_quietly(raw)


def _close_quietly(raw: RawProducer) -> None:
    """At once, with all that still waits in it, so that nothing of it is sent later.

    `close(timeout=0)` of kafka-python 3.0.12 fails at the first batch that waits, and its thread works on for ever.
    """
    with suppress(KafkaError, OSError, RuntimeError, ValueError):
        raw._sender.force_close()
        raw._sender.join(_LAST_TURN)
        for _, _, request in raw._transaction_manager._pending_requests:
            request.fail(KafkaError("given up"))
        raw.close(timeout=0)
