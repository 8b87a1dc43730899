"""D1 on a running worker: deletions pass, replacements supersede dead letters, replay refuses what is overtaken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from router.contracts import Attempt, Record, Row
from router.engine.delivery.circuit import Circuit
from router.engine.delivery.worker_settings import Limits
from router.errors import OutcomeUnknown, Refused, Unavailable
from router.exchange import Delivery, Disposition, Origin, ReceiptKind, State
from tests.engine.rig import Rig, journal, play
from tests.engine.sinks import ScriptedSink, check, delivery

FULL = Unavailable("MSS-452", circuit=False)


def version(number: int, action: str, lane: str = "dr-a", *, lineage: str = "set-1", **fields: Any) -> Delivery:
    """One version of a document for one recipient."""
    return delivery(
        number, lane, key="doc", destination=lane, action=action, lineage=lineage, document=f"doc-{number}", **fields
    )


def test_deletion_passes_a_back_off() -> None:
    """A document that is being retried is superseded, and its deletion goes out at once."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: FULL if d.action == "initial" else None
        filed, withdrawn = version(1, "initial"), version(2, "delete")
        rig.publish(filed)
        async with rig.running():
            await rig.until(lambda: rig.state(filed) is State.WAITING)
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            assert rig.state(filed) is State.SUPERSEDED
        assert rig.sink.delivered == [withdrawn.id]
        final = [r for r in rig.receipts(filed) if r.kind is ReceiptKind.DELIVERY]
        assert [(r.disposition, r.ok, r.context) for r in final] == [(Disposition.SUPERSEDED, False, {"size": "7"})]

    play(story)


def test_deletion_reaches_all_lanes_but_its_siblings() -> None:
    """Copies for every recipient that were not made are superseded; each recipient's deletion is delivered."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: FULL if d.action == "initial" and d.lane != "dr-c" else None
        filed = [version(1, "initial", lane, event_id="e1") for lane in ("dr-a", "dr-b", "dr-c")]
        deletions = [version(2, "delete", lane, event_id="e2") for lane in ("dr-a", "dr-b", "dr-c")]
        rig.publish(*filed)
        async with rig.running():
            await rig.until(lambda: rig.state(filed[2]) is State.DONE and rig.state(filed[1]) is State.WAITING)
            rig.publish(*deletions)
            await rig.until(lambda: all(rig.state(d) is State.DONE for d in deletions))
        assert [rig.state(d) for d in filed] == [State.SUPERSEDED, State.SUPERSEDED, State.DONE]

    play(story)


def test_deletion_waits_for_an_attempt_in_flight() -> None:
    """While the document is being sent its deletion waits; the attempt that fails is not retried."""

    async def story(rig: Rig) -> None:
        gate = asyncio.Event()
        filed, other, withdrawn = version(1, "initial"), version(2, "initial", "dr-b"), version(3, "delete")

        async def deliver(d: Delivery, _: object) -> None:
            if d.action == "initial":
                await gate.wait()
                if d.id == filed.id:
                    raise FULL

        rig.sink.effect = deliver
        rig.publish(filed, other)
        async with rig.running():
            await rig.until(lambda: len(rig.sink.calls) == 2)
            rig.publish(withdrawn)
            await rig.until(lambda: withdrawn.id in rig.ledger.rows)
            await asyncio.sleep(0.05)
            assert len(rig.sink.calls) == 2
            gate.set()
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
        assert [rig.state(d) for d in (filed, other)] == [State.SUPERSEDED, State.DONE]
        assert rig.sink.delivered == [other.id, withdrawn.id]

    play(story)


def test_deletion_supersedes_dead_parked_and_unknown() -> None:
    """Nothing that was not surely made survives a deletion; what may have been made says so."""

    async def story(rig: Rig) -> None:
        faults = {"dead": Refused("MSS-550"), "cut": OutcomeUnknown("CUT")}
        rig.sink.behaviour = lambda d, _: faults.get(d.label)
        dead, cut = version(1, "initial", "dr-a", label="dead"), version(2, "initial", "dr-b", label="cut")
        rig.publish(dead, cut)
        async with rig.running():
            await rig.until(lambda: rig.state(dead) is State.DEAD and rig.state(cut) is State.PARKED)
            withdrawn = version(3, "delete", "dr-c")
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
        assert [rig.state(d) for d in (dead, cut)] == [State.SUPERSEDED] * 2
        assert rig.ledger.rows[cut.id].evidence["outcome"] == "unknown"
        told = [r for r in rig.receipts(dead) if r.disposition is Disposition.SUPERSEDED]
        assert told[0].evidence["before"] == "dead"

    play(story, ScriptedSink(on_unknown="hold"))


def test_deletion_finds_what_left_memory() -> None:
    """A document whose lane has been waiting for long, and stands on `held`, is overtaken all the same."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: FULL if d.action == "initial" else None
        filed = [version(n, "initial", lineage=f"set-{n}") for n in range(5)]
        rig.publish(*filed)
        async with rig.running(limits=Limits(hold_after=0.03, sweep=0.03, patience=1.0)):
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 5)
            withdrawn = version(9, "delete", lineage="set-3")
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            rig.sink.behaviour = lambda _d, _a: None
            await rig.until(lambda: all(rig.state(d) is State.DONE for d in filed if d is not filed[3]))
        assert rig.state(filed[3]) is State.SUPERSEDED
        assert filed[3].id not in rig.sink.delivered
        check([c for c in rig.sink.calls if c.delivery.action == "initial"], filed)

    play(story)


