"""The pipeline stage against a bus and a ledger in memory: claims, transactions, dead letters, bugs, waits."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from router.contracts import EVENT_FORMAT, Header, Outgoing, Partition, Settle, SystemClock, Unobserved, no_alert
from router.engine.dead_letters.operator_commands import replay
from router.engine.dead_letters.paging import letters
from router.engine.dead_letters.remediation import next_step
from router.engine.pipeline import worker as module
from router.engine.pipeline.compiled import UNWANTED, BugLimit, all_served, always_a_dead_letter, no_description
from router.engine.pipeline.decider import Decider
from router.engine.pipeline.worker import PipelineWorker
from router.errors import Fenced, Invalid, OperatorFault, Unavailable
from router.exchange import Delivery, Event, Exchange, Filtered, JournalEntry, Origin, Receipt, ReceiptKind, Routed
from router.measures import Measure
from router.wire import event_record, read_delivery, read_event, read_journal, read_receipt
from tests.engine.memory import MemoryBus, MemoryLedger, MemoryProducer
from tests.engine.sinks import delivery


@dataclass
class Pipe:
    """A pipeline that does what its function says."""

    work: Callable[[Exchange], object]
    name: str = "biologie"
    digest: str = "d1"
    feed: str = "sil"
    reads_only: bool = True
    seen: list[str] = field(default_factory=list)

    def process(self, exchange: Exchange) -> Routed | Filtered:
        self.seen.append(exchange.event.id)
        result = self.work(exchange)
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[return-value]


def routed(exchange: Exchange) -> Routed:
    """One delivery of the event to sink `s`."""
    event = exchange.event
    made = delivery(0, event.key, event_id=event.id, payload=event.body, origin=event.origin, pipeline="biologie")
    return Routed([made], exchange.decided("route", "to s"))


class Rig:
    def __init__(self, *pipes: Pipe, feeds: Sequence[str] = ("sil",)) -> None:
        self.bus = MemoryBus(partitions=2)
        self.ledger = MemoryLedger()
        self.pipes = list(pipes)
        self.feeds = feeds
        self.alerts: list[str] = []

    def event(
        self,
        number: int,
        *,
        feed: str = "sil",
        body: bytes = b"MSH|",
        verdict: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Event:
        all_headers = {Header.CONTROL: f"C{number}", **(headers or {})}
        event = Event(f"id-{number}", feed, f"key-{number % 3}", body, all_headers, verdict=verdict)
        self.bus.producer("gateway").publish([event_record(event)])
        return event

    def deliveries(self) -> list[Delivery]:
        return [read_delivery(r) for r in self.bus.scan("out.s")]

    def journal(self, kind: str = "") -> list[JournalEntry]:
        return [e for e in map(read_journal, self.bus.scan("journal")) if kind in ("", e.kind)]

    @contextmanager
    def running(self, **options: Any) -> Iterator[PipelineWorker]:
        given: dict[str, Any] = {"member": "pipelines-0", "alert": lambda what, _: self.alerts.append(what), **options}
        worker = PipelineWorker(
            self.bus, self.ledger, self.feeds, lambda feed: [p for p in self.pipes if p.feed == feed], **given
        )
        failures: list[BaseException] = []

        def run() -> None:
            try:
                worker.run()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(5)
            assert not thread.is_alive()
        if failures:
            raise failures[0]

    def until(self, truth: Callable[[], bool], seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while not truth():
            assert time.monotonic() < end, "did not happen in time"
            time.sleep(0.005)

    def committed(self) -> int:
        return sum(n for (group, _), n in self.bus.committed.items() if group == "pipelines")


class Gauges(Unobserved):
    """The last value of `partitions_waiting`, by feed."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        if measure == "partitions_waiting":
            self.last[labels["feed"]] = value


