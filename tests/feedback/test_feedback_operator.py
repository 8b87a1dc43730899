"""The whole way with the simulated operator, which reads our mails with code of its own (mssante §1 to §8).

Sink, SMTP with STARTTLS and client certificate, delivery reports and read receipts by IMAP, answers to the sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Attempt, SystemClock, Unobserved, out_topic
from router.errors import OperatorFault, OutcomeUnknown, Refused, Unavailable
from router.exchange import Delivery
from router.feedback.answers import Endpoint
from router.feedback.mailbox import Mailbox
from router.feedback.proofs import Proofs
from router.feedback.reports import Reports
from router.feedback.worker import FeedbackWorker, log_alert
from router.hl7.message import Message
from router.request import Action
from router.simulators.authority import Certificates, make_certificates
from router.simulators.mssante import MssanteConfig as OperatorConfig
from router.simulators.mssante import MssanteSimulator
from router.sinks.mssante.settings import FeedbackRules, ImapConfig, MssanteConfig, TlsConfig
from router.sinks.mssante.sink import MssanteSink
from router.wire import read_delivery
from tests.cda.cda_samples import cda, n3_body
from tests.feedback.feedback_samples import HL7, SINK, Station
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, delivery, doctor, order, patient, patient_recipient, tools

PASSWORD = "secret"
NO_INS = (('<id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>', ""),)
DOMAINS = frozenset({"test-ci-sis.mssante.fr", "hopital-a.mssante.fr", "patient.mssante.fr"})
Scene = Callable[["Ward"], Awaitable[None]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {"750100125": "Hopital A"}, variants=True)


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("BAL_PASSWORD", PASSWORD)
    made = Station(tmp_path / "station")
    yield made
    made.close()


class Ward:
    """A sink, its mailbox and the feedback, around one operator."""

    def __init__(self, operator: MssanteSimulator, station: Station, certificates: Certificates) -> None:
        self.operator, self.station, self.certificates = operator, station, certificates
        self.sink = self.opened()
        self.written = 0
        config = self.config()
        assert config.imap is not None
        self.mailbox = Mailbox(
            SINK,
            config.imap,
            Reports(station.correlator({SINK}), Proofs(station.ledger), {SINK: FeedbackRules()}, admits=lambda _: True),
            station.bus.producer("mailbox"),
            tls=config.tls,
            user=MAILBOX,
            clock=SystemClock(),
            observer=Unobserved(),
            alert=log_alert,
        )

    def config(self, shown: str = "750100125-auth", **changes: Any) -> MssanteConfig:
        certificate, key = self.certificates.pair(shown)
        login = {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}
        return MssanteConfig.model_validate(
            {
                "host": "127.0.0.1",
                "port": self.operator.smtp_port,
                "tls": {"ca": self.certificates.ca, "certificate": certificate, "key": key},
                "login": login,
                "nil": "ABCD-1234",
                "imap": {"host": "127.0.0.1", "port": self.operator.imap_port, "login": login},
                **changes,
            }
        )

    def opened(self, shown: str = "750100125-auth") -> MssanteSink:
        return MssanteSink(SINK, self.config(shown), tools(self.station.folder, domains=tuple(DOMAINS)))

    async def send(self, given: Delivery) -> None:
        await self.sink.deliver(given, Attempt(1, SystemClock().now()))

    async def told(self, wanted: int) -> list[Message]:
        """The answers, once so many were written; the sink knows a repeated one by its id, so do we."""
        worker = FeedbackWorker(
            self.station.bus,
            self.station.ledger,
            {"sil": Endpoint(HL7)},
            clock=SystemClock(),
            observer=Unobserved(),
        )
        found: list[Message] = []
        for _ in range(50):
            await asyncio.to_thread(self.mailbox.poll)
            await asyncio.to_thread(worker.step, 0.05)
            made = [read_delivery(record) for record in self.station.bus.scan(out_topic(HL7))]
            self.written = len(made)
            found = [Message.parse(payload) for payload in {one.id: one.payload for one in made}.values()]
            if self.written >= wanted:
                break
            await asyncio.sleep(0.05)
        worker.stop()
        await asyncio.to_thread(worker.run)
        return found


def play(station: Station, certificates: Certificates, scene: Scene, **options: Any) -> None:
    async def whole() -> None:
        config = OperatorConfig(
            certificates=certificates,
            client_certificate=True,
            auth="plain",
            accounts={MAILBOX: PASSWORD},
            domains=DOMAINS,
            **options,
        )
        async with MssanteSimulator(config) as operator:
            ward = Ward(operator, station, certificates)
            await scene(ward)
            await ward.sink.close()

    asyncio.run(whole())


def shown(message: Message) -> tuple[str, str]:
    return message.text("MSH-9.2"), message.text("OBX[1]-5")


@pytest.mark.parametrize(("asked", "read"), [("", MAILBOX), ("labo@hopital-a.mssante.fr", "labo@hopital-a.mssante.fr")])
def test_a_certificate_opens_the_mailbox_that_is_asked_for(
    station: Station, certificates: Certificates, asked: str, read: str
) -> None:
    """SASL EXTERNAL names the account (RFC 4422); without a name the operator chooses."""
    certificate, key = certificates.pair("750100125-auth")
    other = "labo@hopital-a.mssante.fr"

    async def whole() -> None:
        accounts = {MAILBOX: "", other: ""}
        config = OperatorConfig(certificates=certificates, client_certificate=True, auth="external", accounts=accounts)
        async with MssanteSimulator(config) as operator:
            tls = TlsConfig.model_validate({"ca": certificates.ca, "certificate": certificate, "key": key})
            mailbox = Mailbox(
                SINK,
                ImapConfig.model_validate({"host": "127.0.0.1", "port": operator.imap_port, "done": "Lus"}),
                Reports(station.correlator({SINK}), Proofs(station.ledger), {}, admits=lambda _: True),
                station.bus.producer("mailbox"),
                tls=tls,
                user=MAILBOX,
                authzid=asked,
                clock=SystemClock(),
                observer=Unobserved(),
                alert=log_alert,
            )
            await asyncio.to_thread(mailbox.poll)
            opened = [one for one in accounts if operator.post.mailbox(one).get("Lus") is not None]
            assert opened == [read]

    asyncio.run(whole())


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("kind", ["professional", "patient", "pair", "unqualified"])
def test_a_reader_that_is_not_ours_finds_no_fault(
    station: Station, certificates: Certificates, action: Action, kind: str
) -> None:
    """Headers, archive, metadata, hash, PDF: every kind of mail, every action."""
    documents: tuple[bytes, ...] = (cda(),)
    changes: dict[str, Any] = {"action": action}
    recipient = doctor()
    if kind == "patient":
        recipient = patient_recipient()
    elif kind == "pair":
        documents = (cda(), cda(n3_body(), change=(('root="1.2.250.1.999.1.7"', 'root="1.2.250.1.999.1.8"'),)))
    elif kind == "unqualified":
        documents, changes["patient"] = (cda(change=NO_INS),), patient(qualified=False)

    async def scene(ward: Ward) -> None:
        await ward.send(delivery(order(documents, recipient=recipient, **changes), documents))
        (mail,) = ward.operator.mails
        assert [f"{finding.place}: {finding.text}" for finding in mail.findings] == []

    play(station, certificates, scene)


def test_reception_and_reading_are_told_to_the_sender(station: Station, certificates: Certificates) -> None:
    """DSN success gives Z02 Y, the doctor's software gives Z03 N 902, the patient's reading gives Z03 Y."""
    asked: dict[str, Any] = {"ack_lecture": True}
    sent = [station.sent(order(recipient=one, **asked), event_id=mark * 64) for one, mark in
            ((doctor(), "1"), (patient_recipient(), "2"))]  # fmt: skip

    async def scene(ward: Ward) -> None:
        ward.operator.read(DOCTOR, "c", "902")
        ward.operator.read(patient_recipient().address, "displayed")
        for one in sent:
            await ward.send(one)
        found = await ward.told(4)
        assert sorted(map(shown, found)) == [("Z02", "Y"), ("Z02", "Y"), ("Z03", "N"), ("Z03", "Y")]
        (refused,) = [message for message in found if shown(message) == ("Z03", "N")]
        assert refused.text("ERR-5.1") == "902"
        named = {message.text("OBX[2]-5.4") for message in found}
        assert named == {DOCTOR, patient_recipient().address}

    play(station, certificates, scene)


def test_a_mail_accepted_and_then_returned_is_told_as_a_failure(station: Station, certificates: Certificates) -> None:
    """A `failed` report after the submission: Z02 N with its code."""
    sent = station.sent(order(), event_id="3" * 64)

    async def scene(ward: Ward) -> None:
        ward.operator.bounce(DOCTOR, "failed", "5.2.2", "552 5.2.2 mailbox full")
        await ward.send(sent)
        (message,) = await ward.told(1)
        assert (*shown(message), message.text("ERR-5.1")) == ("Z02", "N", "552")

    play(station, certificates, scene)


def test_a_delay_is_not_told_and_the_success_behind_it_is(station: Station, certificates: Certificates) -> None:
    """Case 21: `delayed` says nothing to the sender."""
    sent = station.sent(order(), event_id="4" * 64)

    async def scene(ward: Ward) -> None:
        ward.operator.bounce(DOCTOR, "delayed", "4.4.1", "no answer", delivered=True)
        await ward.send(sent)
        assert [shown(message) for message in await ward.told(1)] == [("Z02", "Y")]

    play(station, certificates, scene)


def test_the_same_mail_after_a_cut_is_recognised_as_the_same(station: Station, certificates: Certificates) -> None:
    """Taken over, cut before the 250, sent again: one Message-ID, one answer to the sender."""
    sent = station.sent(order(), event_id="5" * 64)

    async def scene(ward: Ward) -> None:
        ward.operator.cut("after", DOCTOR)
        with pytest.raises(OutcomeUnknown):
            await ward.send(sent)
        await ward.send(sent)
        assert len({mail.message_id for mail in ward.operator.mails}) == 1 < len(ward.operator.mails)
        assert [shown(message) for message in await ward.told(2)] == [("Z02", "Y")]
        assert ward.written == 2

    play(station, certificates, scene)


def test_full_unknown_and_absent_are_three_things(station: Station, certificates: Certificates) -> None:
    """The lane waits, the mail is refused, the circuit opens."""

    async def scene(ward: Ward) -> None:
        ward.operator.refuse(DOCTOR, 452, "4.2.2", "full", count=1)
        with pytest.raises(Unavailable) as full:
            await ward.send(delivery())
        ward.operator.refuse(DOCTOR, 550, "5.1.1", "unknown", count=1)
        with pytest.raises(Refused) as unknown:
            await ward.send(delivery())
        await ward.operator.outage()
        with pytest.raises(Unavailable) as absent:
            await ward.send(delivery())
        await ward.operator.restore()
        await ward.sink.probe()
        await ward.send(delivery())
        assert (full.value.code, full.value.circuit) == ("MSS-422", False)
        assert unknown.value.code == "MSS-550"
        assert absent.value.circuit is True

    play(station, certificates, scene)


def test_an_expired_certificate_is_ours_to_mend(station: Station, certificates: Certificates) -> None:
    """Case 26: nothing is sent, nothing is lost, nobody is told that his mailbox is bad."""

    async def scene(ward: Ward) -> None:
        expired = ward.opened("750100125-auth-expired")
        with pytest.raises(OperatorFault) as caught:
            await expired.deliver(delivery(), Attempt(1, SystemClock().now()))
        await expired.close()
        assert caught.value.code == "MSS-TLS"
        assert not ward.operator.mails

    play(station, certificates, scene)


def test_a_mailbox_that_can_be_read_again_says_so_once(station: Station, certificates: Certificates) -> None:
    """After an outage of the server; operators see it as information."""
    told: list[str] = []

    async def scene(ward: Ward) -> None:
        config = ward.config().imap
        assert config is not None
        mailbox = Mailbox(
            SINK,
            config.model_copy(update={"poll_seconds": 0.01}),
            Reports(station.correlator({SINK}), Proofs(station.ledger), {}, admits=lambda _: True),
            station.bus.producer("other"),
            tls=ward.config().tls,
            user=MAILBOX,
            clock=SystemClock(),
            observer=Unobserved(),
            alert=lambda what, _: told.append(what),
        )
        reads = iter([Unavailable("MSS-IMAP", "imap", "away"), 0, 0])

        def poll() -> int:
            found = next(reads, None)
            if isinstance(found, Exception):
                raise found
            if found is None:
                mailbox.stop()
            return 0

        mailbox.poll = poll  # type: ignore[method-assign]
        await asyncio.to_thread(mailbox.run)

    play(station, certificates, scene)
    assert told == ["mailbox-readable"]
