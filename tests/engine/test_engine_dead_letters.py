"""Dead letters for operators: groups, filters, replay and discard, dry or not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from router.contracts import Header, Outgoing, SystemClock
from router.engine.dead_letters.listing import Filter, body, groups
from router.engine.dead_letters.operator_commands import UNDECIDED, discard, replay
from router.engine.dead_letters.paging import letters
from router.errors import Refused
from router.exchange import Event, Origin, Pseudonyms, State
from router.gateway.checks import RelayCheck
from router.gateway.received import Feed, Received
from router.gateway.validation import MessageValidator
from router.runtime.wording import ADVICE
from router.wire import event_record, read_journal
from tests.engine.rig import Rig, journal, play
from tests.engine.sinks import delivery
from tests.typed import present


def died(rig: Rig, label_of: dict[str, str]) -> None:
    """The sink refuses by label until it is told otherwise."""
    rig.sink.behaviour = lambda d, _: Refused(label_of[d.label], "RCPT") if d.label in label_of else None


def test_letters_are_grouped_by_cause() -> None:
    """Two codes are two groups, the larger first, each with what to do; what was delivered is not there."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "MSS-550", "y": "DMP-Closed"})
        rig.publish(*(delivery(n, f"l{n}", label="y" if n == 0 else "x" if n < 4 else "") for n in range(6)))
        async with rig.running():
            await rig.settled(State.DEAD, State.DONE)

    rig = play(story)
    first, second = groups(rig.bus, rig.ledger, advice=ADVICE)
    assert (first.code, first.count, first.where, first.place) == ("MSS-550", 3, "s", "RCPT")
    assert (second.code, second.count) == ("DMP-Closed", 1)
    assert first.next
    assert first.next != second.next
    assert (first.feeds, first.pipelines) == (("f",), ("p",))
    assert first.first <= first.last
    assert [x.code for x in letters(rig.bus, rig.ledger, Filter(cause=second.cause))] == ["DMP-Closed"]
    assert letters(rig.bus, rig.ledger, Filter(feed="other")) == []


def test_letters_of_other_structures_are_not_there() -> None:
    """Deliveries and records of other structures, and of none, are neither listed nor counted, by whatever id."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "MSS-550"})
        made = [replace(delivery(n, f"l{n}", label="x"), structure=f"75000001{n}" if n else "") for n in range(3)]
        rig.publish(*made)
        async with rig.running():
            await rig.settled(State.DEAD)

    rig = play(story)
    refused = {Header.ID: "e9", Header.CODE: "R45", Header.STRUCTURE: "750000011"}
    rig.bus.producer("t").publish([Outgoing("dlq.intake", "k", b"x", refused), Outgoing("dlq.intake", "k", b"x", {})])
    own = Filter(within=frozenset({"750000011"}))
    seen = letters(rig.bus, rig.ledger, own)
    assert [(one.structure, one.stage) for one in seen] == [("750000011", "sink"), ("750000011", "intake")]
    assert sum(one.count for one in groups(rig.bus, rig.ledger, own)) == 2
    assert sum(one.count for one in groups(rig.bus, rig.ledger)) == 5
    (foreign,) = (one for one in letters(rig.bus, rig.ledger) if one.structure == "750000012")
    for asked in (foreign.delivery_id, foreign.event_id):
        assert letters(rig.bus, rig.ledger, replace(own, id=asked)) == []


def test_what_came_since_the_last_list_is_on_the_next() -> None:
    """Records are read once, and a list is never behind: what came, what was resolved, a topic that was made anew."""
    rig = play(_nothing)
    producer = rig.bus.producer("t")

    def listed() -> list[str]:
        whole = [one.event_id for one in letters(rig.bus, rig.ledger)]
        assert sum(one.count for one in groups(rig.bus, rig.ledger)) == len(whole)
        return sorted(whole)

    first = [Outgoing("dlq.pipeline", f"k{n}", b"x", {Header.ID: f"e{n}", Header.FEED: "f"}) for n in range(3)]
    places = producer.publish(first)
    assert listed() == ["e0", "e1", "e2"]
    producer.publish([Outgoing("dlq.pipeline", "k9", b"x", {Header.ID: "e9"})])
    (chosen,) = letters(rig.bus, rig.ledger, Filter(id="e1"))
    assert chosen.at == places[1]
    list(discard(rig.bus, rig.ledger, [chosen], by="dupont", reason="essai", producer=producer))
    assert listed() == ["e0", "e2", "e9"]
    rig.bus.topics.clear()
    producer.publish(first[:1])
    assert listed() == ["e0"]


async def _nothing(_: Rig) -> None:
    """Nothing happens before."""


def test_replay_of_a_group_dry_and_real() -> None:
    """A dry run publishes nothing; the real one delivers every letter, which then is no dead letter any more."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "MSS-550"})
        rig.publish(*(delivery(n, f"l{n % 2}", label="x", payload=b"%d" % n) for n in range(6)))
        async with rig.running():
            await rig.settled(State.DEAD)
            chosen = letters(rig.bus, rig.ledger, Filter(code="MSS-550"))
            assert [present(body(rig.bus, one)).value for one in chosen] == [b"%d" % n for n in range(6)]
            dry = list(replay(rig.bus, rig.ledger, chosen, by="dupont"))
            assert [a.accepted for a in dry] == [True] * 6
            assert not any(Header.COMMAND in r.headers for r in rig.bus.scan("out.s"))
            died(rig, {})
            real = replay(rig.bus, rig.ledger, chosen, by="dupont", producer=rig.bus.producer("cli"), reason="réparé")
            assert all(answer.accepted for answer in real)
            await rig.settled()
            again = list(replay(rig.bus, rig.ledger, chosen, by="dupont"))
            assert {a.code for a in again} == {"REPLAY-DONE"}
        assert groups(rig.bus, rig.ledger) == []
        for lane in ("l0", "l1"):
            done = [c.delivery.payload for c in rig.sink.calls if c.ok and c.delivery.lane == lane]
            assert done == sorted(done)
        entry = next(e for e in map(read_journal, rig.bus.scan("journal")) if e.kind == "command")
        assert (entry.source, entry.text) == ("dupont", "Rejeu accepté. réparé")

    play(story)


