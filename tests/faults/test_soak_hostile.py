"""The soak's hostile peers: the judgement of what they reach, and that what they send is what it says."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from benchmarks.place import MAILBOX
from benchmarks.soak import hostile
from benchmarks.soak.checker import Checker
from benchmarks.soak.history import Told
from benchmarks.soak.hostile import FORGERIES, Hostile
from benchmarks.soak.waits import Comparison, Waited, Waits
from router.feedback.reports import Place
from router.simulators.mssante import Envelope, Mail, MssanteSimulator
from router.sinks.mssante.mail import envid, message_id
from tests.faults.test_soak_checker import FIRST, kinds, taken, told, whole
from tests.feedback.feedback_samples import PSEUDONYMS, Station, dsn
from tests.feedback.test_feedback_reports import handled
from tests.sinks.mssante_samples import DOCTOR
from tests.sinks.mssante_samples import MAILBOX as SAMPLE_MAILBOX


def waited(*seconds: float) -> list[Waited]:
    return [Waited(f"R{number}", "relais", number, one) for number, one in enumerate(seconds)]


def test_who_waits_more_than_two_seconds_longer_among_strangers_is_reported() -> None:
    """Compared with the median of before on the same way in: 2 s more is allowed, more is not."""
    checker = Checker()
    slower = Waited("F0", "folder", 0, 1.0)
    checker.compared(
        Comparison([*waited(0.1, 0.2, 3.0), slower], [*waited(0.2, 2.1, 2.3), replace(slower, seconds=2.9)])
    )
    assert kinds(checker) == [("delayed", "R2")]


@pytest.mark.parametrize(("starved", "found"), [(0.3, 1), (0.31, 0)])
def test_delays_of_a_starved_machine_are_not_laid_on_the_strangers(starved: float, found: int) -> None:
    """A gateway that got no processor for a third of the time: the figures are told, no verdict is given."""
    checker = Checker()
    checker.compared(Comparison(waited(0.1), waited(9.0), starved))
    assert len(checker.violations) == found


def test_a_message_without_an_answer_counts_with_what_it_has_waited() -> None:
    """A sender whose acknowledgement never comes is the worst case, not a missing one."""

    async def story() -> list[Waited]:
        waits = Waits()
        waits.begin("R0", "relais")
        waits.end("R0")
        window = asyncio.create_task(waits.window(0.1, patience=0.2))
        await asyncio.sleep(0.05)
        waits.begin("R1", "relais")
        waits.begin("R2", "relais")
        waits.end("R2")
        return await window

    found = {one.control: one.seconds for one in asyncio.run(story())}
    assert set(found) == {"R1", "R2"} and found["R2"] < 0.1 < found["R1"]


@pytest.mark.parametrize(
    ("kind", "yes", "error"), [("Z02", False, "550"), ("Z02", False, "904"), ("Z03", True, ""), ("Z03", False, "906")]
)
def test_an_outcome_that_only_a_stranger_reported_is_reported(kind: str, yes: bool, error: str) -> None:
    """A failure of a mail that arrived, though it was told as arrived before, and a reading that nobody did."""
    checker = Checker()
    taken(checker, FIRST)
    for fact in whole(FIRST):
        checker.fact(fact)
    checker.fact(Told(3, FIRST.control, kind, yes, DOCTOR, error, "another"))
    checker.finish([], ())
    assert kinds(checker)[0] == ("untrue", FIRST.control)


def test_a_full_mailbox_is_no_strangers_word() -> None:
    """What the operator itself answers goes on being told."""
    checker = Checker()
    taken(checker, FIRST)
    checker.fact(told(FIRST, "Z02", yes=False))
    assert kinds(checker) == []


def test_what_strangers_reach_is_reported() -> None:
    """Mails that nobody reads any more, a report that was believed, a secret that was copied; nothing else."""
    checker = Checker()
    checker.unread(0)
    checker.believed([])
    checker.copied(0)
    assert kinds(checker) == []
    checker.unread(2)
    checker.believed(["forged reports"])
    checker.copied(1)
    assert [kind for kind, _ in kinds(checker)] == ["delayed", "untrue", "untrue"]


def test_where_hostile_mails_ended_and_what_was_copied_is_looked_up(tmp_path: Path) -> None:
    """A mail left in the inbox, one filed as told, a copy of the secret beside the link to it."""

    async def story() -> Checker:
        operator, checker = MssanteSimulator(), Checker()
        watched = tmp_path / "in"
        (watched / "refused").mkdir(parents=True)
        made = Hostile({}, watched, operator, checker, 1)
        next(made._poison(Random(1)))
        raw = operator.mailbox(MAILBOX)[0]
        operator.post.mailbox(MAILBOX).create("Traités").add(raw, datetime.now(UTC))
        laying = made._lay(Random(1))
        next(laying)
        kinds_laid = {stat.S_IFMT(one.lstat().st_mode) for one in watched.iterdir()}
        assert kinds_laid == {stat.S_IFIFO, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG}
        await made.read_out(patience=0.1)
        assert len(checker.violations) == 2
        (watched / "refused" / "copy").write_bytes(hostile.SECRET)
        await made.read_out(patience=0.1)
        return checker

    assert [kind for kind, _ in kinds(asyncio.run(story()))] == ["delayed", "untrue"] * 2 + ["untrue"]


@pytest.mark.parametrize("number", range(len(FORGERIES)))
def test_no_forged_report_of_the_soak_counts(tmp_path: Path, number: int) -> None:
    """Each names a real Message-ID and is read as a report; a true one on the same mail counts."""
    station = Station(tmp_path)
    sent = station.sent(evidence={"envid": "f" * 64})
    mail = Mail(
        sequence=1, at=0, envelope=Envelope(sender=SAMPLE_MAILBOX, recipient=DOCTOR), raw=b"", size=0,
        message_id=message_id(sent.id, SAMPLE_MAILBOX), digest="", delivered=True, confirmed=True, inspected=None,
    )  # fmt: skip
    forged = FORGERIES[number](mail)
    assert mail.message_id.strip("<>").encode() in forged
    assert handled(station, hostile.MARK + b"x\r\n" + forged).place is Place.QUARANTINE
    true = dsn(envid(sent.id, PSEUDONYMS))
    assert handled(station, true).place is Place.DONE
    assert handled(station, hostile.contradiction(mail)).place is Place.HUMAN
    station.close()
