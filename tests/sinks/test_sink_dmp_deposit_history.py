"""A replacement whose predecessor the DMP does not have: what the ledger proves decides (decisions D1)."""

from __future__ import annotations

import pytest

from router.errors import OutcomeUnknown, Refused, Unavailable
from router.exchange import State
from router.request import Action
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.simulators.sender.options import CdaSample
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import (
    AFTER_UNKNOWN,
    FIRST,
    PastDeliveries,
    Shifted,
    hospitals,
    made,
    names,
    play,
    tools,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


async def fed(sink: DmpSink, past: PastDeliveries, document: CdaSample) -> None:
    """A deposit that succeeded, and that the ledger knows."""
    outcome = await sink.deliver(made(document), FIRST)
    past.add(made(document), State.DONE, evidence=outcome.evidence)


async def takes_along(dmp: DmpSimulator, sink: DmpSink, *, deleted: CdaSample, shown: CdaSample) -> None:
    """Deleting one version takes down the one that the DMP shows."""
    outcome = await sink.deliver(made(deleted, Action.DELETE), FIRST)
    assert outcome.evidence["xds_status"] == "Deleted"
    assert dmp.documents[shown.uid].status.endswith("Deleted")


def test_replacing_what_never_arrived_fails_by_default(certificates: Certificates, maker: Maker) -> None:
    """`replace_when_absent: fail`: even with proof, the replacement is refused."""
    first = maker.document("biology", maker.patient(age=50))
    past = PastDeliveries()
    past.add(made(first), State.DEAD)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(maker.replacement(first), Action.REPLACE), FIRST)
        assert caught.value.code == "PFI-REPLACE-ABSENT"

    play(certificates, story, given=tools(past=past))


@pytest.mark.parametrize(
    ("state", "unknown", "published"),
    [
        (State.DEAD, False, True),
        (State.SUPERSEDED, False, True),
        (State.DEAD, True, False),
        (State.SUPERSEDED, True, False),
        (State.UNKNOWN, False, False),
        (State.DONE, False, False),
        (None, False, False),
    ],
)
def test_publish_needs_proof(
    certificates: Certificates, maker: Maker, state: State | None, unknown: bool, published: bool
) -> None:
    """`replace_when_absent: publish` applies only when the ledger proves the predecessor never arrived."""
    first = maker.document("biology", maker.patient(age=50))
    second = maker.replacement(first)
    past = PastDeliveries()
    if state is not None:
        past.add(made(first), state, outcome_unknown=unknown)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        one = made(second, Action.REPLACE)
        if published:
            await sink.deliver(one, FIRST)
            assert dmp.documents[second.uid].status.endswith("Approved")
        else:
            with pytest.raises(Refused) as caught:
                await sink.deliver(one, FIRST)
            assert caught.value.code == "PFI-REPLACE-ABSENT"
            assert names(dmp) == ["TD3.1b"]

    play(certificates, story, given=tools(past=past), replace_when_absent="publish")


def test_an_older_version_that_did_arrive_is_replaced(certificates: Certificates, maker: Maker) -> None:
    """A fed, B dead, C replaces B: C replaces A, so that two approved versions never stand side by side."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    c = maker.replacement(b)
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, a)
        past.add(made(b, Action.REPLACE), State.DEAD)
        await sink.deliver(made(c, Action.REPLACE), FIRST)
        assert dmp.documents[a.uid].status.endswith("Deprecated")
        assert dmp.documents[c.uid].status.endswith("Approved")

    play(certificates, story, given=tools(past=past), replace_when_absent="publish")


def test_what_was_just_fed_may_not_show_yet(certificates: Certificates, maker: Maker) -> None:
    """A predecessor deposited seconds ago that TD3.1b does not show: the lane waits, nothing is refused."""
    first = maker.document("biology", maker.patient(age=50))
    past, clock = PastDeliveries(), Shifted()
    past.add(made(first), State.DONE, updated=clock.now() - 5)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Unavailable) as caught:
            await sink.deliver(made(maker.replacement(first), Action.REPLACE), FIRST)
        assert caught.value.circuit is False
        assert 20 < (caught.value.retry_after or 0) <= 25

    play(certificates, story, given=tools(past=past, clock=clock), visibility_delay=30)


def test_deleting_a_version_that_never_arrived_takes_the_shown_one_along(
    certificates: Certificates, maker: Maker
) -> None:
    """A fed, its replacement B overtaken by the deletion of B: A goes, or a deleted document would still be read."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, a)
        past.add(made(b, Action.REPLACE), State.SUPERSEDED)
        await takes_along(dmp, sink, deleted=b, shown=a)

    play(certificates, story, given=tools(past=past))