def test_events_become_deliveries_in_order_with_their_story() -> None:
    """Each event gives its delivery, in order per key, and the journal says received and decided."""
    rig = Rig(Pipe(routed))
    events = [rig.event(n) for n in range(30)]
    with rig.running():
        rig.until(lambda: rig.committed() == 30)
    made = rig.deliveries()
    for key in {e.key for e in events}:
        assert [d.event_id for d in made if d.lane == key] == [e.id for e in events if e.key == key]
    assert {e.kind for e in rig.journal()} == {"received", "decided"}
    (decided,) = [e for e in rig.journal("decided") if e.event_id == "id-7"]
    assert decided.decisions[0].text == "to s"
    assert [d[1] for d in decided.deliveries] == ["s"]
    assert (decided.pipeline, decided.digest, decided.control_id) == ("biologie", "d1", "C7")


def test_the_ack_is_claimed_with_the_id() -> None:
    """The claim keeps the acknowledgement that the gateway gave, so that a repeat can be answered with it."""
    rig = Rig(Pipe(routed))
    rig.event(1, headers={Header.ACK_BYTES: base64.b64encode("MSA|AA|é".encode("latin-1")).decode()})
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
    assert rig.ledger.acks(["id-1"]) == {"id-1": "MSA|AA|é".encode("latin-1")}


def test_a_repeated_event_is_journalled_and_not_delivered() -> None:
    """An id that another origin owns is a duplicate: no delivery, one line in the journal."""
    rig = Rig(Pipe(routed))
    rig.event(1)
    rig.event(1)
    with rig.running():
        rig.until(lambda: rig.committed() == 2)
    assert len(rig.deliveries()) == 1
    assert [e.event_id for e in rig.journal("duplicate")] == ["id-1"]


def test_an_event_read_again_after_a_crash_is_not_a_duplicate() -> None:
    """Claimed, then killed before the transaction: the same origin is decided after the restart."""
    rig = Rig(Pipe(routed))
    rig.event(1)
    pipe = rig.pipes[0]
    pipe.work = lambda _: SystemExit()
    with pytest.raises(SystemExit), rig.running():
        rig.until(lambda: bool(pipe.seen))
    assert rig.ledger.claims
    pipe.work = routed
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
    assert len(rig.deliveries()) == 1


def test_a_fault_is_a_dead_letter_and_the_sender_is_told() -> None:
    """The bytes go untouched to `dlq.pipeline` with the reason, the hook's receipts are published, others go on."""
    rig = Rig(Pipe(lambda x: Invalid("R45", "PID-32", "not qualified") if x.event.id == "id-1" else routed(x)))
    told = []

    def unserved(
        exchange: Exchange, made: Sequence[Delivery], given: Sequence[Receipt], ends: Sequence[object]
    ) -> Sequence[Receipt]:
        if not ends:
            return ()
        told.append((exchange.event.id, len(made), ends[0].code))  # type: ignore[attr-defined]
        kind = ReceiptKind.DELIVERY
        return [Receipt(delivery_id="x", event_id=exchange.event.id, sink="dmp", kind=kind, ok=False, at=1.0)]

    rig.event(1, body=b"\x0bMSH|original")
    rig.event(2)
    with rig.running(unserved=unserved):
        rig.until(lambda: rig.committed() == 2)
    (dead_letter,) = rig.bus.scan("dlq.pipeline")
    assert dead_letter.value == b"\x0bMSH|original"
    headers = dead_letter.headers
    assert [headers[h] for h in (Header.CODE, Header.PLACE, Header.PIPELINE)] == ["R45", "PID-32", "biologie"]
    assert headers[Header.ORIGIN].startswith("in.sil/")
    assert headers[Header.CAUSE]
    assert headers[Header.NEXT]
    assert told == [("id-1", 0, "R45")]
    assert [r.event_id for r in map(read_receipt, rig.bus.scan("receipts"))] == ["id-1"]
    assert [e.code for e in rig.journal("dead")] == ["R45"]
    assert [d.event_id for d in rig.deliveries()] == ["id-2"]


