"""What the audit promises on each database. A subclass gives the fixture `url` (an empty database)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text

from router.audit.anchor import Anchor
from router.audit.chain import Mark
from router.audit.event import Action, AuditEvent
from router.audit.rows import Wanted
from router.audit.tables import METADATA
from router.audit.trail import AuditTrail
from router.audit.verification import Fault
from router.contracts import SystemClock
from router.database import Database
from router.errors import OperatorFault

START: Final = 1_790_000_000.0
SECRET: Final = b"a secret of a site"
VIEWED: Final = AuditEvent(
    at=START,
    who="claire",
    action=Action.VIEWED,
    role="reader",
    kind="event",
    object="e" * 64,
    structure="750000018",
    reason="appel du Dr Hoda",
    source="10.0.0.7",
)

#: What a person who may write the table can do to six rows -> (what is found, at which row).
TAMPERED: Final = {
    "a word changed": ("UPDATE audit_rows SET reason='' WHERE number=3", Fault.CHANGED, 3),
    "a refusal turned into a grant": ("UPDATE audit_rows SET refused = NOT refused WHERE number=2", Fault.CHANGED, 2),
    "the last row changed": ("UPDATE audit_rows SET who='bob' WHERE number=6", Fault.ALTERED, 6),
    "an action that there is not": ("UPDATE audit_rows SET action='nothing' WHERE number=4", Fault.CHANGED, 4),
    "a row removed": ("DELETE FROM audit_rows WHERE number=3", Fault.REMOVED, 3),
    "the first row removed": ("DELETE FROM audit_rows WHERE number=1", Fault.REMOVED, 1),
    "a row removed and its gap closed": (
        "DELETE FROM audit_rows WHERE number=3; UPDATE audit_rows SET number=3 WHERE number=4;"
        "UPDATE audit_rows SET number=4 WHERE number=5; UPDATE audit_rows SET number=5 WHERE number=6;"
        "UPDATE audit_marks SET number=5 WHERE name='head'",
        Fault.ALTERED,
        3,
    ),
    "a row put in": (
        "UPDATE audit_rows SET number=7 WHERE number=6; UPDATE audit_rows SET number=6 WHERE number=5;"
        "UPDATE audit_rows SET number=5 WHERE number=4;"
        "INSERT INTO audit_rows SELECT 4, at, who, action, role, kind, object, structure, reason, source, refused,"
        " detail, mac FROM audit_rows WHERE number=3; UPDATE audit_marks SET number=7 WHERE name='head'",
        Fault.INSERTED,
        4,
    ),
    "a row put in at the end": (
        "INSERT INTO audit_rows SELECT 7, at, who, action, role, kind, object, structure, reason, source, refused,"
        " detail, mac FROM audit_rows WHERE number=3",
        Fault.ALTERED,
        7,
    ),
    "two rows that changed places": (
        "UPDATE audit_rows SET number=99 WHERE number=3; UPDATE audit_rows SET number=3 WHERE number=4;"
        "UPDATE audit_rows SET number=4 WHERE number=99",
        Fault.REORDERED,
        3,
    ),
    "the tail cut": ("DELETE FROM audit_rows WHERE number>4", Fault.CUT, 5),
    "the tail cut with its mark": (
        "DELETE FROM audit_rows WHERE number>4;"
        "UPDATE audit_marks SET number=4, mac=(SELECT mac FROM audit_rows WHERE number=4) WHERE name='head'",
        Fault.CUT,
        5,
    ),
    "everything removed": ("DELETE FROM audit_rows; DELETE FROM audit_marks", Fault.CUT, 1),
    "a purge that never was": (
        "INSERT INTO audit_marks SELECT 'begin', 2, mac, mac FROM audit_rows WHERE number=2;"
        "DELETE FROM audit_rows WHERE number<3",
        Fault.BEGIN,
        2,
    ),
}


def tamper(url: str, statements: str) -> None:
    """Write to the table as its owner can."""
    database = Database("audit", url, METADATA, 1)
    with database.write() as db:
        for statement in statements.split(";"):
            db.execute(text(statement))
    database.close()


def opened(url: str, anchor: Path | None, secret: bytes = SECRET) -> AuditTrail:
    return AuditTrail(url, SystemClock(), secret=secret, anchor=anchor)


class AuditContract:
    """Every promise, one test each."""

    @pytest.fixture
    def anchor(self, tmp_path: Path) -> Path:
        return tmp_path / "anchor" / "audit-head.json"

    @pytest.fixture
    def trail(self, url: str, anchor: Path) -> Iterator[AuditTrail]:
        trail = opened(url, anchor)
        yield trail
        trail.close()

    @staticmethod
    def fill(trail: AuditTrail, count: int = 6) -> list[Mark]:
        """`count` rows, all but the first of them at once."""
        events = [replace(VIEWED, at=START + n, who=f"p{n}") for n in range(1, count + 1)]
        return [trail.record(events[0]).mark, *(row.mark for row in trail.record_all(events[1:]))]

    def test_rows_are_numbered_and_hang_together(self, trail: AuditTrail, url: str, anchor: Path) -> None:
        """What was recorded is read back whole, also by another process, and the chain is whole."""
        marks = self.fill(trail)
        assert [mark.number for mark in marks] == [1, 2, 3, 4, 5, 6] and trail.head() == marks[-1]
        (newest, *_) = trail.search(Wanted())
        assert newest.event == replace(VIEWED, at=START + 6, who="p6") and newest.mark == marks[-1]
        other = opened(url, anchor)
        verdict = other.verify(known=marks[3])
        other.close()
        assert verdict.whole and verdict.anchored and (verdict.rows, verdict.head) == (6, marks[-1])
        assert trail.verify(after=marks[3]).rows == 2

    @pytest.mark.parametrize("name", TAMPERED)
    def test_what_was_done_to_the_table_is_found(self, trail: AuditTrail, url: str, name: str) -> None:
        """A row that was changed, removed, put in or moved, and a tail that was cut: the first such row is named."""
        statements, fault, number = TAMPERED[name]
        self.fill(trail)
        tamper(url, statements)
        finding = trail.verify().finding
        assert finding is not None and (finding.fault, finding.number) == (fault, number)

    def test_a_cut_tail_stays_found_when_others_write_behind_it(self, trail: AuditTrail, url: str) -> None:
        """The anchor does not follow a chain that no longer holds the row that it names."""
        self.fill(trail)
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        self.fill(trail, 5)
        finding = trail.verify().finding
        assert finding is not None and (finding.fault, finding.number) == (Fault.REWOUND, 6)

    def test_a_cut_tail_whose_anchor_was_removed_leaves_a_row(self, trail: AuditTrail, url: str, anchor: Path) -> None:
        """Nothing shows the cut before the next row, which says that there was no anchor; nobody can keep it out."""
        trail.record_all([VIEWED] * 6)
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        last = trail.head().number
        anchor.unlink()
        assert not trail.verify().anchored
        assert trail.record(VIEWED).number == last + 2
        (said,) = trail.search(Wanted(kind="audit"))
        assert said.number == last + 1 and said.event.detail.startswith(f"no anchor was there, it begins at {last}:")
        assert trail.verify().whole and trail.record(VIEWED).number == last + 3

    def test_an_anchor_that_another_process_has_just_begun_is_one(
        self, trail: AuditTrail, url: str, anchor: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two processes write the first rows: who looked before the other wrote looks again when it is his turn."""
        opened(url, anchor).record(VIEWED)
        real, looks = Anchor.there, iter([False])
        monkeypatch.setattr(Anchor, "there", lambda self: next(looks, real(self)))
        assert trail.record(VIEWED).number == 2
        assert [row.event.who for row in trail.rows(Wanted())] == [VIEWED.who] * 2

    def test_an_anchor_that_begins_with_the_site_is_no_alarm(
        self, trail: AuditTrail, url: str, anchor: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The first pod to write keeps no anchor: that of the journal begins minutes later, with a row and no alert."""
        without = opened(url, None)
        without.record(replace(VIEWED, at=SystemClock().now() - 60))
        without.close()
        trail.record(VIEWED)
        assert trail.rows(Wanted())[1].event.detail.startswith("no anchor was there, it begins at 1:")
        assert trail.verify().anchored and not caplog.records
        tamper(url, "UPDATE audit_rows SET number=number+9; DELETE FROM audit_marks WHERE name='head'")
        anchor.unlink()
        trail.record(VIEWED)
        assert [record.__dict__["code"] for record in caplog.records] == ["AUDIT-NO-ANCHOR"]

    def test_two_machines_with_an_anchor_each_raise_no_false_alarm(
        self, trail: AuditTrail, url: str, anchor: Path, tmp_path: Path
    ) -> None:
        """One is far behind, what it names was purged by the other, and both write on: the chain is whole for each."""
        other = opened(url, tmp_path / "other" / "audit-head.json")
        trail.record(VIEWED)
        other.record(VIEWED)
        self.fill(trail)
        assert other.verify().whole and trail.verify().whole
        assert trail.purge(SystemClock().now() + 99) > 3
        behind = other.verify()
        assert behind.whole and behind.anchored and behind.begin.number > 3
        other.record(VIEWED)
        assert trail.verify().whole and other.verify().whole
        other.close()

    def test_what_one_machine_took_as_it_is_is_taken_by_the_others(
        self, trail: AuditTrail, url: str, tmp_path: Path
    ) -> None:
        """After a restore one `--accept` is enough; a later cut is found by each anchor."""
        other = opened(url, tmp_path / "other" / "audit-head.json")
        trail.record(VIEWED)
        other.record_all([VIEWED] * 5)
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        finding = other.verify().finding
        assert finding is not None and finding.fault is Fault.CUT
        assert trail.settle(AuditEvent(at=START + 9, who="root", action=Action.RESTORED)).number == 5
        found = other.verify()
        assert found.whole and found.anchored
        other.remember(found)
        other.record(VIEWED)
        assert trail.verify().whole and other.verify().whole
        tamper(url, "DELETE FROM audit_rows WHERE number>5; DELETE FROM audit_marks WHERE name='head'")
        finding = other.verify().finding
        assert finding is not None and finding.fault is Fault.CUT
        other.close()

    def test_a_taking_as_it_is_that_was_cut_off_excuses_nothing(
        self, trail: AuditTrail, url: str, tmp_path: Path
    ) -> None:
        """The mark that names its row stays behind when that row is gone: an anchor that is ahead tells the cut."""
        other = opened(url, tmp_path / "other" / "audit-head.json")
        trail.record(VIEWED)
        other.record_all([VIEWED] * 5)
        trail.settle(AuditEvent(at=START + 9, who="root", action=Action.RESTORED))
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        for one in (trail, other):
            finding = one.verify().finding
            assert finding is not None and finding.fault is Fault.CUT
        other.close()

    def test_an_anchor_follows_what_others_wrote_once_it_was_looked_at(
        self, trail: AuditTrail, url: str, anchor: Path
    ) -> None:
        """The journal's anchor may be the only one: it moves on with each look, and a cut behind is found from then."""
        trail.record(VIEWED)
        without = opened(url, None)
        self.fill(without, 5)
        without.close()
        trail.remember(trail.verify())
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        finding = trail.verify().finding
        assert finding is not None and (finding.fault, finding.number) == (Fault.CUT, 5)
        trail.remember(trail.verify())
        finding = trail.verify().finding
        assert finding is not None and finding.fault is Fault.CUT
        anchor.unlink()
        trail.remember(trail.verify())
        assert not anchor.exists()

    def test_without_an_anchor_a_mark_of_elsewhere_finds_a_cut_tail(self, url: str) -> None:
        """A mark that was logged, or sent to the collector, does what the anchor does."""
        trail = opened(url, None)
        last = self.fill(trail)[-1]
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        assert trail.verify().whole and not trail.verify().anchored
        finding = trail.verify(known=Mark.parse(str(last))).finding
        trail.close()
        assert finding is not None and finding.fault is Fault.CUT

    def test_an_anchor_that_was_altered_is_found_and_left(self, trail: AuditTrail, anchor: Path) -> None:
        """It is not written over: what stands there is evidence."""
        self.fill(trail)
        said = anchor.read_text().replace('"number": 6', '"number": 4')
        anchor.write_text(said)
        self.fill(trail, 1)
        finding = trail.verify().finding
        assert finding is not None and finding.fault is Fault.ANCHOR and anchor.read_text() == said

    def test_who_lacks_the_secret_can_neither_write_nor_judge(self, trail: AuditTrail, url: str) -> None:
        """Another secret records nothing, and says that it can't verify rather than that all is wrong."""
        self.fill(trail, 2)
        stranger = opened(url, None, b"another")
        with pytest.raises(OperatorFault, match="AUDIT-KEY"):
            stranger.record(VIEWED)
        finding = stranger.verify().finding
        stranger.close()
        assert finding is not None and finding.fault is Fault.KEY and trail.verify().rows == 2

    def test_rows_are_found_by_all_that_is_asked(self, trail: AuditTrail) -> None:
        """Who, action, structures, period, object, refusals; page after page, newest first."""
        self.fill(trail)
        trail.record(AuditEvent(at=START + 7, who="p1", action=Action.LOGIN, refused=True))

        def numbers(before: int | None = None, limit: int = 9, **asked: object) -> list[int]:
            rows = trail.search(Wanted(**asked), before=before, limit=limit)  # type: ignore[arg-type]
            return [row.number for row in rows]

        assert numbers(who="p1") == [7, 1] and numbers(actions=(Action.LOGIN, Action.LOGOUT)) == [7]
        assert numbers(structures=("750000018", "x"), limit=2) == [6, 5] and numbers(structures=()) == []
        assert numbers(structures=("",)) == [7] and numbers(refused=False, limit=1) == [6]
        assert numbers(since=START + 2, until=START + 4) == [3, 2]
        assert numbers(limit=3) == [7, 6, 5] and numbers(limit=3, before=5) == [4, 3, 2]
        assert numbers(object="e" * 64, kind="event", limit=1) == [6] and numbers(object="' OR 1=1 --") == []
        assert [row.number for row in trail.rows(Wanted(), after=5)] == [6, 7]

    def test_what_no_database_stores_is_recorded_without_it(self, trail: AuditTrail) -> None:
        """NUL and half characters are replaced, endless texts are cut, and the chain is whole."""
        trail.record(replace(VIEWED, who="a\0b", reason="\ud800" + "x" * 5000, object="o" * 5000))
        (row,) = trail.search(Wanted())
        assert row.event.who == "ab" and row.event.reason.startswith("?x")
        assert len(row.event.reason) == 1000 and trail.verify().whole

    def test_old_rows_are_purged_and_the_rest_still_hangs_together(self, trail: AuditTrail, url: str) -> None:
        """The purge says so in a row; a row that is not as it was written stays, with all that follow."""
        self.fill(trail)
        assert trail.purge(START + 4) == 3
        verdict = trail.verify()
        assert verdict.whole and verdict.begin.number == 3 and verdict.rows == 4
        assert trail.search(Wanted(actions=(Action.PURGED,)))[0].event.detail == f"up to {verdict.begin}"
        tamper(url, "UPDATE audit_rows SET who='x' WHERE number=5")
        assert trail.purge(START + 99) == 1
        finding = trail.verify().finding
        assert finding is not None and (finding.fault, finding.number) == (Fault.CHANGED, 5)

    def test_the_last_row_is_never_purged(self, trail: AuditTrail) -> None:
        """The chain keeps an end, and the next row its number."""
        self.fill(trail, 3)
        assert trail.purge(START + 99) == 2
        assert trail.record(VIEWED).number == 5 and trail.verify().whole

    def test_what_the_collector_lacks_waits_and_is_not_purged(self, trail: AuditTrail) -> None:
        """Rows go in order, and a row that was sent is not sent again, whoever says so later."""
        self.fill(trail)
        assert trail.waiting() == (6, START + 1)
        first, second, third = trail.unsent(3)
        trail.sent(second)
        trail.sent(first)
        assert [row.number for row in trail.unsent()] == [3, 4, 5, 6] and trail.waiting() == (4, START + 3)
        assert trail.purge(START + 99, collected=True) == 2
        trail.sent(third)
        assert trail.verify().whole

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_marks SET number=6, mac=(SELECT mac FROM audit_rows WHERE number=6) WHERE name='collected'",
            "UPDATE audit_marks SET number=999999999 WHERE name='collected'",
            "UPDATE audit_marks SET seal='' WHERE name='collected'",
        ],
        ids=["a row that was not sent", "beyond the head", "no seal"],
    )
    def test_a_mark_of_the_collector_that_is_not_ours_is_found_and_not_believed(
        self, trail: AuditTrail, url: str, statement: str
    ) -> None:
        """All that is kept is sent again and nothing is purged before; what is sent then puts the mark right."""
        self.fill(trail)
        trail.sent(trail.unsent(2)[1])
        assert trail.verify().whole
        tamper(url, statement)
        finding = trail.verify().finding
        assert finding is not None and finding.fault is Fault.SENT
        assert [row.number for row in trail.unsent()] == [1, 2, 3, 4, 5, 6] and trail.waiting()[0] == 6
        assert trail.purge(START + 99, collected=True) == 0
        trail.sent(trail.unsent(1)[0])
        assert trail.verify().whole and trail.waiting()[0] == 5

    def test_a_mark_of_the_collector_behind_a_cut_end_is_found_and_can_be_accepted(self, url: str) -> None:
        """Without an anchor too; with the table as it is the collector begins anew."""
        trail = opened(url, None)
        self.fill(trail)
        trail.sent(trail.unsent(6)[5])
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        finding = trail.verify().finding
        assert finding is not None and (finding.fault, finding.number) == (Fault.SENT, 6)
        trail.settle(AuditEvent(at=START + 9, who="root", action=Action.RESTORED))
        assert trail.verify().whole and trail.waiting()[0] == 5
        trail.close()

    def test_the_mark_of_an_older_version_is_not_believed(self, trail: AuditTrail, url: str) -> None:
        """It has no seal: what is kept goes to the collector once more, and nothing is wrong with the chain."""
        self.fill(trail)
        tamper(url, "INSERT INTO audit_marks SELECT 'sent', 4, mac, '' FROM audit_rows WHERE number=4")
        assert trail.waiting()[0] == 6 and trail.verify().whole
        assert trail.purge(START + 99, collected=True) == 0

    def test_after_a_restore_the_table_is_taken_as_it_is(self, trail: AuditTrail, url: str) -> None:
        """The row that says so names what the anchor knew of, and the chain is whole from then on."""
        last = self.fill(trail)[-1]
        tamper(url, TAMPERED["the tail cut with its mark"][0])
        row = trail.settle(AuditEvent(at=START + 9, who="root", action=Action.RESTORED, detail="of monday"))
        assert row.number == 5 and row.event.detail == f"of monday anchor={last}"
        assert trail.verify().whole

    def test_processes_that_write_at_once_make_one_chain(self, trail: AuditTrail, url: str, anchor: Path) -> None:
        """One of three is killed in the middle: no number is missing, and no row is lost that was reported."""
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.audit.writer", url, str(anchor), name],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("a", "b", "c")
        ]
        try:
            for process in processes:
                assert process.stdout is not None and process.stdout.readline()
            time.sleep(0.2)
            processes[0].send_signal(signal.SIGKILL)
            time.sleep(0.1)
        finally:
            for process in processes:
                process.terminate()
        said = [line for process in processes for line in process.communicate(timeout=20)[0].splitlines()]
        verdict = trail.verify()
        assert verdict.whole and verdict.anchored and verdict.rows > 6
        written = {row.mac: row.number for row in trail.rows(Wanted(), limit=100_000)}
        assert all(written[mark.mac] == mark.number for mark in map(Mark.parse, filter(_whole, said)))
        assert {row.event.who for row in trail.rows(Wanted(), limit=100_000)} == {"a", "b", "c"}


def _whole(line: str) -> bool:
    """A line that was cut by the kill says nothing."""
    try:
        Mark.parse(line)
    except ValueError:
        return False
    return True