def test_deleting_the_older_version_again_is_done(certificates: Certificates, maker: Maker) -> None:
    """The attempt that deleted A in the place of B lost its answer: the next one finds nothing, and that is success."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, a)
        past.add(made(b, Action.REPLACE), State.SUPERSEDED)
        dmp.cut("after", transaction="TD3.3c")
        with pytest.raises(OutcomeUnknown):
            await sink.deliver(made(b, Action.DELETE), FIRST)
        assert (await sink.deliver(made(b, Action.DELETE), AFTER_UNKNOWN)).evidence["xds_status"] == "Deleted"
        assert dmp.documents[a.uid].status.endswith("Deleted")

    play(certificates, story, given=tools(past=past))


def test_a_deletion_waits_for_what_does_not_show_yet(certificates: Certificates, maker: Maker) -> None:
    """Deleted seconds after it was fed, and TD3.1b does not show it: the deletion waits, it is not refused."""
    first = maker.document("biology", maker.patient(age=50))
    past, clock = PastDeliveries(), Shifted()
    past.add(made(first), State.DONE, updated=clock.now() - 5)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Unavailable) as caught:
            await sink.deliver(made(first, Action.DELETE), FIRST)
        assert caught.value.code == "PFI-NOT-YET"

    play(certificates, story, given=tools(past=past, clock=clock), visibility_delay=30)


def test_a_pair_of_which_one_document_shows_is_not_deleted_by_half(certificates: Certificates, maker: Maker) -> None:
    """Fed seconds ago, and TD3.1b shows the N1 alone: the N3, shown later, would outlive a deletion that is done."""
    patient = maker.patient(age=50)
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient)]
    past, clock = PastDeliveries(), Shifted()
    past.add(made(pair), State.DONE, updated=clock.now() - 5)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair[0]), FIRST)
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await sink.deliver(made(pair, Action.DELETE), FIRST)
            assert caught.value.code == "PFI-NOT-YET"
            assert dmp.documents[pair[0].uid].status.endswith("Approved")
        past.rows.clear()
        past.add(made(pair), State.DONE, updated=clock.now() - 31)
        await sink.deliver(made(pair, Action.DELETE), FIRST)
        assert dmp.documents[pair[0].uid].status.endswith("Deleted")

    play(certificates, story, given=tools(past=past, clock=clock), visibility_delay=30)


def test_a_deletion_is_not_done_while_the_older_version_is_shown(certificates: Certificates, maker: Maker) -> None:
    """Verifying a deletion of unknown outcome looks at what it takes along too, not only at the version it names."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, a)
        past.add(made(b, Action.REPLACE), State.SUPERSEDED)
        gone = made(b, Action.DELETE)
        assert await sink.verify(gone, AFTER_UNKNOWN) is None
        await sink.deliver(gone, AFTER_UNKNOWN)
        assert await sink.verify(gone, AFTER_UNKNOWN) is not None
        assert dmp.documents[a.uid].status.endswith("Deleted")

    play(certificates, story, given=tools(past=past))


def test_deleting_a_version_takes_an_older_one_of_unknown_outcome_along(
    certificates: Certificates, maker: Maker
) -> None:
    """A's answer was lost in a crash, then the deletion of its replacement B overtook both: A goes, it did arrive."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    past = PastDeliveries()
    past.add(made(a), State.SUPERSEDED, outcome_unknown=True, updated=1.0)
    past.add(made(b, Action.REPLACE), State.SUPERSEDED)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(a), FIRST)
        await takes_along(dmp, sink, deleted=b, shown=a)

    play(certificates, story, given=tools(past=past))


def test_an_unknown_outcome_that_never_shows_is_nothing_to_delete(certificates: Certificates, maker: Maker) -> None:
    """The deposit may have arrived: the deletion waits until it would show, and only then says there is nothing."""
    first = maker.document("biology", maker.patient(age=50))
    past, clock = PastDeliveries(), Shifted()
    deposit = {"outcome_unknown": True}
    past.add(made(first), State.SUPERSEDED, **deposit, updated=clock.now() - 5)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Unavailable) as caught:
            await sink.deliver(made(first, Action.DELETE), FIRST)
        assert caught.value.code == "PFI-NOT-YET"
        past.rows.clear()
        past.add(made(first), State.SUPERSEDED, **deposit, updated=clock.now() - 31)
        outcome = await sink.deliver(made(first, Action.DELETE), FIRST)
        assert outcome.evidence["xds_status"] == "NeverFed"

    play(certificates, story, given=tools(past=past, clock=clock), visibility_delay=30)


def test_an_older_version_that_nobody_can_name_needs_a_person(certificates: Certificates, maker: Maker) -> None:
    """A of unknown outcome, B and C never sent, C is deleted: only B names A, so we don't say that all is gone."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    c = maker.replacement(b)
    past = PastDeliveries()
    past.add(made(a), State.SUPERSEDED, outcome_unknown=True, updated=1.0)
    past.add(made(b, Action.REPLACE), State.SUPERSEDED)
    past.add(made(c, Action.REPLACE), State.SUPERSEDED)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(c, Action.DELETE), FIRST)
        assert caught.value.code == "PFI-DELETE-DOUBT"

    play(certificates, story, given=tools(past=past))
