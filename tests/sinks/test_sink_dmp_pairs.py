"""The two documents of a pair, deleted and replaced each on its own: done ones are remembered (decisions D1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from router.contracts import Attempt, Outcome
from router.errors import OutcomeUnknown, Refused, RouterError, Unavailable
from router.exchange import Delivery, State
from router.request import Action
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.simulators.sender.options import CdaSample
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import FIRST, PastDeliveries, delivery, hospitals, made, names, play, request, tools

N1, N3 = 0, 1


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


@pytest.fixture
def pair(maker: Maker) -> list[CdaSample]:
    patient = maker.patient(age=50)
    return [maker.document("biology-n1", patient), maker.document("biology", patient)]


def after(fault: RouterError, number: int = 2) -> Attempt:
    """The attempt that follows one that ended so: what the engine remembers of it."""
    return Attempt(number, 0.0, unknown=isinstance(fault, OutcomeUnknown), progress=fault.progress)


async def fails(sink: DmpSink, one: Delivery, attempt: Attempt, kind: type[RouterError], code: str = "") -> RouterError:
    with pytest.raises(kind) as caught:
        await sink.deliver(one, attempt)
    assert not code or caught.value.code == code
    return caught.value


async def fed(sink: DmpSink, past: PastDeliveries, documents: Sequence[CdaSample]) -> Outcome:
    """A pair that was fed, and that the ledger knows."""
    outcome = await sink.deliver(made(documents), FIRST)
    past.add(made(documents), State.DONE, evidence=outcome.evidence, updated=1.0)
    return outcome


def statuses(dmp: DmpSimulator, documents: Sequence[CdaSample]) -> list[str]:
    return [dmp.documents[one.uid].status.rpartition(":")[2] for one in documents]


# ----------------------------------------------------------------------------------------------------------- deletion


@pytest.mark.parametrize("which", [N1, N3])
def test_a_refusal_of_one_does_not_leave_the_other_published(
    certificates: Certificates, pair: list[CdaSample], which: int
) -> None:
    """One document's deletion is refused: the other one is deleted, and the refusal says which is which."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        dmp.refuse("LocalPolicyRestrictionError", None, "TD3.3c", document=pair[which].uid)
        fault = await fails(sink, made(pair, Action.DELETE), FIRST, Refused, "DMP-LocalPolicyRestrictionError")
        other = 1 - which
        assert statuses(dmp, [pair[other], pair[which]]) == ["Deleted", "Approved"]
        assert fault.progress["made"] == f"{(1, 3)[other]}={pair[other].uid}"
        assert "N1 non (DMP-Local" in fault.text if which == N1 else "N3 non (DMP-Local" in fault.text

    play(certificates, story)


