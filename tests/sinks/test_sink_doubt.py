"""A deposit of which nobody can say how far it came; mailboxes that share an operator."""

from __future__ import annotations

import asyncio

import pytest

from router.contracts import Attempt
from router.errors import OutcomeUnknown, RouterError
from router.exchange import State
from router.request import Action
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from router.sinks.mssante.mail import Written
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.smtp import Envelope, Submission
from tests.sinks.dmp_world import FIRST, PastDeliveries, Shifted, hospitals, made, play, tools
from tests.sinks.mssante_samples import config
from tests.sinks.mssante_server import EHLO, Script, server


@pytest.mark.parametrize("number", [1, 3])
def test_a_dmp_that_fails_in_the_middle_of_a_deposit_leaves_it_unknown_at_any_attempt(
    tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    """Attempts 1 and 2 found the registry in trouble (TD3.1b), or the pair not shown yet; the third was sent."""
    certificates, maker = hospitals(tmp_path_factory), Maker(11)
    document = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault("panne", role="Receiver", transaction="TD2.1")
        with pytest.raises(RouterError) as caught:
            await sink.deliver(made(document), Attempt(number, 1_795_000_000.0))
        assert isinstance(caught.value, OutcomeUnknown), (number, type(caught.value).__name__, caught.value.code)

    play(certificates, story)


def test_a_deletion_after_it_does_not_say_never_fed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The row is dead, without a word of doubt: seconds later the deletion is `NeverFed`, the document appears."""
    certificates, maker = hospitals(tmp_path_factory), Maker(11)
    document = maker.document("biology", maker.patient(age=50))
    past, clock = PastDeliveries(), Shifted()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault("panne", role="Receiver", transaction="TD2.1")
        try:
            await sink.deliver(made(document), Attempt(3, 1_795_000_000.0))
        except OutcomeUnknown:
            past.add(made(document), State.SUPERSEDED, updated=clock.now(), outcome_unknown=True)
        except RouterError as fault:
            past.add(made(document), State.DEAD, updated=clock.now(), code=fault.code)
        # The DMP had registered it, and shows it in a few seconds (visibility_delay).
        try:
            outcome = await sink.deliver(made(document, Action.DELETE), FIRST)
        except RouterError as fault:
            assert fault.code == "PFI-NOT-YET"
        else:
            raise AssertionError(outcome.evidence["xds_status"])

    play(certificates, story, given=tools(past=past, clock=clock), visibility_delay=30)


def test_two_mailboxes_keep_a_session_each_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight connections are allowed: two mailboxes by turns need two, not a log-in for each mail."""
    monkeypatch.setenv("BAL_PASSWORD", "secret")
    script = Script(ehlo=f"{EHLO}".replace("250 8BITMIME", "250-8BITMIME\r\n250 AUTH PLAIN"))
    given = {**config().model_dump(), "login": {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}}
    made_ = MssanteConfig.model_validate({**given, "connections": 8})

    async def main() -> None:
        script.answers["AUTH"] = ["235 Ok"] * 99
        async with server(script) as port:
            talk = Submission(made_.model_copy(update={"port": port}), monotonic=lambda: 0.0)
            for rank in range(20):
                mailbox = ("a@hopital-a.mssante.fr", "b@hopital-b.mssante.fr")[rank % 2]
                envelope = Envelope(mailbox, "dr@x.mssante.fr", f"{rank:032x}", notify_success=False)
                await talk.send(envelope, Written((b"Subject: x\r\n\r\nx\r\n",)), lambda: None)
            await talk.close()

    asyncio.run(main())
    assert script.connections == 2
