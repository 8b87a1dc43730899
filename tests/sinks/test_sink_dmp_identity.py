"""An identity that the DMP rejects is compared with the site's own before the circuit opens (decisions D11)."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import OperatorFault, Refused, Unavailable
from router.request import Action
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import AFTER_UNKNOWN, FIRST, hospitals, made, names, play

REJECTIONS = [
    ("Erreur d'authentification de la personne morale", "DMP-AUTHENTIFICATION"),
    ("Structure introuvable ou Inactive", "DMP-STRUCTURE"),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def one(maker: Maker) -> Any:
    return maker.document("biology", maker.patient(age=50))


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


@pytest.mark.parametrize(("text", "code"), REJECTIONS)
def test_a_rejection_of_one_document_is_its_own_fault(
    certificates: Certificates, one: Any, text: str, code: str
) -> None:
    """The site's own identity passes a question: the document is refused, the circuit stays closed."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(text)
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(one), FIRST)
        assert caught.value.code == code
        assert names(dmp) == ["TD2.1", "TD3.1b"]
        assert "AUTOMATE" not in dmp.received[0].author
        await sink.deliver(made(one), FIRST)

    play(certificates, story)


@pytest.mark.parametrize(("text", "code"), REJECTIONS)
def test_a_rejection_of_the_sites_own_identity_opens_the_circuit(
    certificates: Certificates, one: Any, text: str, code: str
) -> None:
    """The DMP rejects everybody of ours: our configuration, nothing is dead-lettered."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(text, count=None)
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(one), FIRST)
        assert caught.value.code == code
        assert names(dmp) == ["TD2.1", "TD3.1b"]

    play(certificates, story)


def test_while_nobody_can_tell_the_document_waits(certificates: Certificates, one: Any) -> None:
    """The comparison gets no answer: neither the document nor our configuration is blamed yet."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(REJECTIONS[0][0], transaction="TD2.1")
        dmp.http_status(503, transaction="TD3.1b")
        with pytest.raises(Unavailable):
            await sink.deliver(made(one), FIRST)

    play(certificates, story)


def test_an_answer_that_refuses_the_question_has_let_the_identity_in(certificates: Certificates, one: Any) -> None:
    """A registry error to the comparison is no rejection of who asked."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(REJECTIONS[0][0], transaction="TD2.1")
        dmp.refuse("XDSUnknownStoredQuery", transaction="TD3.1b")
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(one), FIRST)
        assert caught.value.code == "DMP-AUTHENTIFICATION"

    play(certificates, story)


@pytest.mark.parametrize("call", ["delete", "verify"])
def test_whatever_the_transaction(certificates: Certificates, one: Any, call: str) -> None:
    """The same for a deletion, and for the verification of an unknown outcome."""

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(one), FIRST)
        dmp.fault(REJECTIONS[0][0])
        with pytest.raises(Refused) as caught:
            if call == "verify":
                await sink.verify(made(one), AFTER_UNKNOWN)
            else:
                await sink.deliver(made(one, Action.DELETE), FIRST)
        assert caught.value.code == "DMP-AUTHENTIFICATION"

    play(certificates, story)
