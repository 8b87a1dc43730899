"""What has left under which identity, and the work-list of those whose identity changed since (decisions D8).

Never an automatic deletion: an entry asks a person to look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.language import filled_plural
from router.register.patient import Alert, WorkEntry
from router.register.tables import ALIAS, DEPARTURE, IS_OPEN, OPEN_WORK, PATIENT, WORK


class Departure(NamedTuple):
    """A document that left. `at`: Unix time."""

    delivery_id: str
    document: str
    sink: str
    at: float


class Reason(NamedTuple):
    """The event that changed an identity."""

    event_id: str
    event: str


def depart(db: Connection, aliases: Sequence[str], departure: Departure, now: float) -> Alert | None:
    """Note a departure under each alias; at once a work entry when one of them names nobody any more."""
    same = DEPARTURE.c.delivery_id == departure.delivery_id
    known = set(db.execute(sa.select(DEPARTURE.c.alias).where(same)).scalars())
    new = [alias for alias in dict.fromkeys(aliases) if alias not in known]
    if not new:
        return None
    departure = departure._replace(document=departure.document[:160])
    db.execute(DEPARTURE.insert(), [{"alias": alias, **departure._asdict()} for alias in new])
    for alias in sorted(retired(db, new)):
        row = db.execute(sa.select(ALIAS).where(ALIAS.c.alias == alias)).mappings().first()
        if row is not None:
            reason = Reason(row["retired"], row["retired_by"])
            if _open(db, alias, reason, departure, now):
                return alert(reason, 1)
    return None


def retired(db: Connection, aliases: Iterable[str]) -> set[str]:
    """Those of these aliases that name nobody any more."""
    query = (
        sa.select(ALIAS.c.alias)
        .where(ALIAS.c.alias.in_(list(aliases)))
        .group_by(ALIAS.c.alias)
        .having(sa.func.min(ALIAS.c.retired) != "")
    )
    return set(db.execute(query).scalars())


def open_for(db: Connection, aliases: Iterable[str], reason: Reason, now: float, until: float | None) -> Alert | None:
    """Entries for what left under these aliases, and the alert when there are any.

    `until`: of an event that is told again, when it was told first. Else all that is known has left before, whatever
    the clock of the machine from which it left says.
    """
    query = sa.select(DEPARTURE).where(DEPARTURE.c.alias.in_(sorted(set(aliases))))
    if until is not None:
        query = query.where(DEPARTURE.c.at <= until)
    query = query.order_by(DEPARTURE.c.at, DEPARTURE.c.alias)
    rows = db.execute(query).all()
    left = [(row.alias, Departure(row.delivery_id, row.document, row.sink, row.at)) for row in rows]
    count = sum(_open(db, alias, reason, departure, now) for alias, departure in left)
    return alert(reason, count) if count else None


def alert(reason: Reason, count: int) -> Alert:
    """The alert's text for operators: no identity, only how many documents."""
    text = filled_plural(
        "{event} : {count} document déjà transmis sous une identité qui vient de changer, à examiner",
        "{event} : {count} documents déjà transmis sous une identité qui vient de changer, à examiner",
        count,
        event=reason.event,
    )
    return Alert(event_id=reason.event_id, kind=reason.event, count=count, text=text)


def of(db: Connection, alias: str, *, closed: bool) -> list[WorkEntry]:
    """The entries of the patient that this alias names, those of merged identities included."""
    aliases = {alias} | set(
        db.execute(sa.select(ALIAS.c.alias).where(ALIAS.c.patient.in_(_family(db, alias)))).scalars()
    )
    query = sa.select(WORK).where(WORK.c.alias.in_(aliases)).order_by(WORK.c.left, WORK.c.document, WORK.c.id)
    if not closed:
        query = query.where(WORK.c.closed == 0.0)
    return _entries(db.execute(query).mappings())


def open_entries(
    db: Connection, limit: int, within: Collection[str] | None, after: WorkEntry | None
) -> list[WorkEntry]:
    """See `Register.work`."""
    order = (WORK.c.left, WORK.c.document, WORK.c.id)
    query = sa.select(WORK).where(IS_OPEN)
    if within is not None:
        query = query.where(WORK.c.structure.in_(sorted(within)))
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(after.left, after.document, after.id))
    return _entries(db.execute(query.order_by(*order).limit(limit)).mappings())


def unowned(db: Connection, limit: int) -> list[WorkEntry]:
    """See `Register.unowned`."""
    return _entries(db.execute(sa.select(WORK).where(IS_OPEN, WORK.c.structure.is_(None)).limit(limit)).mappings())


def own(db: Connection, structures: Mapping[str, str]) -> None:
    """See `Register.own`."""
    rows = [{"of": id_, "to": finess} for id_, finess in sorted(structures.items())]
    if rows:
        mine = WORK.c.id == sa.bindparam("of")
        db.execute(sa.update(WORK).where(mine).values(structure=sa.bindparam("to")), rows)


def name_structures(db: Connection) -> None:
    """Version 2 kept no structure: who asks for the list looks it up."""
    if "structure" not in {column["name"] for column in sa.inspect(db).get_columns(WORK.name)}:
        db.exec_driver_sql(f"ALTER TABLE {WORK.name} ADD COLUMN structure VARCHAR(9)")
    OPEN_WORK.create(db, checkfirst=True)


def settle(db: Connection, entries: Sequence[str], by: str, outcome: str, now: float) -> int:
    """Close these entries if they are open."""
    wanted = WORK.c.id.in_(entries) & (WORK.c.closed == 0.0)
    return db.execute(WORK.update().where(wanted).values(closed=now, closed_by=by[:64], outcome=outcome[:200])).rowcount


def _open(db: Connection, alias: str, reason: Reason, departure: Departure, now: float) -> bool:
    """One entry per event and delivery, whichever of the patient's identifiers the document left under."""
    number = hashlib.sha256(f"{reason.event_id}|{departure.delivery_id}".encode()).hexdigest()[:32]
    if db.execute(sa.select(WORK.c.id).where(WORK.c.id == number)).first():
        return False
    db.execute(
        WORK.insert().values(
            id=number,
            alias=alias,
            event_id=reason.event_id,
            kind=reason.event,
            delivery_id=departure.delivery_id,
            document=departure.document,
            sink=departure.sink,
            left=departure.at,
            opened=now,
        )
    )
    return True


def _family(db: Connection, alias: str) -> set[str]:
    """Every record that is, or was merged into, or absorbed, the patient of this alias."""
    found = set(db.execute(sa.select(ALIAS.c.patient).where(ALIAS.c.alias == alias)).scalars())
    frontier = set(found)
    while frontier:
        up = sa.select(PATIENT.c.merged_into).where(PATIENT.c.id.in_(frontier), PATIENT.c.merged_into != "")
        down = sa.select(PATIENT.c.id).where(PATIENT.c.merged_into.in_(frontier))
        frontier = {*db.execute(up).scalars(), *db.execute(down).scalars()} - found
        found |= frontier
    return found


def _entries(rows: Iterable[Any]) -> list[WorkEntry]:
    return [WorkEntry(**{key: value for key, value in row.items() if key != "alias"}) for row in rows]