def test_an_event_nobody_wants_says_so() -> None:
    """No pipeline, or none whose condition holds: a dead letter that says what to do, and the sender is told."""
    told: list[str] = []

    def unserved(_exchange: Any, _deliveries: Any, _receipts: Any, ends: Any) -> list[Receipt]:
        told.extend(end.code for end in ends)
        return []

    rig = Rig(Pipe(lambda _: Filtered("when", UNWANTED)))
    rig.event(1, body=b"MSH|a document")
    with rig.running(unserved=unserved):
        rig.until(lambda: rig.committed() == 1)
    (letter,) = rig.bus.scan("dlq.pipeline")
    headers = letter.headers
    assert (letter.value, headers[Header.CODE], headers[Header.PLACE]) == (b"MSH|a document", "NO-PIPELINE", "sil")
    assert headers[Header.NEXT].startswith("Aucun circuit ne prend ce message")
    (entry,) = rig.journal("dead")
    assert (entry.code, entry.pipeline, told) == ("NO-PIPELINE", "", ["NO-PIPELINE"])


def test_an_event_that_may_be_left_aside_is_no_dead_letter() -> None:
    """What the site does not count as lost is one `filtered` line of the journal."""
    rig = Rig(Pipe(lambda _: Filtered("when", UNWANTED)))
    rig.event(1)
    with rig.running(unmatched=lambda _: False):
        rig.until(lambda: rig.committed() == 1)
    (entry,) = rig.journal("filtered")
    assert (entry.code, entry.text, entry.pipeline) == ("NO-PIPELINE", "no pipeline", "")
    assert rig.bus.scan("dlq.pipeline") == []


def test_an_event_nobody_wanted_is_replayed_once_a_pipeline_takes_it() -> None:
    """The dead letter is the event itself: decided again, it is delivered."""
    taken = Pipe(lambda _: Filtered("when", UNWANTED))
    rig = Rig(taken)
    rig.event(1)
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
        taken.work = routed
        chosen = letters(rig.bus, rig.ledger)
        (answer,) = replay(rig.bus, rig.ledger, chosen, by="test", producer=rig.bus.producer("operator"))
        assert answer.accepted
        rig.until(lambda: rig.committed() == 2)
    assert [one.event_id for one in rig.deliveries()] == ["id-1"]


def test_each_pipeline_has_its_own_end() -> None:
    """One pipeline's fault does not take another one's deliveries away; a filter gives its reason."""
    pipes = [
        Pipe(routed, "a"),
        Pipe(lambda _: Invalid("R01"), "b"),
        Pipe(lambda _: Filtered("opposition"), "c"),
    ]
    rig = Rig(*pipes)
    rig.event(1)
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
    assert len(rig.deliveries()) == 1
    ends = {e.pipeline: (e.kind, e.text) for e in rig.journal() if e.pipeline}
    assert ends == {"a": ("decided", ""), "b": ("dead", ""), "c": ("filtered", "opposition")}


def test_a_dead_letter_holds_the_senders_bytes_alone() -> None:
    """The gateway's verdict, which stands behind them on the bus, is not part of what a person sees or sends again."""
    rig = Rig(Pipe(lambda _: Invalid("R01")))
    rig.event(1, body=b"MSH|1", verdict=b'{"request":{}}')
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
    (dead_letter,) = rig.bus.scan("dlq.pipeline")
    assert dead_letter.value == b"MSH|1"
    assert Header.VERDICT not in dead_letter.headers


def test_describe_fills_the_journal() -> None:
    """The floors above add what only they can read; a description that fails costs its words, not the event."""
    rig = Rig(Pipe(routed))

    def describe(event: Event, _: Exchange) -> dict[str, object]:
        if event.id == "id-2":
            raise KeyError("secret")
        return {"documents": ("1.2.3",), "control_id": "MSH-10"}

    rig.event(1)
    rig.event(2)
    with rig.running(describe=describe):
        rig.until(lambda: rig.committed() == 2)
    entries = {e.event_id: e for e in rig.journal("received")}
    assert (entries["id-1"].documents, entries["id-1"].control_id) == (("1.2.3",), "MSH-10")
    assert entries["id-2"].control_id == "C2"
    assert "bug" in rig.alerts


