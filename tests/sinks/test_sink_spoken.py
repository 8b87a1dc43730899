"""What sinks say to their servers stands in the traces: each request with its answer, and no patient (mssante §11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.contracts import Attempt
from router.contracts.spoken import Heard, listening
from router.errors import RouterError
from router.request import Action
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import FIRST, hospitals, made, play, request
from tests.sinks.mssante_samples import MAILBOX, PATIENT, delivery, order, patient_recipient
from tests.sinks.mssante_server import Script
from tests.sinks.test_sink_mssante import send


def heard_of(heard: Heard) -> list[tuple[str, str, bool]]:
    return [(one.action, one.answer, one.ok) for one in heard]


def test_every_command_of_a_submission_is_heard(tmp_path: Path) -> None:
    """Connection, login, MAIL, RCPT and DATA, with the mailbox that asks and the codes of the answers."""
    with listening(lambda: 7.0) as heard:
        (outcome,) = send(Script(), tmp_path, delivery())
    assert [(action, ok) for action, _, ok in heard_of(heard)] == [
        ("CONNECT", True), ("AUTH", True), ("MAIL", True), ("RCPT", True), ("DATA", True),
    ]  # fmt: skip
    assert {(one.protocol, one.author, one.at) for one in heard} == {("smtp", MAILBOX, 7.0)}
    assert heard[2].request == f"ENVID={outcome.evidence['envid']}"
    assert heard[-1].answer == outcome.evidence["smtp"] and heard[-1].facts["iti"] == "ITI-32"


def test_a_refusal_is_heard_too(tmp_path: Path) -> None:
    """RCPT fails; nothing follows."""
    with listening(lambda: 7.0) as heard, pytest.raises(RouterError) as caught:
        send(Script({"RCPT": ["550 5.1.1 unknown"]}), tmp_path, delivery())
    assert heard_of(heard)[-1] == ("RCPT", caught.value.code, False)


def test_a_patients_mailbox_is_in_no_trace(tmp_path: Path) -> None:
    """His address carries his INS: neither it nor a server's sentence is kept, only codes."""
    given = delivery(order(recipient=patient_recipient()))
    with listening(lambda: 7.0) as heard, pytest.raises(RouterError):
        send(Script({"RCPT": [f"550 5.1.1 <{PATIENT}> unknown"]}), tmp_path, given)
    assert heard and PATIENT not in repr(heard) and PATIENT.partition("@")[0] not in repr(heard)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return hospitals(tmp_path_factory)


def test_every_transaction_with_the_dmp_is_heard(certificates: Certificates) -> None:
    """TD0.2, TD2.1, TD3.1b and TD3.3c: their names at IHE, the lot, the patient's pseudonym, and the answer."""
    maker = Maker(11)
    sample = maker.document("biology", maker.patient(age=50))
    ins = request([sample]).patient.ins
    assert ins is not None

    async def story(_: DmpSimulator, sink: DmpSink) -> None:
        with listening(lambda: 7.0) as heard:
            outcome = await sink.deliver(made(sample), FIRST)
            await sink.deliver(made(sample, Action.DELETE), Attempt(1, FIRST.first))
        told = {one.facts["iti"]: one for one in heard}
        assert {"ITI-41", "ITI-18", "ITI-57"} <= set(told) and all(one.ok for one in heard), heard
        fed = told["ITI-41"]
        assert fed.facts["submission_set"] == outcome.evidence["submission_set"]
        assert (fed.action, fed.answer, fed.protocol) == ("TD2.1", "HTTP 200 Success", "dmp")
        assert fed.facts["patient"] and ins.value not in repr(heard)

    play(certificates, story)