def test_a_question_that_is_refused_does_not_leave_the_other_published(
    certificates: Certificates, pair: list[CdaSample]
) -> None:
    """TD3.1b of the first document is refused: the second one is asked for and deleted all the same."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        dmp.refuse("XDSUnknownStoredQuery", 1, "TD3.1b")
        await fails(sink, made(pair, Action.DELETE), FIRST, Refused)
        assert statuses(dmp, pair) == ["Approved", "Deleted"]

    play(certificates, story)


@pytest.mark.parametrize("shows_deleted", [False, True])
def test_busy_on_the_second_then_the_first_is_not_asked_again(
    certificates: Certificates, pair: list[CdaSample], shows_deleted: bool
) -> None:
    """N1 deleted, N3 Busy: the next attempt deletes N3 alone, also where the DMP goes on showing what was deleted."""
    gone = made(pair, Action.DELETE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        dmp.refuse("XDSRegistryBusy", 1, "TD3.3c", skip=1)
        fault = await fails(sink, gone, FIRST, Unavailable, "DMP-XDSRegistryBusy")
        assert statuses(dmp, pair) == ["Deleted", "Approved"]
        before = len(names(dmp))
        outcome = await sink.deliver(gone, after(fault))
        assert names(dmp)[before:] == ["TD3.1b", "TD3.3c"]
        assert statuses(dmp, pair) == ["Deleted", "Deleted"]
        assert outcome.evidence["xds_status"] == "Deleted"

    play(certificates, story, sim={"deleted_visible": shows_deleted})


def test_a_lost_answer_of_one_is_no_proof_for_the_other(certificates: Certificates, pair: list[CdaSample]) -> None:
    """N3's answer is lost, N1 was refused: that N1's state has changed is no success, only N3 was in doubt."""
    gone = made(pair, Action.DELETE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        dmp.refuse("XDSMetadataUpdateError", None, "TD3.3c", document=pair[N1].uid)
        dmp.cut("after", transaction="TD3.3c", document=pair[N3].uid)
        fault = await fails(sink, gone, FIRST, OutcomeUnknown)
        await fails(sink, gone, after(fault), Refused, "DMP-XDSMetadataUpdateError")
        assert statuses(dmp, pair) == ["Approved", "Deleted"]

    play(certificates, story, sim={"deleted_visible": True})


def test_the_other_document_that_we_fed_goes_although_the_deletion_names_one(
    certificates: Certificates, pair: list[CdaSample]
) -> None:
    """A sender deletes its N3 alone: our ledger knows the N1 of that deposit, deleting one deletes the other."""
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, pair)
        await sink.deliver(made(pair[N3], Action.DELETE), FIRST)
        assert statuses(dmp, pair) == ["Deleted", "Deleted"]

    play(certificates, story, given=tools(past=past))


@pytest.mark.parametrize("shows_deleted", [False, True])
def test_a_second_deletion_of_what_we_deleted_is_a_success(
    certificates: Certificates, pair: list[CdaSample], shows_deleted: bool
) -> None:
    """ "déjà supprimé", whether the DMP still shows what it deleted or not."""
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, pair)
        first = made(pair, Action.DELETE)
        past.add(first, State.DONE, evidence=(await sink.deliver(first, FIRST)).evidence, updated=2.0)
        again = delivery(request(pair, Action.DELETE), pair, event="the sender repeats it in another message")
        outcome = await sink.deliver(again, FIRST)
        assert outcome.text == "déjà supprimé"
        assert outcome.evidence["xds_status"] == "Deleted"

    play(certificates, story, given=tools(past=past), sim={"deleted_visible": shows_deleted})


def test_a_document_published_again_is_deleted_again(certificates: Certificates, pair: list[CdaSample]) -> None:
    """Deleted, fed again, deleted: the earlier deletion proves nothing any more."""
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        past.add(made(pair, Action.DELETE), State.DONE, updated=0.5)
        await fed(sink, past, pair)
        dmp.refuse("XDSMetadataUpdateError", None, "TD3.3c")
        again = delivery(request(pair, Action.DELETE), pair, event="later")
        await fails(sink, again, FIRST, Refused, "DMP-XDSMetadataUpdateError")

    play(certificates, story, given=tools(past=past))


# -------------------------------------------------------------------------------------------------------- replacement


def replaced(maker: Maker, documents: Sequence[CdaSample]) -> list[CdaSample]:
    return [maker.replacement(one) for one in documents]


@pytest.mark.parametrize("which", [N1, N3])
def test_a_refused_replacement_of_one_does_not_leave_the_other_untried(
    certificates: Certificates, maker: Maker, pair: list[CdaSample], which: int
) -> None:
    """One new version is refused: the other one is published; the next attempt sends the refused one alone."""
    new = replaced(maker, pair)
    one, other = made(new, Action.REPLACE), 1 - which

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        dmp.refuse("XDSRegistryMetadataError", 1, "TD2.1", document=new[which].uid)
        fault = await fails(sink, one, FIRST, Refused, "DMP-XDSRegistryMetadataError")
        assert statuses(dmp, [pair[other], new[other], pair[which]]) == ["Deprecated", "Approved", "Approved"]
        assert new[which].uid not in dmp.documents
        before = len(names(dmp))
        await sink.deliver(one, after(fault))
        assert names(dmp)[before:] == ["TD3.1b", "TD2.1"]
        assert statuses(dmp, [*pair, *new]) == ["Deprecated"] * 2 + ["Approved"] * 2

    play(certificates, story)


def test_a_lost_answer_in_a_pair_makes_no_second_lot(
    certificates: Certificates, maker: Maker, pair: list[CdaSample]
) -> None:
    """The answer to the first document's lot is lost: the second goes on; the repeat finds the first one registered."""
    new = replaced(maker, pair)
    one = made(new, Action.REPLACE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        dmp.cut("after", transaction="TD2.1", document=new[N1].uid)
        fault = await fails(sink, one, FIRST, OutcomeUnknown)
        assert statuses(dmp, new) == ["Approved", "Approved"]
        sets = len(dmp.registry.sets)
        outcome = await sink.deliver(one, after(fault))
        assert outcome.evidence["xds_status"] == "Duplicate"
        assert len(dmp.registry.sets) == sets
        assert set(outcome.evidence["submission_set"].split()) <= dmp.registry.sets

    play(certificates, story)


def unnamed(one: Delivery, documents: Sequence[CdaSample], *, same: bool = False) -> Delivery:
    """The same replacement by an old sender, whose N1 names no predecessor, or that of the N3."""
    asked = request(documents, Action.REPLACE)
    n3 = asked.documents[N3]
    old = asked.documents[N1].model_copy(update={"replaces": n3.replaces if same else ""})
    asked = asked.model_copy(update={"documents": (old, n3), "replaces": n3.replaces})
    return dataclasses.replace(delivery(asked, documents), id=one.id)


@pytest.mark.parametrize("same", [False, True])
def test_an_n1_that_names_no_predecessor_replaces_the_one_we_fed(
    certificates: Certificates, maker: Maker, pair: list[CdaSample], same: bool
) -> None:
    """Old senders: the ledger knows the N1 of the version that the N3 replaces; one approved N1 is left."""
    new, past = replaced(maker, pair), PastDeliveries()
    one = unnamed(made(new, Action.REPLACE), new, same=same)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, pair)
        await sink.deliver(one, FIRST)
        assert statuses(dmp, [*pair, *new]) == ["Deprecated"] * 2 + ["Approved"] * 2

    play(certificates, story, given=tools(past=past))