def test_deletion_finds_what_left_memory_and_is_due_again() -> None:
    """A document that the ledger alone holds is due while its deletion is being written: it does not come back."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: FULL if d.action == "initial" else None
        filed = version(3, "initial")
        rig.publish(filed)
        read = rig.bus.read

        def slowly(origin: Origin) -> Record | None:
            time.sleep(0.3)  # in this time the lane is due, several times over
            return read(origin)

        async with rig.running(limits=Limits(hold_after=0.03, sweep=0.03, patience=1.0)):
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 1)
            rig.bus.read = slowly  # type: ignore[method-assign]
            withdrawn = version(9, "delete")
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            rig.sink.behaviour = lambda _d, _a: None
            await asyncio.sleep(0.8)
        assert rig.state(filed) is State.SUPERSEDED
        assert filed.id not in rig.sink.delivered

    play(story)


def test_deletion_finds_what_is_about_to_leave() -> None:
    """A document whose `begun` is being written when its deletion comes: nothing has left yet, and nothing does."""

    async def story(rig: Rig) -> None:
        asked = threading.Event()
        rig.sink.behaviour = lambda d, _: FULL if d.action == "initial" and not asked.is_set() else None
        filed, withdrawn = version(1, "initial"), version(2, "delete")
        rig.publish(filed)
        read_lineage = rig.ledger.lineage

        def slowly(sink: str, lineage: str) -> Sequence[Row]:
            found = read_lineage(sink, lineage)
            asked.set()
            time.sleep(0.3)  # in this time the document is due again, and its row stands in the queue behind us
            return found

        async with rig.running():
            await rig.until(lambda: rig.state(filed) is State.WAITING)
            rig.ledger.lineage = slowly  # type: ignore[method-assign]
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
        assert rig.sink.delivered == [withdrawn.id]
        row = rig.ledger.rows[filed.id]
        assert (row.state, row.evidence.get("outcome")) == (State.SUPERSEDED, None)
        assert row.attempts == sum(call.delivery.id == filed.id for call in rig.sink.calls)

    play(story)


def test_deletion_finds_what_waits_for_its_turn_within_the_sink() -> None:
    """A sink with fewer connections than deliveries looks once more before it sends: the second one never leaves."""

    async def story(rig: Rig) -> None:
        free, gate = asyncio.Semaphore(1), asyncio.Event()

        async def deliver(d: Delivery, attempt: Attempt) -> None:
            async with free:
                attempt.recheck()
                if d.action == "initial":
                    await gate.wait()

        rig.sink.effect = deliver
        first, second = version(1, "initial", lineage="set-1"), version(2, "initial", "dr-b", lineage="set-2")
        withdrawn = version(3, "delete", "dr-b", lineage="set-2")
        rig.publish(first)
        async with rig.running():
            await rig.until(lambda: len(rig.sink.calls) == 1)
            rig.publish(second)
            await rig.until(lambda: len(rig.sink.calls) == 2)
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is not None)
            await asyncio.sleep(0.05)
            gate.set()
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
        assert rig.sink.delivered == [first.id, withdrawn.id]
        row = rig.ledger.rows[second.id]
        assert (row.state, row.attempts, row.evidence.get("outcome")) == (State.SUPERSEDED, 0, None)

    play(story)


def test_a_deletion_is_found_behind_more_bytes_than_we_may_hold() -> None:
    """While the destination is away reading goes on past the budget: the document never leaves."""

    async def story(rig: Rig) -> None:
        rig.sink.down = True
        rig.sink.behaviour = lambda _d, _a: Unavailable("REFUSED") if rig.sink.down else None
        filed = [version(n, "initial", lineage=f"set-{n}", payload=b"x" * 1000) for n in range(300)]
        rig.publish(*filed)
        async with rig.running(limits=Limits(bytes=5000, patience=1.0)) as worker:
            await rig.until(lambda: worker.condition().circuit is Circuit.OPEN)
            withdrawn = version(999, "delete", lineage="set-299")
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(filed[-1]) is State.SUPERSEDED)
            rig.sink.down = False
            await rig.until(lambda: rig.state(withdrawn) is State.DONE and all(map(rig.state, filed)), 20)
            await rig.until(lambda: all(rig.state(d) is State.DONE for d in filed[:-1]), 20)
        assert filed[-1].id not in rig.sink.delivered

    play(story)


def test_deletion_and_document_in_one_batch() -> None:
    """Read together after an outage of ours, the document never leaves."""

    async def story(rig: Rig) -> None:
        rig.publish(version(1, "initial"), version(2, "delete"))
        async with rig.running():
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == [rig.published[1].id]

    play(story)


def test_deletion_during_an_outage_spares_the_document() -> None:
    """The server is down, the document waits, its deletion arrives: when the server returns only the deletion goes."""

    async def story(rig: Rig) -> None:
        rig.sink.down = True
        rig.sink.behaviour = lambda _d, _a: Unavailable("DOWN") if rig.sink.down else None
        rig.publish(version(1, "initial"))
        async with rig.running():
            await rig.until(lambda: rig.sink.probes > 1)
            rig.publish(version(2, "delete"))
            await rig.until(lambda: rig.state(rig.published[0]) is State.SUPERSEDED)
            rig.sink.down = False
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == [rig.published[1].id]

    play(story)


def test_replacement_supersedes_a_dead_letter() -> None:
    """The refused first version is superseded by the second, whichever of them came first to its end."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Refused("DMP-X") if d.action == "initial" else None
        first, second = version(1, "initial"), version(2, "replace")
        early, late = version(3, "initial", "dr-b", lineage="set-2"), version(4, "replace", "dr-b", lineage="set-2")
        rig.publish(first)
        async with rig.running():
            await rig.until(lambda: rig.state(first) is State.DEAD)
            rig.publish(second, early, late)
            await rig.until(lambda: rig.state(second) is State.DONE and rig.state(late) is State.DONE)
        assert rig.state(first) is State.SUPERSEDED
        assert rig.state(early) is State.SUPERSEDED
        assert len(list(rig.bus.scan("dlq.s"))) == 2  # each refusal was told before

    play(story)


