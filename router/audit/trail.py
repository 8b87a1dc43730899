"""The audit on SQLite or PostgreSQL."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from router.audit.anchor import Altered, Anchor, Remembered
from router.audit.chain import NOTHING, AuditRow, Chain, Mark
from router.audit.event import Action, AuditEvent
from router.audit.marks import Marks
from router.audit.rows import Wanted, asked, kept, row_of, values
from router.audit.tables import MARKS, METADATA, ROWS, VERSION
from router.audit.verification import Fault, Finding, Verdict, walk
from router.contracts import Clock
from router.database import Database, Took, unheard
from router.errors import OperatorFault
from router.locks import make_way

log = logging.getLogger(__name__)

SYSTEM: Final = "system"
"""`who` of what the router does by itself."""

_SENT: Final = "collected"
"""Older versions wrote the same as `sent`, without a seal: it is not believed, what is kept is sent once more."""
_SETTLED: Final = "settled"
_PURGED_AT_ONCE: Final = 1000
_SECONDS: Final = 5.0
_YOUNG: Final = 3600.0
"""Seconds after the first row in which an anchor that begins is no surprise: a new site starts process by process."""


class AuditTrail:
    """Who saw or did what. Any thread, any number of processes.

    secret: the site's; the key of the chain is made of it
    anchor: file that remembers how far the chain reached, best on another disk than the database; None: no such file

    Raises `Unavailable` (`AUDIT-…`) while the database is away: who can't record what he is about to do must not do it.
    """

    def __init__(
        self, url: str, clock: Clock, *, secret: bytes, anchor: Path | None = None, took: Took = unheard
    ) -> None:
        self._database = Database("audit", url, METADATA, VERSION)
        self._database.timing.took = took
        words: Any = postgresql if self._database.dialect == "postgresql" else sqlite
        self._clock = clock
        self._chain = Chain(secret)
        self._marks = Marks(self._chain, words)
        self._anchor = Anchor(anchor, self._chain) if anchor is not None else None

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------------------------------------------ recording

    def record(self, event: AuditEvent) -> AuditRow:
        """Append one row; it is durable when this returns. Raises `Unavailable`, `OperatorFault` (`AUDIT-KEY`)."""
        return self.record_all([event])[0]

    def record_all(self, events: Iterable[AuditEvent]) -> list[AuditRow]:
        """The same for several, in their order and in one transaction: all of them or none."""
        clean = [kept(event) for event in events]
        with self._database.write() as db:
            begun = self._begun_anchor(db) if clean else []
            rows = self._append(db, [*begun, *clean])
            anchored = self._remembered(db, rows[-1].mark) if rows else None
        if anchored is not None and self._anchor is not None:
            self._anchor.advance(anchored)
        return rows[len(begun) :]

    def _begun_anchor(self, db: Connection) -> list[AuditEvent]:
        """The row that says that there was no anchor, though the chain has rows: a new machine, or a file removed.

        Who cuts the end off and removes the file can't keep this row out of the chain. The first row finds one.
        """
        if self._anchor is None or self._anchor.there():
            return []
        head = self._head(db)  # one writer at a time from here on: who came before may have begun the anchor
        if self._anchor.there():
            return []
        if head == NOTHING:
            self._anchor.reset(Remembered(NOTHING))
            return []
        now = self._clock.now()
        first = db.execute(select(ROWS.c.at).where(ROWS.c.number == 1)).scalar()
        text = f"no anchor was there, it begins at {head}"
        event = AuditEvent(at=now, who=SYSTEM, action=Action.STARTED, kind="audit", detail=text)
        if first is None or abs(now - first) > _YOUNG:
            log.error("the audit had no anchor", extra={"code": "AUDIT-NO-ANCHOR", "alert": "audit"})
        return [kept(event)]

    def _append(self, db: Connection, events: Sequence[AuditEvent]) -> list[AuditRow]:
        head, rows = self._head(db), []
        for event in events:
            rows.append(AuditRow(head.number + 1, event, self._chain.mac(head, event)))
            head = rows[-1].mark
        if rows:
            db.execute(ROWS.insert(), list(map(values, rows)))
            self._marks.put(db, "head", head)
        return rows

    def _head(self, db: Connection) -> Mark:
        """The last row. On PostgreSQL the mark's lock lets one writer at a time through; on SQLite the file's does."""
        locked = select(MARKS).where(MARKS.c.name == "head").with_for_update()
        if db.execute(locked).first() is None:
            self._marks.put(db, "key", Mark(0, self._chain.key), unless_there=True)
            self._marks.put(db, "head", NOTHING, unless_there=True)
        marked = db.execute(locked).one()
        if self._marks.find(db, "key") not in (None, Mark(0, self._chain.key)):
            text = "the site's secret is not the one that the audit was begun with: put it back"
            raise OperatorFault("AUDIT-KEY", "secret", text)
        last = db.execute(select(ROWS.c.number, ROWS.c.mac).order_by(ROWS.c.number.desc()).limit(1)).first()
        heads = [Mark(marked.number, marked.mac), *([Mark(last.number, last.mac)] if last else [])]
        return max(heads, key=lambda mark: mark.number)

    def _remembered(self, db: Connection, head: Mark) -> Remembered | None:
        """What the anchor may move on to. None: it may not, since the chain does not hold the row that it names."""
        if self._anchor is None:
            return None
        try:
            known = self._anchor.read()
        except Altered:
            return None
        return Remembered(head, self._settled(db)) if known is None or self._agrees(db, known) else None

    def _agrees(self, db: Connection, known: Remembered) -> bool:
        """Whether the chain holds what an anchor names, or was taken as it is since that was written.

        The row that says so is found in the chain itself, so nobody excuses a cut who can't write a row that fits.
        """
        return self._holds(db, known.mark) is not False or self._settled(db) > known.settled

    def _settled(self, db: Connection) -> int:
        """The number of the row by which the table was last taken as it is; 0 for never."""
        mark, ours = self._marks.sealed(db, _SETTLED)
        return mark.number if ours and self._holds(db, mark) is not False else 0

    def _holds(self, db: Connection, known: Mark) -> bool | None:
        """Whether the chain holds this mark; None when the row was purged."""
        mac = db.execute(select(ROWS.c.mac).where(ROWS.c.number == known.number)).scalar()
        if mac is not None:
            return bool(mac == known.mac)
        begin, sealed = self._begin(db)
        if not sealed or known.number > begin.number:
            return False
        return None if known.number < begin.number else known == begin

    # ------------------------------------------------------------------------------------------------ verifying

    def verify(self, *, after: Mark | None = None, known: Mark | None = None) -> Verdict:
        """Walk along the chain to the first row that is not as it was written.

        after: a row that an earlier walk found right, to begin there;  known: a row that the chain must hold, from a
        log or from the collector, beside the one of the anchor
        """
        while True:
            with self._database.read() as db:
                begin, sealed = self._begin(db)
                key, head = self._marks.find(db, "key"), self._marks.find(db, "head")
            if key not in (None, Mark(0, self._chain.key)):
                return Verdict(0, begin, begin, Finding(Fault.KEY))
            if not sealed:
                return Verdict(0, begin, begin, Finding(Fault.BEGIN, begin.number))
            start = after if after is not None and after.number > begin.number else begin
            verdict = walk(self._chain, self._rows_after, start)
            with self._database.read() as db:
                if not verdict.whole and self._begin(db)[0] != begin:
                    continue  # it was purged under our feet
                if verdict.whole:
                    verdict = self._compared(db, verdict, [mark for mark in (after, known, head) if mark])
            return verdict

    def _compared(self, db: Connection, verdict: Verdict, marks: Sequence[Mark]) -> Verdict:
        """The same with what is known from outside of the rows."""
        anchored = None
        if self._anchor is not None:
            try:
                anchored = self._anchor.read()
            except Altered:
                return replace(verdict, finding=Finding(Fault.ANCHOR))
        remembered = [anchored.mark] if anchored is not None and not self._agrees(db, anchored) else []
        for mark in (*marks, *remembered):
            if mark.number and self._holds(db, mark) is False:
                there = db.execute(select(ROWS.c.number).where(ROWS.c.number == mark.number)).first()
                last = db.execute(select(func.max(ROWS.c.number)).where(ROWS.c.number < mark.number)).scalar()
                number = mark.number if there else (last or self._begin(db)[0].number) + 1
                return replace(verdict, finding=Finding(Fault.REWOUND if there else Fault.CUT, number))
        verdict = replace(verdict, anchored=anchored is not None)
        sent, ours = self._sent(db)
        return verdict if ours else replace(verdict, finding=Finding(Fault.SENT, sent.number))

    def _begin(self, db: Connection) -> tuple[Mark, bool]:
        """The last row that was purged (`NOTHING` when none was), and whether the mark that says so is ours."""
        return self._marks.sealed(db, "begin")

    def _sent(self, db: Connection) -> tuple[Mark, bool]:
        """The last row that the collector has, and whether the mark that says so is ours and the chain holds it.

        `NOTHING` before the first. A mark that is not ours is not believed: `_believed`.
        """
        mark, ours = self._marks.sealed(db, _SENT)
        return mark, ours and (mark == NOTHING or self._holds(db, mark) is not False)

    def _believed(self, db: Connection) -> Mark:
        """The last row that the collector surely has; `NOTHING` without a mark of ours: then all is sent again."""
        mark, ours = self._sent(db)
        return mark if ours else NOTHING

    def head(self) -> Mark:
        """The last row as the table has it; `NOTHING` before the first."""
        with self._database.read() as db:
            return self._marks.find(db, "head") or NOTHING

    def settle(self, event: AuditEvent) -> AuditRow:
        """Take the table as it is for the end of the chain, after a backup was put back: the anchor begins anew.

        The event that says so is recorded, with the row that the anchor knew of. A mark of the collector that is not
        ours goes.
        """
        known = "altered"
        if self._anchor is not None:
            with suppress(Altered):
                held = self._anchor.read()
                known = str(held.mark if held is not None else NOTHING)
        with self._database.write() as db:
            (row,) = self._append(db, [kept(replace(event, detail=f"{event.detail} anchor={known}".strip()))])
            if not self._sent(db)[1]:
                self._marks.remove(db, _SENT)
            self._marks.put(db, _SETTLED, row.mark, seal=True)
        if self._anchor is not None:
            self._anchor.reset(Remembered(row.mark, row.number))
        return row

    def remember(self, verdict: Verdict) -> None:
        """Move the anchor on to the end that a walk found right; one that is not there does not begin."""
        if self._anchor is None or not (verdict.whole and verdict.anchored):
            return
        with self._database.read() as db:
            to = self._remembered(db, verdict.head)
        if to is not None:
            self._anchor.advance(to)

    # ------------------------------------------------------------------------------------------------ reading

    def search(
        self, wanted: Wanted, *, before: int | None = None, limit: int = 100, seconds: float = _SECONDS
    ) -> list[AuditRow]:
        """Rows that meet all criteria, newest first; the next page begins `before` the last number of this one.

        Raises `TooSlow` after so many seconds.
        """
        query = asked(select(ROWS), wanted)
        if before is not None:
            query = query.where(ROWS.c.number < before)
        with self._database.read(seconds=seconds) as db:
            return [row_of(row) for row in db.execute(query.order_by(ROWS.c.number.desc()).limit(limit)).mappings()]

    def rows(self, wanted: Wanted, *, after: int = 0, limit: int = _PURGED_AT_ONCE) -> list[AuditRow]:
        """The same oldest first, for who reads them all: the next ones come `after` the last number of these."""
        query = asked(select(ROWS), wanted).where(ROWS.c.number > after)
        with self._database.read() as db:
            return [row_of(row) for row in db.execute(query.order_by(ROWS.c.number).limit(limit)).mappings()]

    def _rows_after(self, number: int, limit: int) -> Sequence[AuditRow]:
        return self.rows(Wanted(), after=number, limit=limit)

    # ------------------------------------------------------------------------------------------------ retention

    def purge(self, before: float, *, collected: bool = False) -> int:
        """Remove the rows of before this Unix time, from the oldest on; says so in a row of its own.

        The chain then begins behind a sealed mark, and can be verified from there. The last row stays, and so does
        everything from the first row on that is not as it was written: it is evidence.
        collected: a collector is configured, what it lacks stays too.  Returns how many rows were removed.
        """
        gone = 0
        while True:
            begun = time.monotonic()
            with self._database.write() as db:
                end = self._purgeable(db, before, collected)
                if end is None:
                    break
                gone += db.execute(delete(ROWS).where(ROWS.c.number <= end.number)).rowcount
                self._marks.put(db, "begin", end, seal=True)
            make_way(begun)
        if gone:
            with self._database.read() as db:
                begin = self._begin(db)[0]
            self.record(
                AuditEvent(
                    at=self._clock.now(), who=SYSTEM, action=Action.PURGED, kind="audit", detail=f"up to {begin}"
                )
            )
        return gone

    def _purgeable(self, db: Connection, before: float, collected: bool) -> Mark | None:
        """The last row of the next batch to remove: those up to it are all old, and hang together."""
        head = self._head(db)
        begin, sealed = self._begin(db)
        sent = self._believed(db)
        most = min(head.number - 1, sent.number if collected else head.number)
        first_kept = db.execute(select(func.min(ROWS.c.number)).where(ROWS.c.at >= before)).scalar()
        most = min(most, first_kept - 1 if first_kept is not None else most, begin.number + _PURGED_AT_ONCE)
        if not sealed or most <= begin.number:
            return None
        query = select(ROWS).where(ROWS.c.number > begin.number, ROWS.c.number <= most).order_by(ROWS.c.number)
        found = [row_of(row) for row in db.execute(query).mappings()]
        verdict = walk(self._chain, lambda after, _: [row for row in found if row.number > after], begin)
        return verdict.head if verdict.head != begin else None

    # ------------------------------------------------------------------------------------------------ collector

    def unsent(self, limit: int = 100) -> list[AuditRow]:
        """The next rows for the collector, oldest first."""
        with self._database.read() as db:
            sent = self._believed(db)
        return self.rows(Wanted(), after=sent.number, limit=limit)

    def sent(self, row: AuditRow) -> None:
        """The collector has the rows up to this one."""
        with self._database.write() as db:
            self._head(db)  # one writer at a time from here on
            if self._believed(db).number < row.number:
                self._marks.put(db, _SENT, row.mark, seal=True)

    def waiting(self) -> tuple[int, float | None]:
        """(rows that the collector does not have, Unix time of the oldest of them)."""
        with self._database.read() as db:
            sent = self._believed(db)
            behind = ROWS.c.number > sent.number
            count = db.execute(select(func.count()).select_from(ROWS).where(behind)).scalar_one()
            oldest = db.execute(select(ROWS.c.at).where(behind).order_by(ROWS.c.number).limit(1)).scalar()
        return count, oldest
