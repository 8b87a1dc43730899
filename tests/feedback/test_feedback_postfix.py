"""Mail really sent, stored, reported and read back, by Postfix and Dovecot (mssante §7, §8; cases 19, 21, 24, 26)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from imapclient import IMAPClient

from router.contracts import Attempt, Outcome, SystemClock, Unobserved
from router.errors import OperatorFault, Refused, Unavailable
from router.exchange import Delivery, Receipt, ReceiptKind
from router.feedback.mailbox import Mailbox
from router.feedback.proofs import Proofs
from router.feedback.reports import Reports
from router.sinks.mssante.settings import FeedbackRules, MssanteConfig, TlsConfig
from router.sinks.mssante.sink import MssanteSink
from router.sinks.mssante.tls import client_context
from router.wire import read_receipt
from tests.feedback.feedback_samples import SINK, Station, an_order, letter, mdn
from tests.postfix import PASSWORD, Authority, Operator, operator
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, delivery, doctor, order, tools

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def mss() -> Iterator[Operator]:
    with operator([MAILBOX, DOCTOR]) as running:
        yield running


@pytest.fixture
def station(tmp_path: Path, mss: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("BAL_PASSWORD", PASSWORD)
    made = Station(tmp_path / "station")
    empty(mss)
    yield made
    made.close()


def config(mss: Operator, **changes: Any) -> MssanteConfig:
    login = {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}
    return MssanteConfig.model_validate(
        {
            "host": "localhost",
            "port": mss.smtp,
            "tls": {"ca": mss.ca, "certificate": mss.certificate, "key": mss.key},
            "login": {"auth": "aucune"},
            "imap": {"host": "localhost", "port": mss.imap, "login": login},
            **changes,
        }
    )


def send(mss: Operator, folder: Path, given: Delivery, **changes: Any) -> Outcome:
    async def work() -> Outcome:
        made = MssanteSink(SINK, config(mss, **changes), tools(folder))
        try:
            return await made.deliver(given, Attempt(1, SystemClock().now()))
        finally:
            await made.close()

    return asyncio.run(work())


class Reader:
    """The sending BAL as the router reads it."""

    def __init__(self, mss: Operator, station: Station, **changes: Any) -> None:
        self.station = station
        self.alerts: list[tuple[str, Mapping[str, str]]] = []
        made = config(mss, **changes)
        assert made.imap is not None
        reports = Reports(
            station.correlator({SINK}),
            Proofs(station.ledger),
            {SINK: FeedbackRules()},
            admits=lambda domain: domain.endswith(".mssante.fr"),
        )
        self.mailbox = Mailbox(
            SINK,
            made.imap,
            reports,
            station.bus.producer("mailbox"),
            tls=made.tls,
            user=MAILBOX,
            clock=SystemClock(),
            observer=Unobserved(),
            alert=lambda what, facts: self.alerts.append((what, facts)),
        )

    def read(self, wanted: int) -> list[Receipt]:
        """Poll until so many receipts are on the bus, ten seconds at most."""
        end = time.monotonic() + 10
        while len(self.receipts()) < wanted and time.monotonic() < end:
            self.mailbox.poll()
            time.sleep(0.1)
        return self.receipts()

    def receipts(self) -> list[Receipt]:
        return [read_receipt(record) for record in self.station.bus.scan("receipts")]


def connected(mss: Operator, user: str = MAILBOX) -> IMAPClient:
    client = IMAPClient("localhost", mss.imap, ssl=False)
    client.starttls(client_context(TlsConfig(ca=mss.ca)))
    client.login(user, PASSWORD)
    return client


def empty(mss: Operator) -> None:
    for user in (MAILBOX, DOCTOR):
        with connected(mss, user) as client:
            for *_, name in client.list_folders():
                client.select_folder(name)
                client.delete_messages(client.search("ALL"))
                client.expunge()


def folder(mss: Operator, name: str, user: str = MAILBOX) -> list[bytes]:
    with connected(mss, user) as client:
        client.select_folder(name)
        return [found[b"BODY[]"] for found in client.fetch(client.search("ALL"), ["BODY[]"]).values()]


def put(mss: Operator, raw: bytes) -> None:
    with connected(mss) as client:
        client.append("INBOX", raw)


def test_a_mail_is_sent_stored_and_its_success_read_back(mss: Operator, station: Station, tmp_path: Path) -> None:
    """The whole way: STARTTLS and client certificate, the doctor's mailbox, the DSN, the receipt."""
    sent = station.sent(event_id="1" * 64)
    outcome = send(mss, tmp_path, sent)
    assert outcome.evidence["dsn"] == "1" and outcome.evidence["queue_id"]
    (found,) = Reader(mss, station).read(1)
    assert (found.kind, found.ok, found.delivery_id) == (ReceiptKind.DSN, True, sent.id)
    assert found.evidence["action"] == "relayed"  # Dovecot's LMTP offers no DSN: Postfix says so, and it counts as Y
    (stored,) = folder(mss, "INBOX", DOCTOR)
    assert outcome.evidence["message_id"].encode() in stored
    assert (len(folder(mss, "INBOX")), len(folder(mss, "Traités"))) == (0, 1)


