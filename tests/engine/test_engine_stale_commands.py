"""A command about a dead letter that is not as the person saw it is refused; what an order did itself is no refusal."""

from __future__ import annotations

import pytest

from router.contracts import Outgoing
from router.engine.dead_letters.listing import DeadLetter, Filter, held, of_row
from router.engine.dead_letters.operator_commands import Answer, discard, replay, take_back
from router.engine.dead_letters.paging import letters
from router.engine.delivery.supersession_rules import HELD
from router.errors import OutcomeUnknown, Refused, Unavailable
from router.exchange import State
from tests.engine.rig import Rig, journal, play
from tests.engine.sinks import ScriptedSink, delivery


class _Kept:
    """A producer that keeps what it is given: written later, as by a console that was slow."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    def publish(self, records: list[Outgoing]) -> list[object]:
        self.records += records
        return []


def _discarded(rig: Rig, chosen: list[DeadLetter], **more: object) -> list[Answer]:
    return list(discard(rig.bus, rig.ledger, chosen, by="a", reason="inutile", **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [State.WAITING, State.DEAD])
def test_a_discard_from_an_old_list_leaves_what_was_replayed_since(end: State) -> None:
    """A colleague replayed it: it waits for its next try, or has failed again. The old list gives neither up."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda *_: Refused("MSS-552")
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled(State.DEAD)
            (id_,) = (one.id for one in rig.published)
            old, late = letters(rig.bus, rig.ledger), _Kept()
            assert [one.accepted for one in _discarded(rig, old, producer=late)] == [True]
            if end is State.WAITING:
                rig.sink.behaviour = lambda *_: Unavailable("MSS-450", "RCPT", "plus tard", circuit=False)
            seen = rig.ledger.rows[id_].updated
            list(replay(rig.bus, rig.ledger, old, by="b", producer=rig.bus.producer("b")))
            await rig.until(lambda: rig.ledger.rows[id_].state is end and rig.ledger.rows[id_].updated > seen)
            assert [one.code for one in _discarded(rig, old)] == ["REPLAY-CHANGED"]
            rig.bus.producer("a").publish(late.records)
            await rig.until(lambda: "REPLAY-CHANGED" in journal(rig))
            assert rig.ledger.rows[id_].state in (end, State.WAITING, State.BEGUN)
            assert "DISCARD" not in journal(rig)

    play(story)


def test_a_take_back_from_an_old_list_leaves_what_was_tried_since() -> None:
    """Taken back, replayed, failed and given up again by somebody else: that discard stands."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda *_: Refused("MSS-552")
        rig.publish(delivery(1))
        producer = rig.bus.producer("b")
        async with rig.running():
            await rig.settled(State.DEAD)
            (id_,) = (one.id for one in rig.published)
            old = letters(rig.bus, rig.ledger)
            now = rig.ledger.rows[id_].updated
            _discarded(rig, old, producer=producer)
            await rig.settled(State.SUPERSEDED)
            assert [one.accepted for one in take_back(rig.ledger, old, by="a", reason="r", now=now)] == [True]
            list(take_back(rig.ledger, old, by="b", reason="r", now=now, producer=producer))
            await rig.settled(State.DEAD)
            list(replay(rig.bus, rig.ledger, letters(rig.bus, rig.ledger), by="b", producer=producer))
            await rig.until(lambda: len(rig.sink.calls) == 2 and rig.ledger.rows[id_].state is State.DEAD)
            _discarded(rig, letters(rig.bus, rig.ledger), producer=producer)
            await rig.settled(State.SUPERSEDED)
            assert [one.code for one in take_back(rig.ledger, old, by="a", reason="r", now=now)] == ["REPLAY-CHANGED"]

    play(story)


@pytest.mark.parametrize("act", ["replay", "discard", "take-back"])
def test_what_an_order_did_before_a_crash_is_told_as_ordered(act: str) -> None:
    """Judged anew under the same order, nothing is published a second time and nothing refused; another order is."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda *_: Refused("MSS-552")
        rig.publish(delivery(1))
        producer, late = rig.bus.producer("a"), _Kept()
        async with rig.running():
            await rig.settled(State.DEAD)
            found = letters(rig.bus, rig.ledger)
            now = rig.ledger.rows[rig.published[0].id].updated
            rig.sink.behaviour = lambda *_: None

            def ordered(order: str, to: object) -> list[Answer]:
                said = {"by": "a", "reason": "r", "order": order, "producer": to}
                if act == "replay":
                    return list(replay(rig.bus, rig.ledger, found, **said))  # type: ignore[arg-type]
                if act == "discard":
                    return list(discard(rig.bus, rig.ledger, found, **said))  # type: ignore[arg-type]
                return list(take_back(rig.ledger, found, now=now, **said))  # type: ignore[arg-type]

            if act == "take-back":
                _discarded(rig, found, producer=producer)
                await rig.settled(State.SUPERSEDED)
            assert [one.accepted for one in ordered("one", producer)] == [True]
            await rig.settled({"replay": State.DONE, "discard": State.SUPERSEDED}.get(act, State.DEAD))
            assert [(one.accepted, one.code) for one in ordered("one", late)] == [(True, "")]
            assert late.records == []
            assert [one.accepted for one in ordered("two", late)] == [False]

    play(story)