def test_replacement_waits_behind_its_predecessor() -> None:
    """A replacement does not pass a predecessor in back-off or of unknown outcome."""

    async def story(rig: Rig) -> None:
        faults = {1: OutcomeUnknown("CUT"), 2: FULL}
        rig.sink.behaviour = lambda d, a: faults.get(a.number) if d.action == "initial" else None
        rig.publish(version(1, "initial"), version(2, "replace"))
        async with rig.running():
            await rig.settled()
        assert rig.sink.delivered == [d.id for d in rig.published]

    play(story)


@pytest.mark.parametrize("restart", [False, True])
def test_replacement_waits_for_an_unknown_outcome_in_another_lane(restart: bool) -> None:
    """Same document and destination under two keys: the new version goes when it is known what became of the old."""

    async def story(rig: Rig) -> None:
        verified = asyncio.Event()

        def verdict(d: Delivery, _: object) -> Exception | None:
            return OutcomeUnknown("CUT") if d.action == "initial" and not verified.is_set() else None

        rig.sink.behaviour = verdict
        first, last = sorted(("aa", "zz"), key=lambda key: rig.bus.partition_of("out.s", key))
        old = delivery(1, "old", key=last, action="initial", document="doc-1", lineage="doc-1")
        new = delivery(2, "new", key=first, action="replace", document="doc-2", replaces="doc-1")
        rig.publish(old)
        async with rig.running():
            await rig.until(lambda: rig.state(old) is State.UNKNOWN)
            rig.publish(new)
            await rig.until(lambda: rig.state(new) is not None)
            await rig.until(lambda: len(rig.sink.calls) > 3)
            if not restart:
                verified.set()
                await rig.settled()
        if restart:
            async with rig.running():
                calls = len(rig.sink.calls)
                await rig.until(lambda: len(rig.sink.calls) > calls + 3)
                verified.set()
                await rig.settled()
        assert rig.sink.delivered == [old.id, new.id]

    play(story)