def test_an_unknown_mailbox_is_refused_at_once(mss: Operator, station: Station, tmp_path: Path) -> None:
    """550 at RCPT: no DSN to wait for."""
    given = delivery(an_order(doctor("inconnu@test-ci-sis.mssante.fr")))
    with pytest.raises(Refused) as caught:
        send(mss, tmp_path, given)
    assert caught.value.code == "MSS-550"


def test_a_certificate_of_another_authority_is_ours_to_mend(mss: Operator, station: Station, tmp_path: Path) -> None:
    """Case 26: the server refuses our certificate, or we refuse the server's: nothing is lost, nobody is refused."""
    strangers = {"ca": mss.ca, "certificate": mss.intruder, "key": mss.intruder_key}
    with pytest.raises(OperatorFault):
        send(mss, tmp_path / "a", delivery(), tls=strangers)
    other = Authority(tmp_path, "autre").path
    with pytest.raises(OperatorFault) as caught:
        send(mss, tmp_path / "b", delivery(), tls={"ca": other, "certificate": mss.certificate, "key": mss.key})
    assert caught.value.code == "MSS-TLS"


def test_a_crash_before_the_mail_is_moved_changes_nothing(mss: Operator, station: Station, tmp_path: Path) -> None:
    """Case 24: the report is read again, and gives the same receipt."""
    sent = station.sent(event_id="2" * 64)
    put(mss, mdn(sent.id, "automatic-action/MDN-sent-automatically; processed"))
    (first,) = Reader(mss, station).read(1)
    (raw,) = folder(mss, "Traités")
    put(mss, raw)
    again = Reader(mss, station).read(2)[1]
    assert again == first


def test_each_mail_goes_where_it_belongs(mss: Operator, station: Station) -> None:
    """Reports told, strangers' reports aside, letters for a person; the last two raise an alert."""
    sent = station.sent(event_id="3" * 64)
    put(mss, mdn(sent.id, "automatic-action/MDN-sent-automatically; processed/error", error="902^x"))
    put(mss, mdn(sent.id, "automatic-action/MDN-sent-automatically; processed", about="<1@ailleurs.fr>"))
    put(mss, letter(From=DOCTOR, Subject="Merci"))
    reader = Reader(mss, station)
    assert reader.mailbox.poll() == 3
    assert [len(folder(mss, name)) for name in ("INBOX", "Traités", "Quarantaine", "Humain")] == [0, 1, 1, 1]
    assert [what for what, _ in reader.alerts] == ["report in quarantine", "mail for a person"]
    assert [one.code for one in reader.receipts()] == ["MSS-902"]


def test_a_mail_too_large_to_be_a_report_is_set_aside_unread(mss: Operator, station: Station) -> None:
    """Memory is bounded whatever arrives."""
    put(mss, letter(From=DOCTOR, Subject="gros", body="x" * 150_000))
    imap = {"host": "localhost", "port": mss.imap, "max_mail_bytes": 100_000}
    login = {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}
    Reader(mss, station, imap={**imap, "login": login}).mailbox.poll()
    assert len(folder(mss, "Quarantaine")) == 1


def test_a_wrong_password_and_an_absent_server_are_told_apart(
    mss: Operator, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is ours to mend, the other passes."""
    login = {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}
    absent = Reader(mss, station, imap={"host": "localhost", "port": 1, "login": login})
    with pytest.raises(Unavailable):
        absent.mailbox.poll()
    monkeypatch.setenv("BAL_PASSWORD", "faux")
    with pytest.raises(OperatorFault):
        Reader(mss, station).mailbox.poll()


def test_a_replayed_delivery_is_the_same_message(mss: Operator, station: Station, tmp_path: Path) -> None:
    """Sent twice after an unknown outcome: one Message-ID, so the receiver sees one letter twice."""
    sent = station.sent(order(), event_id="4" * 64)
    ids = {send(mss, tmp_path / name, sent).evidence["message_id"] for name in ("a", "b")}
    Reader(mss, station).read(2)
    stored = folder(mss, "INBOX", DOCTOR)
    assert len(ids) == 1 and len(stored) == 2
    assert all(next(iter(ids)).encode() in raw for raw in stored)