def test_bugs_have_a_budget_then_the_feed_waits() -> None:
    """Some unexpected errors are dead letters; then the pipeline stops, its events wait, other feeds go on."""
    broken = Pipe(lambda _: KeyError("secret"))
    other = Pipe(routed, name="autre", feed="ris")
    rig = Rig(broken, other, feeds=("sil", "ris"))
    for n in range(10):
        rig.event(n)
    with rig.running(bugs=BugLimit(in_a_row=3)):
        rig.until(lambda: "pipeline-stopped" in rig.alerts)
        rig.event(100, feed="ris")
        rig.until(lambda: len(rig.deliveries()) == 1)
        letters = list(rig.bus.scan("dlq.pipeline"))
        assert {r.headers[Header.CODE] for r in letters} == {"BUG-KeyError"}
        assert len(letters) == 3
        rig.pipes[0] = replace(broken, work=routed, digest="d2")
        rig.until(lambda: len(rig.deliveries()) == 8)
    assert rig.committed() == 11
    assert not any("secret" in str(r.headers) for r in letters)


@pytest.mark.parametrize("fault", [Unavailable("ANNUAIRE"), OperatorFault("CONFIG")])
def test_a_feed_waits_while_something_is_away(fault: Exception) -> None:
    """Nothing is lost or dead-lettered, order is kept, other feeds are served meanwhile."""
    away = threading.Event()
    away.set()
    ours = isinstance(fault, OperatorFault)  # a fault of ours is every event's
    waiting = Pipe(lambda x: fault if away.is_set() and (ours or x.event.id == "id-2") else routed(x))
    rig = Rig(waiting, Pipe(routed, name="autre", feed="ris"), feeds=("sil", "ris"))
    events = [rig.event(n) for n in range(12)]
    with rig.running():
        rig.until(lambda: "feed-waits" in rig.alerts)
        rig.event(100, feed="ris")
        rig.until(lambda: any(d.event_id == "id-100" for d in rig.deliveries()))
        away.clear()
        rig.until(lambda: rig.committed() == 13)
    made = [d.event_id for d in rig.deliveries() if d.event_id != "id-100"]
    assert sorted(made) == sorted(e.id for e in events)
    for key in {e.key for e in events}:
        assert [d.event_id for d in rig.deliveries() if d.lane == key and d.event_id != "id-100"] == [
            e.id for e in events if e.key == key
        ]
    assert not list(rig.bus.scan("dlq.pipeline"))


def test_what_is_made_for_earlier_recipients_is_in_the_story_and_never_forgotten() -> None:
    """Their deliveries and receipts leave with the others of the event; while nobody can say who they are, it waits."""
    away = threading.Event()
    away.set()

    def earlier(exchange: Exchange, deliveries: Sequence[Delivery], _: object) -> Routed:
        if away.is_set():
            raise Unavailable("LEDGER")
        event = exchange.event
        told = delivery(1, event.key, event_id=event.id, sink="s", pipeline="avis", label="old@x.fr")
        kept = Receipt(delivery_id="r", event_id=event.id, sink="s", kind=ReceiptKind.DELIVERY, ok=False, at=1.0)
        assert [one.event_id for one in deliveries] == [event.id]
        return Routed([told], exchange, [kept])

    rig = Rig(Pipe(routed))
    rig.event(1)
    with rig.running(earlier=earlier):
        rig.until(lambda: "feed-waits" in rig.alerts)
        assert rig.deliveries() == []
        away.clear()
        rig.until(lambda: rig.committed() == 1)
    assert [one.pipeline for one in rig.deliveries()] == ["biologie", "avis"]
    assert [[sink for _, sink, _ in entry.deliveries] for entry in rig.journal("decided")] == [["s"], ["s"]]
    assert [read_receipt(record).delivery_id for record in rig.bus.scan("receipts")] == ["r"]


