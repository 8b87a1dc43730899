"""`Register`: applies ADT changes in order, once each, and answers who a patient now is (decisions D2, D8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import IntegrityError

from router.contracts import Clock, SystemClock
from router.errors import Unavailable
from router.exchange import Origin, Pseudonyms
from router.register import worklist
from router.register.adt import AdtChange
from router.register.changes import Change
from router.register.patient import Alert, Applied, RegisteredPatient, WorkEntry
from router.register.tables import ALIAS, DERIVED, EVENT, PATIENT, Database

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

    Raises `Unavailable` when the database is away. `url` is SQLAlchemy's (`sqlite:///…`, `postgresql+psycopg://…`).
    """

    def __init__(self, url: str | URL, pseudonyms: Pseudonyms, clock: Clock | None = None) -> None:
        self.pseudonyms = pseudonyms
        self._clock = clock or SystemClock()
        self._database = Database(url)

    # ------------------------------------------------------------------------------------------- from the feeds

    def apply(
        self, event_id: str, change: AdtChange, *, origin: Origin | None = None, at: float | None = None
    ) -> Applied:
        """Store one change; the same event id a second time does nothing.

        `origin` orders: of one partition an older event never overwrites a newer one; between partitions EVN-2
        decides. `at`: Unix time at which the bus took the event (a rebuild gives it; now by default). A merge,
        a move or a change of identifiers returns an alert when documents had already left.
        """
        now = self._clock.now() if at is None else at
        for _ in range(_RACES):
            try:
                with self._database.writing() as db:
                    if db.execute(sa.select(EVENT.c.id).where(EVENT.c.id == event_id)).first():
                        return Applied(new=False)
                    db.execute(EVENT.insert().values(id=event_id, at=now))
                    return Change(db, self.pseudonyms, event_id, origin, now).make(change)
            except IntegrityError:
                continue
        raise Unavailable("REGISTER", "database", "too many writers on one patient", circuit=False)

    def note_departure(
        self, pseudonyms: Sequence[str], delivery_id: str, document: str, sink: str, at: float
    ) -> Alert | None:
        """Remember that a document left under these identities; repeating it does nothing.

        When one of them was withdrawn or merged before, the entry goes to the work-list at once.
        """
        departure = worklist.Departure(delivery_id, document, sink, at)
        for _ in range(_RACES):
            try:
                with self._database.writing() as db:
                    return worklist.depart(db, pseudonyms, departure, self._clock.now())
            except IntegrityError:
                continue
        raise Unavailable("REGISTER", "database", "too many writers on one patient", circuit=False)

    def clear(self) -> None:
        """Forget what the ADT topic can tell again. Departures and the work-list stay."""
        with self._database.writing() as db:
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
        with self._database.reading() as db:
            for row in db.execute(_FIND, {"names": list(pseudonyms)}).mappings():
                patient = _registered(_survivor(db, row), merged=bool(row["merged_into"]), retired=bool(row["retired"]))
                found[row["alias"]] = _together(found.get(row["alias"]), patient)
        return found

    def impact(self, pseudonym: str, *, closed: bool = False) -> list[WorkEntry]:
        """The work-list of a patient: what left under an identity that changed since, oldest first.

        `closed` adds the entries that somebody has dealt with.
        """
        with self._database.reading() as db:
            return worklist.of(db, pseudonym, closed=closed)

    def work(self, *, limit: int = 1000) -> list[WorkEntry]:
        """The open work-list of all patients, oldest first."""
        with self._database.reading() as db:
            return worklist.open_entries(db, limit)

    def settle(self, entries: Sequence[str], *, by: str, outcome: str) -> int:
        """Close entries of the work-list, with who did it and what was done; returns how many were open."""
        with self._database.writing() as db:
            return worklist.settle(db, entries, by, outcome, self._clock.now())

    def close(self) -> None:
        self._database.close()


def _survivor(db: Connection, row: Any) -> Any:
    for _ in range(_MAX_MERGES):
        if not row["merged_into"]:
            return row
        row = db.execute(sa.select(PATIENT).where(PATIENT.c.id == row["merged_into"])).mappings().one()
    return row


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