def test_discard_with_a_reason() -> None:
    """A discarded letter leaves the list for good, and the journal keeps who and why."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "MSS-550"})
        rig.publish(delivery(1, label="x"))
        async with rig.running():
            await rig.settled(State.DEAD)
            chosen = letters(rig.bus, rig.ledger)
            producer = rig.bus.producer("cli")
            assert [
                a.accepted for a in discard(rig.bus, rig.ledger, chosen, by="a", reason="doublon", producer=producer)
            ]
            await rig.settled(State.SUPERSEDED)
            assert [a.code for a in discard(rig.bus, rig.ledger, chosen, by="a", reason="x")] == ["DISCARD-SUPERSEDED"]
        assert letters(rig.bus, rig.ledger) == []
        assert rig.ledger.rows[rig.published[0].id].text == "doublon"
        assert journal(rig) == ["DISCARD"]

    play(story)


def test_pipeline_letters_are_replayed_as_events() -> None:
    """A pipeline's letter goes back to its feed with its first origin, and counts as resolved."""
    rig = Rig()
    producer = rig.bus.producer("gateway")
    event = Event("id-1", "sil", "k", b"MSH|", {Header.CONTROL: "C1"})
    (origin,) = producer.publish([event_record(event)])
    story = {Header.STAGE: "pipeline", Header.PIPELINE: "biologie", Header.CODE: "R45", Header.CAUSE: "abc"}
    headers = {Header.ID: "id-1", Header.FEED: "sil", Header.ORIGIN: str(origin), **story}
    producer.publish([Outgoing("dlq.pipeline", "k", b"MSH|", headers)])
    (dead_letter,) = letters(rig.bus, rig.ledger)
    assert (dead_letter.cause, dead_letter.where, dead_letter.feed) == ("abc", "biologie", "sil")
    assert [a.accepted for a in replay(rig.bus, rig.ledger, [dead_letter], by="a", producer=producer)] == [True]
    _, again = sorted(rig.bus.scan("in.sil"), key=lambda r: r.offset)
    assert again.value == b"MSH|"
    assert again.headers[Header.ORIGIN] == str(origin)
    assert again.headers[Header.COMMAND] == "replay"
    assert Header.CODE not in again.headers
    assert letters(rig.bus, rig.ledger) == []


def test_intake_letters_can_only_be_discarded() -> None:
    """What was never accepted can't be replayed; given up, it is resolved and journalled."""
    rig = Rig()
    producer = rig.bus.producer("gateway")
    headers = {Header.FEED: "sil", Header.CODE: "R01", Header.ID: "q-1"}
    producer.publish([Outgoing("dlq.intake", "", b"garbage", headers)])
    (dead_letter,) = letters(rig.bus, rig.ledger, Filter(stage="intake"))
    (answer,) = replay(rig.bus, rig.ledger, [dead_letter], by="a", producer=producer)
    assert not answer.accepted
    assert next(discard(rig.bus, rig.ledger, [dead_letter], by="a", reason="vu", producer=producer)).accepted
    assert letters(rig.bus, rig.ledger) == []
    assert journal(rig) == ["DISCARD"]


def test_an_older_fingerprint_still_finds_its_group() -> None:
    """Refusals of one cause are one group, under today's fingerprint and under the one that version 0.2 wrote."""
    rig, pseudonyms = Rig(), Pseudonyms(b"k")
    producer = rig.bus.producer("gateway")
    older = "32c28e0b75ffd3b6"  # of stage intake, code R07, place MSH^1^10, feed sil
    said = {Header.STAGE: "intake", Header.CODE: "R07", Header.PLACE: "MSH^1^10", Header.CAUSE: older}
    producer.publish([Outgoing("dlq.intake", "", b"MSH|", {Header.FEED: "sil", Header.ID: "q-1", **said})])
    validator = MessageValidator(SystemClock(), pseudonyms, lambda _: None, lambda _: None)
    feed = Feed(name="sil", check=RelayCheck(pseudonyms), kind="relay")
    for data in (b"MSH|^~\\&|A|B|C|D|2026||ADT^A01||P|2.5\r", b"MSH|^~\\&|A|B|C|D|2026|||7|P|2.5\r"):
        refused = validator.validate(feed, Received(data=data, source="mllp", at=1.0))
        producer.publish([one for one in validator.records(refused) if one.topic == "dlq.intake"])
    group, other = groups(rig.bus, rig.ledger)
    assert (group.code, group.count, other.code, other.count) == ("R07", 2, "R02", 1)
    assert group.cause != older
    for name in (older, group.cause):
        assert [one.code for one in letters(rig.bus, rig.ledger, Filter(id=name))] == ["R07", "R07"]
        assert [one.code for one in letters(rig.bus, rig.ledger, Filter(cause=name))] == ["R07", "R07"]