@pytest.mark.parametrize("deleted", [False, True], ids=["replaced", "and deleted since"])
def test_a_first_version_that_comes_after_its_replacement_was_made_is_superseded(*, deleted: bool) -> None:
    """The recipient's newest letter would be the one that was annulled; after a deletion it is published again."""

    async def story(rig: Rig) -> None:
        replacement = version(2, "replace", replaces="doc-1")
        rig.publish(replacement)
        async with rig.running():
            await rig.until(lambda: rig.state(replacement) is State.DONE)
            if deleted:
                withdrawn = version(3, "delete")
                rig.publish(withdrawn)
                await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            first, elsewhere = version(1, "initial"), version(1, "initial", "dr-b")
            rig.publish(first, elsewhere)
            await rig.until(lambda: rig.state(elsewhere) is State.DONE)
            await rig.until(lambda: rig.state(first) in (State.DONE, State.SUPERSEDED))
        assert rig.state(first) is (State.DONE if deleted else State.SUPERSEDED)
        assert (first.id in rig.sink.delivered) is deleted

    play(story)


def test_rules_hold_across_a_restart() -> None:
    """A document that was begun when the worker died, and its deletion: after the restart only the deletion goes."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 3600.0 if d.action == "initial" else None
        rig.publish(version(1, "initial"))
        async with rig.running(limits=Limits(patience=0.05)):
            await rig.until(lambda: len(rig.sink.calls) == 1)
        rig.publish(version(2, "delete"))
        async with rig.running():
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == [rig.published[1].id]
        assert rig.ledger.rows[rig.published[0].id].evidence["outcome"] == "unknown"

    play(story)


def test_replay_refuses_what_was_delivered() -> None:
    """Replaying a delivered letter is refused by the lane's owner, with a receipt and a line in the journal."""

    async def story(rig: Rig) -> None:
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled()
            rig.command(rig.published[0], "replay")
            await rig.until(lambda: journal(rig) == ["REPLAY-DONE"])
        assert len(rig.sink.calls) == 1
        refusal = rig.receipts(rig.published[0])[-1]
        assert (refusal.kind, refusal.ok, refusal.code) == (ReceiptKind.ATTEMPT, False, "REPLAY-DONE")

    play(story)


@pytest.mark.parametrize("how", ["replay", "again"])
def test_a_deletion_is_not_replayed_when_its_document_was_published_again(how: str) -> None:
    """By command, or from a pipeline's dead letter: it would take down what the sender wants to be seen."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, a: Refused("X") if d.action == "delete" and not d.replay else None
        deletion = version(1, "delete")
        again = replace(version(2, "initial"), document=deletion.document)
        if how == "replay":
            rig.publish(deletion)
        rig.publish(again)
        async with rig.running():
            await rig.until(lambda: rig.state(again) is State.DONE)
            if how == "replay":
                assert rig.state(deletion) is State.DEAD
                rig.command(deletion, "replay")
                await rig.until(lambda: journal(rig) == ["REPLAY-OVERTAKEN"])
                assert rig.state(deletion) is State.DEAD
            else:
                rig.publish(replace(deletion, replay=1))
                await rig.until(lambda: rig.state(deletion) is State.SUPERSEDED)
        assert rig.sink.delivered == [again.id]

    play(story)


def test_replay_refuses_what_was_overtaken() -> None:
    """A dead letter whose document was deleted since is not sent again."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Refused("X") if d.action == "initial" else None
        dead = version(1, "initial")
        rig.publish(dead)
        async with rig.running():
            await rig.until(lambda: rig.state(dead) is State.DEAD)
            rig.publish(version(2, "delete"))
            await rig.until(lambda: rig.state(rig.published[1]) is State.DONE)
            rig.command(dead, "replay")
            await rig.until(lambda: journal(rig) == ["REPLAY-OVERTAKEN"])
        assert [c.delivery.action for c in rig.sink.calls] == ["initial", "delete"]

    play(story)


