"""A rejected identity is compared with a good one before anybody else has to wait (decisions D11)."""

from __future__ import annotations

import asyncio

import pytest

from router.errors import OperatorFault, Refused, RouterError, Unavailable
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import FIRST, hospitals, made, names, play

REJECTED = "Erreur d'authentification de la personne morale"
UNKNOWN = "Structure introuvable ou Inactive"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return hospitals(tmp_path_factory)


async def fails(sink: DmpSink, maker: Maker) -> RouterError:
    with pytest.raises(RouterError) as caught:
        await sink.deliver(made(maker.document("biology", maker.patient(age=50))), FIRST)
    return caught.value


@pytest.mark.parametrize("text", [REJECTED, UNKNOWN])
@pytest.mark.parametrize("known", [True, False], ids=["after a success", "from the start"])
def test_one_rejected_sender_is_one_refused_message(certificates: Certificates, text: str, known: bool) -> None:
    """The DMP still knows the structure: the message is refused, with the DMP's code, and nobody waits."""
    maker = Maker(91)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        if known:
            await sink.deliver(made(maker.document("biology", maker.patient(age=50))), FIRST)
        dmp.fault(text, transaction="TD2.1")
        fault = await fails(sink, maker)
        assert isinstance(fault, Refused) and fault.code in ("DMP-AUTHENTIFICATION", "DMP-STRUCTURE")
        assert names(dmp)[-2:] == ["TD2.1", "TD3.1b"]
        await sink.deliver(made(maker.document("biology", maker.patient(age=51))), FIRST)

    play(certificates, story)


def test_a_structure_that_the_dmp_does_not_know_is_ours_to_mend(certificates: Certificates) -> None:
    """Every identity is rejected: OperatorFault, so that the circuit opens and no document is dead-lettered."""

    async def story(_dmp: DmpSimulator, sink: DmpSink) -> None:
        fault = await fails(sink, Maker(92))
        assert isinstance(fault, OperatorFault) and fault.code == "DMP-STRUCTURE"

    play(certificates, story, sim={"structures": frozenset({"1690123456"})})


def test_many_rejections_ask_once(certificates: Certificates) -> None:
    """Twenty rejected messages at once: one question about the known identity answers for all."""
    maker = Maker(93)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(REJECTED, count=20, transaction="TD2.1")
        faults = await asyncio.gather(*(fails(sink, maker) for _ in range(20)))
        assert all(isinstance(fault, Refused) for fault in faults)
        assert names(dmp).count("TD3.1b") == 1

    play(certificates, story)


def test_who_can_not_be_asked_is_waited_for(certificates: Certificates) -> None:
    """The DMP goes away between the rejection and the question: nobody is to blame yet."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(REJECTED, transaction="TD2.1")
        dmp.http_status(503, transaction="TD3.1b")
        assert isinstance(await fails(sink, Maker(94)), Unavailable)

    play(certificates, story)