def test_a_look_up_without_an_answer_holds_up_one_partition_of_its_feed() -> None:
    """The others of the feed go on, those behind it keep their place; one alert, and a measure of what waits."""
    away = threading.Event()
    away.set()
    pipe = Pipe(lambda x: Unavailable("ANNUAIRE") if away.is_set() and x.event.id == "id-2" else routed(x))
    rig, counted = Rig(pipe), Gauges()
    rig.bus = MemoryBus(partitions=8)
    events = [rig.event(n) for n in range(12)]
    held = {event.id for event in events if event.key == "key-2"}
    with rig.running(observer=counted) as worker:
        rig.until(lambda: len(rig.deliveries()) == len(events) - len(held))
        assert "sil" in worker.waiting and rig.alerts == ["feed-waits"] and counted.last == {"sil": 1}
        more = rig.event(13)
        rig.until(lambda: more.id in {one.event_id for one in rig.deliveries()})
        assert held.isdisjoint({one.event_id for one in rig.deliveries()})
        away.clear()
        rig.until(lambda: rig.committed() == 13)
    assert [one.event_id for one in rig.deliveries() if one.key == "key-2"] == ["id-2", "id-5", "id-8", "id-11"]
    assert rig.alerts == ["feed-waits", "feed-goes-on"] and counted.last == {"sil": 0}
    assert not list(rig.bus.scan("dlq.pipeline"))


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "later"])
def test_an_event_that_fails_alone_is_its_own_dead_letter(first: bool) -> None:
    """An `OperatorFault` that one content raises stops nobody: others pass, in order, without a wait (promise 11)."""
    poison = "id-0" if first else "id-7"
    pipe = Pipe(lambda x: OperatorFault("SITE-ODD", "PRT-8") if x.event.id == poison else routed(x))
    rig = Rig(pipe, Pipe(routed, name="autre"))
    events = [rig.event(n) for n in range(20)]
    begun = time.monotonic()
    with rig.running():
        rig.until(lambda: rig.committed() == 20)
    assert time.monotonic() - begun < 2.0
    assert [d.event_id for d in rig.deliveries() if d.lane == "key-0"] == [e.id for e in events if e.key == "key-0"]
    (dead_letter,) = rig.bus.scan("dlq.pipeline")
    assert (dead_letter.headers[Header.ID], dead_letter.headers[Header.CODE]) == (poison, "SITE-ODD")
    assert dead_letter.headers[Header.PIPELINE] == "biologie" and "feed-waits" not in rig.alerts


def test_a_lone_event_waits_until_another_tells() -> None:
    """Right after a start, with nothing to compare it with, it is not blamed; the next event passes it by."""
    rig = Rig(Pipe(lambda x: OperatorFault("SITE-ODD") if x.event.id == "id-0" else routed(x)))
    rig.event(0)
    with rig.running():
        rig.until(lambda: "feed-waits" in rig.alerts)
        assert not list(rig.bus.scan("dlq.pipeline"))
        rig.event(1)
        rig.until(lambda: rig.committed() == 2)
    assert [dead_letter.headers[Header.ID] for dead_letter in rig.bus.scan("dlq.pipeline")] == ["id-0"]


def test_a_pipeline_that_changes_something_tries_nobody_before_his_turn() -> None:
    """The register applies ADT in order: no later event is tried to find out whose fault it is."""
    pipe = Pipe(lambda x: OperatorFault("REGISTER") if x.event.id == "id-0" else routed(x), reads_only=False)
    rig = Rig(pipe)
    for number in range(5):
        rig.event(number)
    with rig.running():
        rig.until(lambda: pipe.seen.count("id-0") >= 2)
        assert not {"id-1", "id-2", "id-3", "id-4"} & set(pipe.seen)
        pipe.work = routed
        rig.until(lambda: rig.committed() == 5)
    assert not list(rig.bus.scan("dlq.pipeline"))


@pytest.mark.parametrize("what", ["bus", "ledger"])
def test_bus_or_database_away_delays_only(what: str) -> None:
    """The batch waits until it can be written; each event is delivered once."""
    rig = Rig(Pipe(routed))
    part = getattr(rig, what)
    rig.event(0)
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
        rig.event(1)
        part.away = True
        time.sleep(0.3)
        part.away = False
        rig.until(lambda: rig.committed() == 2)
    assert len(rig.deliveries()) == 2