def test_an_n1_that_nobody_can_place_is_refused_and_the_n3_replaced(
    certificates: Certificates, maker: Maker, pair: list[CdaSample]
) -> None:
    """The ledger does not know the version replaced: a second approved N1 would be worse than one that is missing."""
    new = replaced(maker, pair)
    one = unnamed(made(new, Action.REPLACE), new)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        fault = await fails(sink, one, FIRST, Refused, "PFI-REPLACE-UNNAMED")
        assert "N3 remplacé" in fault.text
        assert statuses(dmp, [*pair, new[N3]]) == ["Approved", "Deprecated", "Approved"]
        assert new[N1].uid not in dmp.documents

    play(certificates, story)


def test_an_n1_that_is_new_in_this_version_is_published(
    certificates: Certificates, maker: Maker, pair: list[CdaSample]
) -> None:
    """The version replaced was an N3 alone, as our ledger knows: the N1 that comes with the new one is a first one."""
    new, past = replaced(maker, pair), PastDeliveries()
    one = unnamed(made(new, Action.REPLACE), new)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, [pair[N3]])
        await sink.deliver(one, FIRST)
        assert statuses(dmp, [pair[N3], *new]) == ["Deprecated", "Approved", "Approved"]

    play(certificates, story, given=tools(past=past))


def test_a_version_of_which_half_arrived_is_replaced_by_halves(
    certificates: Certificates, maker: Maker, pair: list[CdaSample]
) -> None:
    """A fed, B's N1 arrived and its N3 was refused: C's N1 replaces that of B, C's N3 that of A."""
    b = replaced(maker, pair)
    c = replaced(maker, b)
    past, half = PastDeliveries(), made(b, Action.REPLACE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, pair)
        dmp.refuse("XDSRegistryMetadataError", 1, "TD2.1", document=b[N3].uid)
        fault = await fails(sink, half, FIRST, Refused)
        noted = {f"progress.{name}": value for name, value in fault.progress.items()}
        past.add(half, State.DEAD, evidence=noted, updated=2.0)
        await sink.deliver(unnamed(made(c, Action.REPLACE), c), FIRST)
        assert statuses(dmp, [*pair, b[N1], *c]) == ["Deprecated"] * 3 + ["Approved"] * 2

    play(certificates, story, given=tools(past=past))


def test_deleting_a_version_of_which_half_arrived_leaves_nothing_shown(
    certificates: Certificates, maker: Maker, pair: list[CdaSample]
) -> None:
    """A fed, B's N1 arrived and its N3 was refused, B is deleted: B's N1 goes, and A's N3, which was shown still."""
    b = replaced(maker, pair)
    past, half = PastDeliveries(), made(b, Action.REPLACE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await fed(sink, past, pair)
        dmp.refuse("XDSRegistryMetadataError", 1, "TD2.1", document=b[N3].uid)
        fault = await fails(sink, half, FIRST, Refused)
        noted = {f"progress.{name}": value for name, value in fault.progress.items()}
        past.add(half, State.DEAD, evidence=noted, updated=2.0)
        await sink.deliver(made(b, Action.DELETE), FIRST)
        assert statuses(dmp, [pair[N3], b[N1]]) == ["Deleted", "Deleted"]

    play(certificates, story, given=tools(past=past))