def test_decide_again_sends_the_event_through() -> None:
    """With `decide_again` a sink's letter republishes its original event instead of a command."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "DMP-X"})
        event = Event("event-1", "f", "lane", b"MSH|", {})
        (origin,) = rig.bus.producer("gateway").publish([event_record(event)])
        rig.publish(replace(delivery(1, label="x"), origin=origin))
        async with rig.running():
            await rig.settled(State.DEAD)
        chosen = letters(rig.bus, rig.ledger)
        (answer,) = replay(rig.bus, rig.ledger, chosen, by="a", producer=rig.bus.producer("cli"), decide_again=True)
        assert answer.accepted
        again = list(rig.bus.scan("in.f"))[-1]
        assert (again.headers["replay"], again.headers[Header.ORIGIN]) == ("1", str(origin))

    play(story)


def test_decide_again_refuses_when_another_event_has_taken_the_place() -> None:
    """A topic that was made anew: what stands at the origin now is somebody else's message."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "DMP-X"})
        (origin,) = rig.bus.producer("gateway").publish([event_record(Event("another", "f", "lane", b"MSH|", {}))])
        rig.publish(replace(delivery(1, label="x"), origin=origin))
        async with rig.running():
            await rig.settled(State.DEAD)
        producer = rig.bus.producer("cli")
        (answer,) = replay(
            rig.bus, rig.ledger, letters(rig.bus, rig.ledger), by="a", producer=producer, decide_again=True
        )
        assert not answer.accepted
        assert len(list(rig.bus.scan("in.f"))) == 1

    play(story)


def test_the_bytes_of_a_letter_are_its_own() -> None:
    """`dlq show --content` shows nothing when another record has the letter's place."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "DMP-X"})
        rig.publish(delivery(1, label="x", payload=b"mine"))
        async with rig.running():
            await rig.settled(State.DEAD)
        (dead_letter,) = letters(rig.bus, rig.ledger)
        found = body(rig.bus, dead_letter)
        assert found is not None
        assert found.value == b"mine"
        assert body(rig.bus, replace(dead_letter, delivery_id="another")) is None

    play(story)


def test_records_that_are_no_deliveries_are_letters_too() -> None:
    """A stranger's record on a sink's topic is set aside, shown, and does not stop the sink."""

    async def story(rig: Rig) -> None:
        rig.bus.producer("stranger").publish([Outgoing("out.s", "k", b"?", {})])
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled()
            await asyncio.sleep(0)
        (dead_letter,) = letters(rig.bus, rig.ledger, sinks=["s"])
        assert (dead_letter.code, dead_letter.sink) == ("DELIVERY", "s")
        assert not next(replay(rig.bus, rig.ledger, [dead_letter], by="a")).accepted

    play(story)


def test_a_record_that_is_no_delivery_is_listed_though_it_names_one() -> None:
    """A record that can't be read is found among the dead letters, also when it carries a delivery's id."""

    async def story(rig: Rig) -> None:
        for headers in ({}, {Header.DELIVERY: "somebody", Header.ORIGIN: "nowhere"}):
            rig.bus.producer("x").publish([Outgoing("out.s", "k", b"?", headers)])
        async with rig.running():
            await rig.until(lambda: len(list(rig.bus.scan("dlq.s"))) == 2)

    rig = play(story)
    assert [dead_letter.code for dead_letter in letters(rig.bus, rig.ledger, sinks=["s"])] == ["DELIVERY"] * 2


def test_what_no_pipeline_decided_is_not_decided_again() -> None:
    """An answer to a sender comes from a receipt: its record is no event, and never goes back to the pipelines."""

    async def story(rig: Rig) -> None:
        died(rig, {"x": "HL7-AR"})
        rig.publish(replace(delivery(1, label="x"), origin=Origin("receipts", 0, 0)))
        async with rig.running():
            await rig.settled(State.DEAD)
        chosen = letters(rig.bus, rig.ledger)
        producer = rig.bus.producer("cli")
        (answer,) = replay(rig.bus, rig.ledger, chosen, by="a", decide_again=True, producer=producer)
        assert (answer.accepted, answer.text) == (False, UNDECIDED)
        assert list(rig.bus.scan("in.f")) == []
        (plain,) = replay(rig.bus, rig.ledger, chosen, by="a", producer=producer)
        assert plain.accepted

    play(story)
