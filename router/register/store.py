"""`Register`: applies ADT changes in order, once each, and answers who a patient now is (decisions D2, D8)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.contracts import Clock, SystemClock
from router.database import Clash, Database
from router.exchange import Origin, Pseudonyms
from router.register import stays, worklist
from router.register.adt import AdtChange
from router.register.changes import Change
from router.register.patient import Alert, Applied, RegisteredPatient, WorkEntry
from router.register.stays import Stay
from router.register.tables import ALIAS, DERIVED, EVENT, IS_OPEN, METADATA, PATIENT, STAY, VERSION, WORK

Found = TypeVar("Found")

_RACES: Final = 5
"""Two processes may meet on the same patient: the loser starts again, so many times."""

_MAX_MERGES: Final = 50

#: Built once: composing a query costs more than running it. The last row of an alias speaks.
_FIND: Final = (
    sa.select(ALIAS.c.alias, ALIAS.c.retired, PATIENT)
    .join(PATIENT, PATIENT.c.id == ALIAS.c.patient)
    .where(ALIAS.c.alias.in_(sa.bindparam("names", expanding=True)))
    .order_by(ALIAS.c.retired == "", PATIENT.c.updated)
)


class Register:
    """What the ADT feeds say of patients. Synchronous; any thread; every call is one transaction.

    Raises `Unavailable` while the database is away. `url` is that of an SQLite file or of PostgreSQL (`Database`).
    `upgrade`: migrate tables of an older version, see there.
    """

    def __init__(self, url: str, pseudonyms: Pseudonyms, clock: Clock | None = None, *, upgrade: bool = False) -> None:
        self.pseudonyms = pseudonyms
        self._clock = clock or SystemClock()
        self._database = Database("register", url, METADATA, VERSION, _MIGRATIONS, upgrade=upgrade)

    # ------------------------------------------------------------------------------------------- from the feeds

    def apply(
        self,
        event_id: str,
        change: AdtChange,
        *,
        origin: Origin | None = None,
        at: float | None = None,
        again: bool = False,
    ) -> Applied:
        """Store one change; the same event id a second time does nothing.

        `origin` orders: of one partition an older event never overwrites a newer one; between partitions EVN-2
        decides, and of a lower offset too, since topics are made anew. `again`: it is replayed, then the offset alone.
        `at`: Unix time at which the bus took the event (a rebuild gives it; now by default). A merge, a move or a
        change of identifiers returns an alert when documents had already left.
        """
        now = self._clock.now() if at is None else at

        def applied(db: Connection) -> Applied:
            if db.execute(sa.select(EVENT.c.id).where(EVENT.c.id == event_id)).first():
                return Applied(new=False)
            db.execute(EVENT.insert().values(id=event_id, at=now))
            return Change(db, self.pseudonyms, event_id, origin, now, until=at, again=again).make(change)

        return self._written(applied)

    def note_departure(
        self, pseudonyms: Sequence[str], delivery_id: str, document: str, sink: str, at: float
    ) -> Alert | None:
        """Remember that a document left under these identities; repeating it does nothing.

        When one of them was withdrawn or merged before, the entry goes to the work-list at once.
        """
        departure = worklist.Departure(delivery_id, document, sink, at)
        return self._written(lambda db: worklist.depart(db, pseudonyms, departure, self._clock.now()))

    def clear(self) -> None:
        """Forget what the ADT topic can tell again. Departures and the work-list stay."""
        with self._database.write() as db:
            for table in DERIVED:
                db.execute(table.delete())

    # ------------------------------------------------------------------------------------------------- questions

    def find(self, pseudonym: str) -> RegisteredPatient | None:
        """The patient that this IPP or INS names today; merges are followed. None when no feed spoke of him."""
        return self.find_all([pseudonym]).get(pseudonym)

    def find_all(self, pseudonyms: Sequence[str]) -> dict[str, RegisteredPatient]:
        """The same for several, in one query; those that are unknown are left out."""
        if not pseudonyms:
            return {}
        found: dict[str, RegisteredPatient] = {}
        with self._database.read() as db:
            for row in db.execute(_FIND, {"names": list(pseudonyms)}).mappings():
                patient = _registered(_survivor(db, row), merged=bool(row["merged_into"]), retired=bool(row["retired"]))
                found[row["alias"]] = _together(found.get(row["alias"]), patient)
        return found

    def impact(self, pseudonym: str, *, closed: bool = False) -> list[WorkEntry]:
        """The work-list of a patient: what left under an identity that changed since, oldest first.

        `closed` adds the entries that somebody has dealt with.
        """
        with self._database.read() as db:
            return worklist.of(db, pseudonym, closed=closed)

    def work(
        self, *, limit: int = 1000, within: Collection[str] | None = None, after: WorkEntry | None = None
    ) -> list[WorkEntry]:
        """So many entries of the open work-list of all patients, by when the document left.

        within: of these structures (FINESS), as far as `own` told them; None: of any and of none
        after: the last entry of the page before
        """
        with self._database.read() as db:
            return worklist.open_entries(db, limit, within, after)

    def open_work(self) -> int:
        """How many entries are open."""
        with self._database.read() as db:
            return int(db.execute(sa.select(sa.func.count()).select_from(WORK).where(IS_OPEN)).scalar_one())

    def open_since(self, within: Collection[str] | None) -> dict[str, float]:
        """Id of each open entry of `work` -> when it was opened, Unix seconds; in no order."""
        with self._database.read() as db:
            return worklist.open_since(db, within)

    def unowned(self, *, limit: int = 500) -> list[WorkEntry]:
        """Open entries whose structure nobody has told yet, in no order."""
        with self._database.read() as db:
            return worklist.unowned(db, limit)

    def own(self, structures: Mapping[str, str]) -> None:
        """Tell whose entries these are: FINESS by the entry's id, "" for nobody's."""
        with self._database.write() as db:
            worklist.own(db, structures)

    def stays(self, pseudonym: str) -> list[Stay]:
        """The stays of the patient whom this IPP or INS names today, oldest first; merges are followed."""
        with self._database.read() as db:
            rows = db.execute(_FIND, {"names": [pseudonym]}).mappings().all()
            return stays.of(db, sorted(_merged(db, {_survivor(db, row)["id"] for row in rows})))

    def prune_stays(self, before: float) -> int:
        """Forget the stays of which nothing was heard since this Unix time; returns how many."""
        with self._database.write() as db:
            return stays.prune(db, before)

    def settle(self, entries: Sequence[str], *, by: str, outcome: str) -> int:
        """Close entries of the work-list, with who did it and what was done; returns how many were open."""
        with self._database.write() as db:
            return worklist.settle(db, entries, by, outcome, self._clock.now())

    def close(self) -> None:
        self._database.close()

    def _written(self, work: Callable[[Connection], Found]) -> Found:
        """What `work` found in one transaction, begun again when another wrote the same patient. Raises `Clash`."""
        for _ in range(_RACES - 1):
            with suppress(Clash), self._database.write() as db:
                return work(db)
        with self._database.write() as db:
            return work(db)


def _add_stays(db: Connection) -> None:
    """Version 1 kept none: those of before are told again by `segur-router register rebuild`."""
    STAY.create(db, checkfirst=True)


_MIGRATIONS: Final = {1: _add_stays, 2: worklist.name_structures}


def _survivor(db: Connection, row: Any) -> Any:
    for _ in range(_MAX_MERGES):
        if not row["merged_into"]:
            return row
        row = db.execute(sa.select(PATIENT).where(PATIENT.c.id == row["merged_into"])).mappings().one()
    return row


def _merged(db: Connection, patients: set[str]) -> set[str]:
    """These records, and all that were merged into them."""
    found, new = set(patients), set(patients)
    while new:
        query = sa.select(PATIENT.c.id).where(PATIENT.c.merged_into.in_(sorted(new)))
        new = set(db.execute(query).scalars()) - found
        found |= new
    return found


def _registered(row: Any, *, merged: bool, retired: bool) -> RegisteredPatient:
    return RegisteredPatient(
        id=row["id"],
        ins=row["ins"],
        qualified=row["qualified"],
        status=tuple(row["status"].split()),
        opposition=row["opposition"],
        opposition_at=row["opposition_at"],
        consent=row["consent"],
        consent_at=row["consent_at"],
        dmp=row["dmp"],
        last_event=row["last_event"],
        recorded=row["recorded"],
        since=row["since"],
        updated=row["updated"],
        merged=merged,
        retired=retired,
    )


def _together(earlier: RegisteredPatient | None, patient: RegisteredPatient) -> RegisteredPatient:
    """One INS in the files of several hospitals: the latest speaks, but an opposition stated anywhere counts."""
    if earlier is None or not earlier.opposed or patient.opposed:
        return patient
    return replace(patient, opposition=earlier.opposition, opposition_at=earlier.opposition_at)
