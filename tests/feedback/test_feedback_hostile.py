"""Second-order findings in the feedback: reports that come when the bytes are gone, mails that hold up all others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Row, out_topic
from router.errors import Unavailable
from router.exchange import Origin, State
from router.feedback.mime import message_ids
from router.feedback.reports import Place
from router.ledger.store import SqlLedger
from router.simulators.authority import Certificates, make_certificates
from router.simulators.mssante import imap_selected
from router.simulators.mssante.imap_syntax import No
from router.sinks.mssante.mail import message_id
from tests.feedback.feedback_samples import SINK, Station, an_order, dsn, letter, mdn
from tests.feedback.test_feedback_operator import Ward, play
from tests.feedback.test_feedback_reports import KO, handled
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, delivery, patient_recipient


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {"750100125": "Hopital A"}, variants=True)


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("BAL_PASSWORD", "secret")
    made = Station(tmp_path / "station")
    yield made
    made.close()


def test_a_patient_who_reads_when_the_bytes_are_gone_is_not_named(station: Station) -> None:
    """An MDN of weeks later: the topic was trimmed, the context is empty; the row still says "patient"."""
    address = patient_recipient().address
    given = an_order(patient_recipient())
    made = delivery(given, feed="sil", label="patient")
    row = Row(
        delivery=replace(made, payload=b""),
        partition=0,
        sequence=7,
        bytes_at=Origin(out_topic(SINK), 0, 7),  # trimmed
        state=State.DONE,
        evidence={"message_id": message_id(made.id, MAILBOX)},
    )
    station.ledger.open([row])
    station.ledger.save([row])
    found = handled(station, mdn(made.id, KO, reader=address, sender=address))
    assert found.place is Place.DONE
    assert "279035121518989" not in str(found.receipts)


def test_a_mail_that_the_server_can_not_give_holds_up_no_report(
    station: Station, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server answers NO to FETCH of one broken mail: the reports behind it are read all the same."""
    sent = station.sent()
    honest = imap_selected.Selected._fetch

    async def broken(self: Any, chosen: Any, arguments: Any, *, by_uid: bool) -> str:
        if any(b"broken" in message.raw for _, message in chosen) and "BODY" in str(arguments):
            raise No("[SERVERBUG] Internal error occurred")
        return await honest(self, chosen, arguments, by_uid=by_uid)

    monkeypatch.setattr(imap_selected.Selected, "_fetch", broken)

    async def scene(ward: Ward) -> None:
        ward.operator.post.deliver(MAILBOX, letter(Subject="broken", From="x@test-ci-sis.mssante.fr"))
        ward.operator.post.deliver(MAILBOX, dsn(sent.id))
        for _ in range(3):
            with suppress(Unavailable):
                await asyncio.to_thread(ward.mailbox.poll)
        receipts = [*station.bus.scan("receipts")]
        assert len(receipts) == 1

    play(station, certificates, scene)


@pytest.mark.parametrize("size", [8_000])
def test_a_message_id_that_is_none_is_soon_read(size: int) -> None:
    """A hostile header must not keep the process (the interpreter is held meanwhile): 100 KB would take minutes."""
    start = time.process_time()
    message_ids("<" + "@" * size)
    assert time.process_time() - start < 0.2


@pytest.mark.alone
@pytest.mark.parametrize("action", ["delivered", "failed"])
def test_hundreds_of_recipients_in_one_report_cost_one_look_at_the_ledger(
    station: Station, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """A report of 300 blocks about one mail, with a ledger of 20 ms a read: judged at once, and it counts once."""
    sent = station.sent()
    for name in ("get", "proofs"):
        real = getattr(SqlLedger, name, None)
        if real is not None:

            def slow(*given: Any, real: Any = real, **named: Any) -> Any:
                time.sleep(0.02)
                return real(*given, **named)

            monkeypatch.setattr(SqlLedger, name, slow)
    block = (
        f"Final-Recipient: rfc822; {DOCTOR}\nAction: {action}\nStatus: {'2.0.0' if action == 'delivered' else '5.1.1'}"
    )
    others = "Final-Recipient: rfc822; autre@cabinet.mssante.fr\nAction: delivered"
    raw = dsn(sent.id, action, extra=("", *("\n\n".join([block, others] * 150).split("\n"))))
    start = time.perf_counter()
    found = handled(station, raw)
    assert time.perf_counter() - start < 2
    assert found.place is Place.DONE and len(found.receipts) == 1