@pytest.mark.parametrize("act", ["replay", "discard"])
@pytest.mark.parametrize("late", [False, True], ids=["judged now", "written late"])
def test_an_old_list_leaves_what_is_held_again(act: str, late: bool) -> None:
    """It was held, a colleague replayed it, its outcome is unknown again: who has not seen that decides nothing.

    late: the command was judged before and stands behind the colleague's on the topic
    """

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda *_: OutcomeUnknown("CUT")
        rig.publish(delivery(1))
        producer, kept = rig.bus.producer("a"), _Kept()

        def ordered(found: list[DeadLetter], to: object) -> list[tuple[bool, str]]:
            given = {"by": "a", "reason": "r", "producer": to}
            act_of = replay if act == "replay" else discard
            return [(one.accepted, one.code) for one in act_of(rig.bus, rig.ledger, found, **given)]  # type: ignore[arg-type]

        async with rig.running():
            await rig.settled(State.PARKED)
            (id_,) = (one.id for one in rig.published)
            old = held(rig.ledger, Filter(code=HELD), ["s"])
            assert ordered(old, kept) == [(True, "")]
            list(replay(rig.bus, rig.ledger, old, by="b", producer=producer))
            await rig.until(lambda: len(rig.sink.calls) == 2 and rig.ledger.rows[id_].state is State.PARKED)
            if late:
                producer.publish(kept.records)
                await rig.until(lambda: "REPLAY-CHANGED" in journal(rig))
            else:
                assert ordered(old, kept) == [(False, "REPLAY-CHANGED")]
            rig.sink.behaviour = lambda *_: None
            assert ordered(held(rig.ledger, Filter(code=HELD), ["s"]), producer) == [(True, "")]
            await rig.settled(State.DONE if act == "replay" else State.SUPERSEDED)
            assert len(rig.sink.calls) == (3 if act == "replay" else 2)

    play(story, ScriptedSink(on_unknown="hold"))


def test_a_command_of_an_older_version_about_what_is_held_is_obeyed() -> None:
    """It says `held` alone, and says nothing at all where it is older still."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _, a: OutcomeUnknown("CUT") if a.number == 1 else None
        rig.publish(delivery(1, "a"), delivery(2, "b"))
        async with rig.running():
            await rig.settled(State.PARKED)
            rig.command(rig.published[0], "replay", seen="held")
            rig.command(rig.published[1], "replay")
            await rig.settled(State.DONE)

    play(story, ScriptedSink(on_unknown="hold"))


def test_who_gave_up_what_waited_does_not_give_up_what_has_died_since() -> None:
    """A command about a delivery that waits for its next try says so: a dead letter is another matter."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda *_: Unavailable("MSS-450", "RCPT", "plus tard", circuit=False)
        rig.publish(delivery(1))
        kept = _Kept()
        async with rig.running():
            await rig.settled(State.WAITING)
            (id_,) = (one.id for one in rig.published)
            waits = [of_row(rig.ledger.rows[id_])]
            assert [one.accepted for one in _discarded(rig, waits, producer=kept)] == [True]
            rig.sink.behaviour = lambda *_: Refused("MSS-552")
            await rig.settled(State.DEAD)
            rig.bus.producer("a").publish(kept.records)
            await rig.until(lambda: "REPLAY-CHANGED" in journal(rig))
            assert rig.ledger.rows[id_].state is State.DEAD

    play(story)