def test_a_large_batch_is_split_into_transactions() -> None:
    """No transaction carries more than 8 MB, unless one event alone does."""
    rig = Rig(Pipe(routed))
    for n in range(12):
        rig.event(n, body=b"x" * 2_000_000)
    sizes = []
    producer = rig.bus.producer

    def measured(name: str) -> MemoryProducer:
        made = producer(name)
        publish = made.publish

        def spy(records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
            sizes.append(sum(len(r.value) for r in records))
            return publish(records, settle=settle)

        made.publish = spy  # type: ignore[method-assign]
        return made

    rig.bus.producer = measured  # type: ignore[method-assign]
    with rig.running():
        rig.until(lambda: rig.committed() == 12)
    assert len(rig.deliveries()) == 12
    assert max(sizes) <= 8 * 1024 * 1024
    assert len(sizes) >= 3


def test_a_disk_that_is_almost_full_takes_the_events_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for 8 MB, but for 3: events are written alone, in order, rather than wait together for ever."""
    monkeypatch.setattr(module, "backoff", lambda *_: 0.001)
    rig = Rig(Pipe(routed))
    for n in range(6):
        rig.event(n, body=b"x" * 2_000_000)
    real = MemoryProducer.publish

    def tight(self: MemoryProducer, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        if settle is not None and sum(len(record.value) for record in records) > 3_000_000:
            raise Unavailable("BUS-FULL")
        return real(self, records, settle=settle)

    monkeypatch.setattr(MemoryProducer, "publish", tight)
    with rig.running():
        rig.until(lambda: rig.committed() == 6)
    assert sorted(one.event_id for one in rig.deliveries()) == [f"id-{n}" for n in range(6)]
    assert "stage-waits" in rig.alerts


def test_a_stage_that_waits_for_long_tells_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is away: who was not there for the first alert sees the next."""
    monkeypatch.setattr(module, "backoff", lambda *_: 0.001)
    monkeypatch.setattr(module, "TELL_AGAIN", 5)
    rig = Rig(Pipe(routed))
    rig.event(0)
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
        rig.ledger.away = True
        rig.event(1)
        rig.until(lambda: rig.alerts.count("stage-waits") >= 3)
        rig.ledger.away = False
        rig.until(lambda: rig.committed() == 2)
    assert len(rig.deliveries()) == 2


def test_decide_again_marks_its_deliveries() -> None:
    """An event that an operator sent through again keeps its origin, is no duplicate, and its deliveries say so."""
    rig = Rig(Pipe(routed))
    event = rig.event(1)
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
        (record,) = rig.bus.scan("in.sil")
        headers = {Header.ORIGIN: str(record.origin), Header.COMMAND: "replay", "replay": "2", "by": "dupont"}
        rig.bus.producer("cli").publish([event_record(replace(event, headers=headers))])
        rig.until(lambda: rig.committed() == 2)
    first, second = rig.deliveries()
    assert (first.id, first.replay) == (second.id, 0)
    assert second.replay == 2
    assert second.origin == record.origin
    assert [(e.code, e.source) for e in rig.journal("command")] == [("DECIDE-AGAIN", "dupont")]


def test_a_foreign_record_is_refused_and_does_not_stop_the_stage() -> None:
    """A record that lacks our headers is a dead letter."""
    rig = Rig(Pipe(routed))
    rig.bus.producer("stranger").publish([Outgoing("in.sil", "key-1", b"?", {})])
    rig.event(1)
    with rig.running():
        rig.until(lambda: rig.committed() == 2)
    assert [r.headers[Header.CODE] for r in rig.bus.scan("dlq.pipeline")] == ["EVENT"]
    assert len(rig.deliveries()) == 1


def test_partitions_lost_in_mid_batch_are_left_to_their_owner() -> None:
    """A worker whose partition was taken while it decided writes nothing of it; the next owner decides once."""
    rig = Rig(Pipe(routed))
    rig.event(1)

    def frozen(x: Exchange) -> object:
        rig.bus.expel("pipelines", "pipelines-0")
        return routed(x)

    rig.pipes[0].work = frozen
    with rig.running():
        rig.until(lambda: len(rig.pipes[0].seen) == 1)
        time.sleep(0.1)
        assert not rig.deliveries()
        assert rig.bus.committed.get(("pipelines", Partition("in.sil", 0)), 0) == 0
        rig.pipes[0].work = routed
        with rig.running(member="pipelines-1"):
            rig.until(lambda: len(rig.deliveries()) == 1)


def test_a_fenced_name_ends_the_worker() -> None:
    """When another process took our producer's name, `run` raises instead of going on."""
    rig = Rig(Pipe(routed))
    producer = rig.bus.producer("x")

    def fenced(records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        raise Fenced("BUS-PRODUCER")

    producer.publish = fenced  # type: ignore[method-assign]
    rig.bus.producer = lambda name: producer  # type: ignore[method-assign]
    rig.bus.append(event_record(Event("id-1", "sil", "k", b"MSH|", {})))
    with pytest.raises(Fenced), rig.running():
        time.sleep(0.3)


def test_what_could_not_be_decided_while_the_bus_is_silent_is_read_again() -> None:
    """Nobody can be sure to own a partition then, and yet it stays assigned: its events are not passed over."""
    rig = Rig(Pipe(routed))

    def silent(x: Exchange) -> object:
        rig.bus.silent = True
        return Unavailable("REGISTER-AWAY")

    rig.pipes[0].work = silent
    rig.event(1)
    with rig.running():
        rig.until(lambda: "feed-waits" in rig.alerts)
        time.sleep(0.1)
        rig.pipes[0].work, rig.bus.silent = routed, False
        rig.event(4)  # of the same partition
        rig.until(lambda: len(rig.deliveries()) == 2)
    assert [made.event_id for made in rig.deliveries()] == ["id-1", "id-4"]


def copies(exchange: Exchange) -> Routed:
    """Three deliveries of the event to sink `s`."""
    (one,) = routed(exchange).deliveries
    return Routed([replace(one, id=f"{one.id}-{n}") for n in range(3)], exchange)


def test_what_stays_ours_keeps_its_order_when_another_partition_is_lost_in_mid_batch() -> None:
    """A transaction refused for one lost partition is made again before anything that came after it."""
    rig = Rig(Pipe(copies))
    lost, kept = (Partition("in.sil", n) for n in (0, 1))
    keys = [next(k for k in map(str, range(100)) if rig.bus.partition_of("in.sil", k) == n) for n in (0, 1)]
    events = [Event(f"id-{n}", "sil", keys[n // 8], b"x" * 500_000, {}) for n in range(16)]
    rig.bus.producer("gateway").publish([event_record(event) for event in events])
    producer, transactions = rig.bus.producer("pipelines-0"), []
    publish = producer.publish

    def losing(records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        transactions.append(settle)
        if len(transactions) == 2:  # of both partitions, with more of the second one to come
            rig.bus.lost.add(lost)
            rig.bus.seats["pipelines", "pipelines-0"] = {kept.number}  # the next poll hears of it
        return publish(records, settle=settle)

    producer.publish = losing  # type: ignore[method-assign]
    rig.bus.producer = lambda name: producer  # type: ignore[method-assign]
    with rig.running():
        rig.until(lambda: rig.bus.committed.get(("pipelines", kept)) == 8, 20)
    assert [d.event_id for d in rig.deliveries() if d.key == keys[1]] == [e.id for e in events[8:] for _ in range(3)]


@pytest.mark.parametrize(
    "headers",
    [
        {Header.ACK_BYTES: "%%%"},
        {Header.RECEIVED: "soon"},
        {Header.COMMAND: "replay", "replay": "many"},
        {Header.ORIGIN: "nowhere"},
    ],
)
def test_headers_that_make_no_sense_are_a_dead_letter_and_stop_nobody(headers: dict[str, str]) -> None:
    """A record whose headers nobody of ours wrote is refused; the next one is delivered."""
    rig = Rig(Pipe(routed))
    rig.event(1, headers=headers)
    rig.event(2)
    with rig.running():
        rig.until(lambda: rig.committed() == 2)
    assert [d.event_id for d in rig.deliveries()] == ["id-2"]
    assert [r.headers[Header.CODE] for r in rig.bus.scan("dlq.pipeline")] == ["EVENT"]


def test_reloads_leave_nothing_behind() -> None:
    """The bug budget of a version of a pipeline that is no longer there is forgotten."""
    decider = Decider(
        describe=no_description,
        unserved=all_served,
        unmatched=always_a_dead_letter,
        limit=BugLimit(),
        clock=SystemClock(),
        observer=Unobserved(),
        alert=no_alert,
        advice=next_step,
    )
    event = Event("id", "sil", "k", b"MSH|", {}, Origin("in.sil", 0, 0))
    for digest in range(100):
        decider.decide(event, [Pipe(routed, digest=str(digest))])
    assert len(decider._budgets) == 1


def test_an_event_of_a_newer_format_waits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older pipelines leave it, and what stands behind it, for newer ones: no claim, no dead letter, one alert."""
    rig = Rig(Pipe(routed))
    rig.bus = MemoryBus(partitions=4)
    rig.event(0)
    with monkeypatch.context() as newer:
        newer.setattr("router.wire.EVENT_FORMAT", EVENT_FORMAT + 1)
        rig.event(3)
    rig.event(6)  # the same key: it keeps its place behind
    told: list[Mapping[str, str]] = []
    with rig.running(alert=lambda _, facts: told.append(facts)) as worker:
        rig.until(lambda: "sil" in worker.waiting)
        rig.event(7)  # another partition
        rig.until(lambda: len(rig.deliveries()) == 2)
    assert [d.event_id for d in rig.deliveries()] == ["id-0", "id-7"]
    assert rig.ledger.claims.keys() == {"id-0", "id-7"}
    assert list(rig.bus.scan("dlq.pipeline")) == [] and rig.journal("dead") == []
    assert [(said["code"], said["place"]) for said in told] == [("EVENT-FORMAT", "in.sil")]
    monkeypatch.setattr("router.wire.EVENT_FORMAT", EVENT_FORMAT + 1)
    with rig.running():
        rig.until(lambda: rig.committed() == 4)
    made = [d.event_id for d in rig.deliveries()]
    assert sorted(made) == ["id-0", "id-3", "id-6", "id-7"] and made.index("id-3") < made.index("id-6")


def test_the_number_of_the_format_is_the_records_and_not_the_events() -> None:
    """Every record of `in.<feed>` has it, its dead letter has not; a record without it is of format 1."""
    rig = Rig(Pipe(lambda _: Invalid("NO", "", "no")))
    rig.event(1)
    (record,) = rig.bus.scan("in.sil")
    assert record.headers[Header.FORMAT] == str(EVENT_FORMAT)
    with rig.running():
        rig.until(lambda: rig.committed() == 1)
    (letter,) = rig.bus.scan("dlq.pipeline")
    assert Header.FORMAT not in letter.headers
    old = {name: value for name, value in record.headers.items() if name != Header.FORMAT}
    assert read_event(replace(record, headers=old)).id == "id-1"


def test_what_was_written_alone_is_not_written_again_when_a_partition_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction is written one by one and a partition leaves in the middle: the others' events are not repeated."""
    monkeypatch.setattr(module, "backoff", lambda *_: 0.001)
    rig = Rig(Pipe(routed))
    events = [Event(f"id-{n}", "sil", f"lane-{n}", b"MSH|", {Header.CONTROL: f"C{n}"}) for n in range(12)]
    rig.bus.producer("gateway").publish([event_record(event) for event in events])
    assert all(rig.bus.parts("in.sil"))
    real = MemoryProducer.publish
    alone: list[Partition] = []

    def tight(self: MemoryProducer, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        if settle is not None:
            if len(settle.offsets) > 1:
                raise Unavailable("BUS-FULL")
            alone.extend(settle.offsets)
            if len(set(alone)) > 1 and len(rig.bus.seats) == 0:  # the second partition has its turn: it leaves
                rig.bus.seats["pipelines", "pipelines-0"] = {alone[0].number}
                self.bus.members["pipelines"][0]._rebalance()
        return real(self, records, settle=settle)

    monkeypatch.setattr(MemoryProducer, "publish", tight)
    with rig.running():
        rig.until(lambda: bool(rig.bus.seats))
        stays = rig.bus.parts("in.sil")[alone[0].number]
        place = Partition("in.sil", alone[0].number)
        rig.until(lambda: rig.bus.committed.get(("pipelines", place)) == len(stays))
        time.sleep(0.1)
    made = [one.event_id for one in rig.deliveries()]
    assert sorted(made) == sorted(read_event(record).id for record in stays)
