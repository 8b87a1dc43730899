"""The days of the journal: made when the first line of one comes, forgotten as one piece when they are over."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Table, all_, delete, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from router.database import Database
from router.journal.tables import BY_DAY, DAY, DELIVERIES, ENTRIES, EVENTS, ORPHANS, RECEIPTS, TERMS, day_of

UNDATED: Final = 0
"""The day of lines whose event is not known yet."""
_LOCK_SECONDS: Final = 2
"""So long a purge waits for those who read; who came behind it waits as long."""
_KEPT_AT_ONCE: Final = 500
_BREATH_SECONDS: Final = 0.02
"""Between two tables: who waits for an SQLite file looks every millisecond."""
_ORDER: Final = (TERMS, DELIVERIES, RECEIPTS, ENTRIES, EVENTS)
"""The tables as a purge empties them: the events go last, so that one that was stopped is found again."""


def make(connection: Connection, days: Collection[int]) -> None:
    """On PostgreSQL the partitions of these days, where they are missing; no reader or writer waits for that."""
    if connection.dialect.name != "postgresql":
        return
    if not (missing := _missing(connection, days)):
        return
    for table, day in missing:
        name = _partition(table, day)
        connection.execute(text(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS)"))
        connection.execute(text(f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES IN ({day})"))


def one_writer(connection: Connection) -> None:
    """Until the transaction ends nobody else writes lines: on SQLite that is so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('segur-router journal'))"))


def prune(database: Database, before: float) -> int:
    """Forget the days that ended before this Unix time; returns how many events went.

    Of such a day those events stay to which something happened since, or of which a delivery has not ended.
    """
    gone = 0
    with database.read() as connection:
        days = list(_older(connection, day_of(before)))
    for day in days:
        with database.read() as connection:
            kept = _kept(connection, day, before)
            count = connection.execute(select(func.count()).select_from(EVENTS).where(*_of_day(day))).scalar_one()
        if count > len(kept) or not count:
            (_drop if database.dialect == "postgresql" else _delete)(database, day, kept)
            gone += count - len(kept)
    _forget_orphans(database, before)
    return gone


def empty(connection: Connection) -> None:
    """Forget everything that goes by the day."""
    for table in BY_DAY:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"TRUNCATE {table.name}"))
        else:
            connection.execute(delete(table))


# ---------------------------------------------------------------------------------------------- internals


def _partition(table: Table, day: int) -> str:
    return f"{table.name}_d{day}" if day >= 0 else f"{table.name}_dm{-day}"


def _missing(connection: Connection, days: Collection[int]) -> list[tuple[Table, int]]:
    wanted = {_partition(table, day): (table, day) for table in BY_DAY for day in sorted(set(days))}
    query = text(
        "SELECT relname FROM pg_class"
        " WHERE relname = ANY(:names) AND relnamespace = CAST(current_schema AS regnamespace)"
    )
    present = set(connection.execute(query, {"names": list(wanted)}).scalars())
    return [made for name, made in wanted.items() if name not in present]


def _older(connection: Connection, end: int) -> Iterator[int]:
    """Days before this one that have lines, oldest first: each is a step along the keys."""
    last = UNDATED
    while True:
        after = [
            connection.execute(select(func.min(table.c.day)).where(table.c.day > last, table.c.day < end)).scalar()
            for table in (ENTRIES, RECEIPTS)
        ]
        since, until = max(last + 1, 0) * DAY, end * DAY  # of a purge that was stopped its events are left
        received = select(func.min(EVENTS.c.received)).where(EVENTS.c.received >= since, EVENTS.c.received < until)
        at = connection.execute(received).scalar()
        found = [day for day in (*after, None if at is None else day_of(at)) if day is not None]
        if not found:
            return
        last = min(found)
        yield last


def _of_day(day: int) -> tuple[Any, ...]:
    return EVENTS.c.received >= day * DAY, EVENTS.c.received < (day + 1) * DAY


def _kept(connection: Connection, day: int, before: float) -> list[int]:
    """Events of a day that must stay."""
    of = DELIVERIES.c
    touched = select(EVENTS.c.event).where(*_of_day(day), EVENTS.c.touched >= before)
    waiting = select(of.event).where(of.day == day, of.disposition == "")
    return sorted({*connection.execute(touched).scalars(), *connection.execute(waiting).scalars()})


def _delete(database: Database, day: int, kept: Sequence[int]) -> None:
    """Table by table, in the order of their keys; whoever waits to write gets his turn in between."""
    staying = func.json_each(json.dumps(kept)).table_valued("value").c.value
    for table in _ORDER:
        whose = _of_day(day) if table is EVENTS else (table.c.day == day,)
        others = (table.c.event.not_in(select(staying)),) if kept else ()
        with database.write() as connection:
            connection.execute(delete(table).where(*whose, *others))
        time.sleep(_BREATH_SECONDS)


def _drop(database: Database, day: int, kept: Sequence[int]) -> None:
    """The partitions of the day go; what must stay is put back into new ones.

    Each in a transaction of its own: whoever holds one table and waits for the next would lock out, and be locked out
    by, a search that reads them the other way round.
    """
    for table in _ORDER:
        with database.write() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
            if table is EVENTS:
                others = EVENTS.c.event != all_(literal(list(kept), ARRAY(BigInteger)))
                connection.execute(delete(EVENTS).where(*_of_day(day), others))
            else:
                _drop_one(connection, table, day, kept)


def _drop_one(connection: Connection, table: Table, day: int, kept: Sequence[int]) -> None:
    rows: list[dict[str, Any]] = []
    for start in range(0, len(kept), _KEPT_AT_ONCE):
        mine = table.c.day == day, table.c.event.in_(kept[start : start + _KEPT_AT_ONCE])
        rows += [dict(row) for row in connection.execute(select(table).where(*mine)).mappings()]
    connection.execute(text(f"DROP TABLE IF EXISTS {_partition(table, day)}"))
    if rows:
        make(connection, [day])
        connection.execute(insert(table), rows)


def _forget_orphans(database: Database, before: float) -> None:
    """Lines of no event that is known, commands mostly: they are few, and stand together."""
    with database.write() as connection:
        one_writer(connection)
        old = list(connection.execute(select(ORPHANS.c.event).where(ORPHANS.c.day < day_of(before))).scalars())
        for start in range(0, len(old), _KEPT_AT_ONCE):
            some = old[start : start + _KEPT_AT_ONCE]
            for table in BY_DAY:
                connection.execute(delete(table).where(table.c.day == UNDATED, table.c.event.in_(some)))
            connection.execute(delete(ORPHANS).where(ORPHANS.c.event.in_(some)))
