"""A lot that the DMP has although the answer doesn't say so: found or recognised, never refused (dmp §5.5)."""

from __future__ import annotations

import pytest

from router.errors import OutcomeUnknown, Refused
from router.exchange import State
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import AFTER_UNKNOWN, FIRST, PastDeliveries, delivery, hospitals, made, play, request, tools


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


@pytest.mark.parametrize("status", [200, 302, 500, 502, 503, 504])
@pytest.mark.parametrize("body", ["<html><body>Service indisponible</body></html>", ""])
def test_fed_and_answered_by_something_else(certificates: Certificates, maker: Maker, status: int, body: str) -> None:
    """The DMP has the document, a page or a bare status answers: unknown, then found; a repeat is no refusal."""
    one = made(maker.document("biology", maker.patient(age=50)))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.http_status(status, transaction="TD2.1", when="after", body=body)
        with pytest.raises(OutcomeUnknown):
            await sink.deliver(one, FIRST)
        assert len(dmp.documents) == 1
        assert await sink.verify(one, AFTER_UNKNOWN) is not None
        assert (await sink.deliver(one, AFTER_UNKNOWN)).evidence["xds_status"] == "Duplicate"

    play(certificates, story)


@pytest.mark.parametrize("status", ["urn:ihe:iti:2007:ResponseStatusType:PartialSuccess", "urn:x:Unavailable"])
def test_a_lot_that_was_half_taken_is_looked_at_again(certificates: Certificates, maker: Maker, status: str) -> None:
    """Neither Success nor Failure: the DMP is asked what it has."""
    one = made(maker.document("biology", maker.patient(age=50)))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.status(status)
        with pytest.raises(OutcomeUnknown):
            await sink.deliver(one, FIRST)
        assert await sink.verify(one, AFTER_UNKNOWN) is not None

    play(certificates, story)


def test_a_lot_of_ours_that_the_ledger_forgot_is_recognised(certificates: Certificates, maker: Maker) -> None:
    """The DMP names our own set identifier, which derives from the bytes: success, also at what seems a first attempt.

    (A ledger that was restored from a backup doesn't know the earlier attempt.)
    """
    one = made(maker.document("biology", maker.patient(age=50)))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)
        assert (await sink.deliver(one, FIRST)).evidence["xds_status"] == "Duplicate"

    play(certificates, story)


def test_an_id_that_was_fed_with_other_bytes_is_no_repeat(certificates: Certificates, maker: Maker) -> None:
    """After an unknown outcome the DMP knows the document's id, and our ledger knows that another content has it."""
    sample = maker.document("biology", maker.patient(age=50))
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        outcome = await sink.deliver(made(sample), FIRST)
        other = {**outcome.evidence, "xds_hashes": f"{sample.uid}={'0' * 40}"}
        past.add(made(sample), State.DONE, evidence=other)
        again = delivery(request(sample), sample, event="the sender's other document of that id")
        with pytest.raises(Refused) as caught:
            await sink.deliver(again, AFTER_UNKNOWN)
        assert caught.value.code == "DMP-XDSDuplicateUniqueIdInRegistry"

    play(certificates, story, given=tools(past=past))
