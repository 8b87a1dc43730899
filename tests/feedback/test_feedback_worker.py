"""The feedback worker on an embedded bus: answers and offsets together, nothing twice, late mails seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from router.bus.wrapped import WrappedBus, WrappedConsumer
from router.contracts import Bus, Consumer, Outgoing, Partition, Producer, Settle, SystemClock, Unobserved, out_topic
from router.errors import Unavailable
from router.exchange import Delivery, Disposition, Origin, Receipt, ReceiptKind
from router.feedback.answers import OVERDUE, Endpoint
from router.feedback.worker import FeedbackWorker
from router.wire import read_delivery, read_receipt, receipt_record
from tests.feedback.feedback_samples import HL7, SINK, Station, receipt

DAY = 86_400.0


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    yield made
    made.close()


class Bench:
    """A worker and what it said."""

    def __init__(self, station: Station, **settings: object) -> None:
        self.alerts: list[tuple[str, Mapping[str, str]]] = []
        self.station = station
        self.worker = FeedbackWorker(
            station.bus,
            station.ledger,
            {"sil": Endpoint(HL7)},
            clock=SystemClock(),
            observer=Unobserved(),
            alert=lambda what, facts: self.alerts.append((what, facts)),
            **settings,  # type: ignore[arg-type]
        )

    def work(self) -> None:
        while self.worker.step(0.2):
            pass

    def stop(self) -> None:
        self.worker.stop()
        self.worker.run()

    def told(self) -> list[Delivery]:
        return [read_delivery(record) for record in self.station.bus.scan(out_topic(HL7))]

    def receipts(self) -> list[Receipt]:
        return [read_receipt(record) for record in self.station.bus.scan("receipts")]


def put(station: Station, *receipts: Receipt) -> None:
    station.bus.producer("sink").publish([receipt_record(one) for one in receipts])


def test_receipts_become_messages_to_the_sender(station: Station) -> None:
    """A DSN gives one ZAM on the sender's sink, whose origin is the receipt."""
    sent, bench = station.sent(), Bench(station)
    put(station, receipt(sent), receipt(sent, kind=ReceiptKind.DSN, disposition=None))
    bench.work()
    (made,) = bench.told()
    assert (made.sink, made.label, made.origin.topic) == (HL7, "ZAM^Z02 Y", "receipts")
    assert b"ZAM^Z02^ZAM_Z01" in made.payload
    bench.stop()


def test_a_restarted_worker_goes_on_where_it_was(station: Station) -> None:
    """Offsets move with the answers: nothing is told twice, nothing is left out."""
    sent = station.sent()
    first = Bench(station)
    put(station, receipt(sent, kind=ReceiptKind.DSN, disposition=None))
    first.work()
    first.stop()
    put(station, receipt(sent, kind=ReceiptKind.DSN, ok=False, code="MSS-550", disposition=None))
    second = Bench(station)
    second.work()
    assert [made.label for made in second.told()] == ["ZAM^Z02 Y", "ZAM^Z02 N"]
    second.stop()


class Silent(WrappedBus):
    """A bus that goes silent when a group first wants to write, and takes nothing until it is heard of again."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.silent: bool | None = None

    def consumer(self, group: str, topics: Sequence[str], *, member: str) -> Consumer:
        return _SilentConsumer(self, self._bus.consumer(group, topics, member=member))

    def producer(self, name: str) -> Producer:
        inner, publish = self._bus.producer(name), self._bus.producer(name).publish

        def refused(records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
            if settle is None:
                return publish(records)
            if self.silent is None:
                self.silent = True
            if self.silent:
                raise Unavailable("BUS")
            assert isinstance(settle.consumer, WrappedConsumer)
            return publish(records, settle=replace(settle, consumer=settle.consumer.inner))

        inner.publish = refused  # type: ignore[method-assign]
        return inner


class _SilentConsumer(WrappedConsumer):
    def __init__(self, bus: Silent, inner: Consumer) -> None:
        super().__init__(inner)
        self._bus = bus

    def owns(self, partition: Partition) -> bool:
        return not self._bus.silent and super().owns(partition)


def test_receipts_that_a_silent_bus_did_not_let_us_answer_are_read_again(station: Station) -> None:
    """Nobody can be sure to own a partition then, and yet it stays assigned: its receipts are not passed over."""
    sent, bus = station.sent(), Silent(station.bus)
    station.bus = bus  # type: ignore[assignment]
    bench = Bench(station)
    put(station, receipt(sent, kind=ReceiptKind.DSN, disposition=None))
    with pytest.raises(Unavailable):
        bench.work()
    assert bus.silent and not bench.told()
    bus.silent = False
    bench.work()
    assert [made.label for made in bench.told()] == ["ZAM^Z02 Y"]
    bench.stop()


def test_a_failure_that_nobody_will_be_told_is_an_alert(station: Station) -> None:
    """The sender wants no acknowledgement: the site is told, with ids and without values."""
    sent, bench = station.sent(), Bench(station)
    failed = receipt(sent, ok=False, disposition=Disposition.DEAD_LETTERED, code="MSS-550", more={"ack_reception": ""})
    put(station, failed)
    bench.work()
    ((_, facts),) = bench.alerts
    assert facts == {"delivery": sent.id, "event_id": sent.event_id, "code": "MSS-550", "sink": SINK}
    assert bench.told() == []
    bench.stop()


def test_a_record_that_is_no_receipt_stops_nothing(station: Station) -> None:
    """It is left out, and the next one is told."""
    from router.contracts import Outgoing

    sent, bench = station.sent(), Bench(station)
    station.bus.producer("x").publish([Outgoing("receipts", sent.key, b"{}")])
    put(station, receipt(sent, kind=ReceiptKind.DSN, disposition=None))
    bench.work()
    assert len(bench.told()) == 1
    bench.stop()


def test_a_mail_without_news_is_flagged_once(station: Station) -> None:
    """No DSN after the wait: a receipt for operators, nothing to the sender, and not again after a restart."""
    sent = station.sent()
    now = SystemClock().now()
    put(station, receipt(sent, at=now - 6 * DAY))
    for _ in range(2):
        bench = Bench(station, dsn_wait={SINK: 5 * DAY})
        bench.work()
        bench.work()
        bench.stop()
    flags = [one for one in bench.receipts() if one.code == OVERDUE]
    assert [one.delivery_id for one in flags] == [sent.id]
    assert bench.told() == []


def test_a_mail_whose_dsn_came_is_not_flagged(station: Station) -> None:
    """Whatever the order in which a restart finds them."""
    sent = station.sent()
    now = SystemClock().now()
    put(station, receipt(sent, at=now - 6 * DAY), receipt(sent, at=now, kind=ReceiptKind.DSN, disposition=None))
    bench = Bench(station, dsn_wait={SINK: 5 * DAY})
    bench.work()
    assert not [one for one in bench.receipts() if one.code == OVERDUE]
    bench.stop()