def test_replay_delivers_a_dead_letter_again() -> None:
    """A replayed dead letter goes out with its first bytes, and is told as delivered."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, a: Refused("X") if a.number == 1 else None
        rig.publish(delivery(1, payload=b"bytes"))
        async with rig.running():
            await rig.settled(State.DEAD)
            rig.command(rig.published[0], "replay")
            await rig.settled()
        assert rig.sink.calls[-1].delivery.payload == b"bytes"
        assert rig.sink.calls[-1].delivery.replay == 1
        assert journal(rig) == ["REPLAY"]
        assert rig.receipts(rig.published[0])[-1].disposition is Disposition.DELIVERED

    play(story)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("command", ["replay", "discard"])
def test_strict_relay_is_parked_behind_a_dead_letter(command: str, restart: bool) -> None:
    """Later messages of a strict lane wait for a person, restarts included; then they go, in order."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, a: Refused("X") if d.event_id == "event-1" and a.number == 1 else None
        rig.publish(delivery(1, strict=True), delivery(2, strict=True), delivery(3, "free", strict=True))
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[1]) is State.PARKED)
            if not restart:
                await finish(rig)
        if restart:
            async with rig.running():
                await finish(rig)
        done = [rig.published[n].id for n in ((0, 1, 3) if command == "replay" else (1, 3))]
        assert [id_ for id_ in rig.sink.delivered if id_ != rig.published[2].id] == done

    async def finish(rig: Rig) -> None:
        rig.publish(delivery(4, strict=True))
        await rig.until(lambda: rig.state(rig.published[3]) is State.PARKED)
        assert rig.ledger.rows[rig.published[3].id].code == "PREDECESSOR"
        assert rig.sink.delivered == [rig.published[2].id]
        rig.command(rig.published[0], command, "vu")
        await rig.until(lambda: rig.state(rig.published[3]) is State.DONE)

    play(story)


def test_discard_ends_a_waiting_delivery_and_tells() -> None:
    """A delivery that waits can be given up: its sender is told, its lane goes on."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: FULL if d.event_id == "event-1" else None
        rig.publish(delivery(1), delivery(2))
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[0]) is State.WAITING)
            rig.command(rig.published[0], "discard", "patient décédé")
            await rig.until(lambda: rig.state(rig.published[1]) is State.DONE)
        row = rig.ledger.rows[rig.published[0].id]
        assert (row.state, row.code, row.text) == (State.SUPERSEDED, "DISCARDED", "patient décédé")
        assert rig.receipts(rig.published[0])[-1].disposition is Disposition.SUPERSEDED

    play(story)


def test_a_command_read_twice_is_obeyed_once() -> None:
    """After a crash the same replay command is read again: the delivery that died again is not replayed again."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Refused("X")
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled(State.DEAD)
            rig.command(rig.published[0], "replay")
            await rig.until(lambda: len(rig.sink.calls) == 2)
            await rig.settled(State.DEAD)
        rig.bus.committed.clear()
        async with rig.running():
            await asyncio.sleep(0.1)
        assert len(rig.sink.calls) == 2

    play(story)


def test_decided_again_replaces_a_dead_letter_only() -> None:
    """What today's pipelines made again is delivered where the first decision died, and refused where it was done."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Refused("X") if d.payload == b"wrong" else None
        rig.publish(delivery(1, "a", payload=b"wrong"), delivery(2, "b"))
        async with rig.running():
            await rig.settled(State.DEAD, State.DONE)
            rig.publish(delivery(1, "a", payload=b"right", replay=1), delivery(2, "b", replay=1))
            await rig.settled()
            await rig.until(lambda: "REPLAY-DONE" in journal(rig))
        assert [c.delivery.payload for c in rig.sink.calls if c.ok] == [b"payload", b"right"]

    play(story)
