"""The fuzz job over mails, shortly; what it found; hostile mails in the mailbox while true reports arrive."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from benchmarks.reader.mails import KO, failures, inserted, lies, run, wrapped
from router.exchange import Delivery, Receipt
from router.feedback.answers import UNTOLD
from router.feedback.reports import Place
from router.simulators.authority import Certificates, make_certificates
from router.wire import read_receipt
from tests.feedback.feedback_samples import Station, dsn, mdn
from tests.feedback.test_feedback_operator import Ward, play
from tests.feedback.test_feedback_reports import handled
from tests.sinks.mssante_samples import MAILBOX


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {"750100125": "Hopital A"}, variants=True)


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("BAL_PASSWORD", "secret")
    made = Station(tmp_path / "station")
    yield made
    made.close()


@pytest.fixture
def sent(station: Station) -> Delivery:
    return station.sent()


def told(receipts: Iterable[Receipt]) -> list[bool]:
    """What the sender is told: whether it went well."""
    return [one.ok for one in receipts if one.code not in UNTOLD]


def test_hostile_mails_prove_nothing_and_harm_nobody(tmp_path: Path) -> None:
    """False reports mutated, failures with bytes put in, true reports wrapped by a stranger: no finding, none slow."""
    report = run(3000, 20261130, tmp_path, seconds=10)
    assert report.findings == []
    assert report.mails > 200 and set(report.places) == {"DONE", "HUMAN", "QUARANTINE"}


def test_true_reports_are_told_while_hostile_mails_arrive(
    station: Station, sent: Delivery, certificates: Certificates
) -> None:
    """Sixty mails of vandals around a failure and a reading: those two are told, all mails leave the inbox."""
    other = station.sent(event_id="f" * 64)
    chance = random.Random(11)
    hostile = [wrapped(dsn(sent.id), chance) for _ in range(30)]
    hostile += [inserted(one, chance) for one in lies(sent) * 6]

    async def scene(ward: Ward) -> None:
        for raw in (*hostile[:20], failures(sent)[0], *hostile[20:40], mdn(other.id, KO), *hostile[40:]):
            ward.operator.post.deliver(MAILBOX, raw)
        while await asyncio.to_thread(ward.mailbox.poll):
            pass
        found = [read_receipt(one) for one in station.bus.scan("receipts")]
        assert [(one.delivery_id, one.ok) for one in found] == [(sent.id, False), (other.id, True)]
        assert ward.operator.mailbox(MAILBOX) == []

    play(station, certificates, scene)


# --------------------------------------------------------------------------------------------------- what was found


@pytest.mark.parametrize(
    ("old", "new"),
    [("processed/error", "processed/\n\nerror"), ("processed/error", "processed/")],
    ids=["the rest behind an empty line", "no modifier, an error field"],
)
def test_an_error_whose_modifier_was_lost_is_no_reading(station: Station, sent: Delivery, old: str, new: str) -> None:
    """A broken line after `processed/`: the Error field still says that the mail was refused."""
    raw = mdn(sent.id, f"{KO}/error", error="902^Identifiant^applicationErrorCondition| E^Error^errorSeverity")
    assert old.encode() in raw
    found = handled(station, raw.replace(old.encode(), new.encode()))
    assert [(one.ok, one.code) for one in found.receipts] == [(False, "MSS-902")]


def test_a_modifier_that_is_not_there_is_no_reading(station: Station, sent: Delivery) -> None:
    """`processed/` alone: something followed, and nobody knows what."""
    assert told(handled(station, mdn(sent.id, f"{KO}/")).receipts) == []


@pytest.mark.parametrize("lie", ["Action: delivered\r\n", "Action: delivered (x)\r\nACTION : relayed\r\n"])
def test_a_block_with_two_actions_says_nothing(station: Station, sent: Delivery, lie: str) -> None:
    """RFC 3464 §2.3 allows one Action: when two differ, neither is believed, whichever stands first."""
    raw = dsn(sent.id, "failed", status="5.1.1").decode()
    for changed in (raw.replace("Action: failed", f"{lie}Action: failed"), raw.replace("Status: 5", f"{lie}Status: 5")):
        assert changed != raw
        found = handled(station, changed.encode())
        assert not found.receipts and found.place is not Place.DONE


def test_an_action_that_is_said_twice_counts(station: Station, sent: Delivery) -> None:
    """The same word twice is no contradiction."""
    raw = dsn(sent.id).replace(b"Action: delivered", b"Action: delivered\r\nAction: Delivered")
    assert [one.ok for one in handled(station, raw).receipts] == [True]


def test_two_dispositions_say_nothing(station: Station, sent: Delivery) -> None:
    """RFC 8098 §3.2.6 allows one."""
    raw = mdn(sent.id, f"{KO}/error").decode("latin-1")
    changed = raw.replace("Disposition:", f"Disposition: {KO}\r\nDisposition:", 1)
    assert changed != raw
    assert told(handled(station, changed.encode("latin-1")).receipts) == []
