"""The dead rows counted and paged by the database, so that a hundred thousand of them cost as little as a few."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, literal_column, or_, select, update

from router.contracts import Beyond, DeadGroup, DeadWanted
from router.ledger.tables import DELIVERIES, IS_DEAD, IS_NAMED, IS_UNNAMED, cause_of

_NAMES: Final = ("sink", "cause", "code", "feed", "pipeline", "count", "first", "last", "sample")
_NEVER: Final[ColumnElement[float]] = literal_column("0.0")
_of: Final = DELIVERIES.c
_LAST: Final = func.coalesce(func.nullif(_of.last_try, _NEVER), _of.updated)
_FIRST: Final = func.coalesce(func.nullif(_of.first_try, _NEVER), _LAST)
_NAMED_AT_ONCE: Final = 1000


def unnamed(connection: Connection) -> bool:
    """Whether a dead row has no cause yet: a version wrote it that knew no such column."""
    # The order makes SQLite take the index that holds nothing else.
    return connection.execute(select(_of.id).where(IS_UNNAMED).order_by(_of.id).limit(1)).first() is not None


def name(connection: Connection) -> bool:
    """Give some of them their cause; whether more are left. A row that changes meanwhile is left to the next time."""
    query = select(_of.id, _of.sink, _of.code, _of.evidence, _of.updated).where(IS_UNNAMED).limit(_NAMED_AT_ONCE)
    rows = connection.execute(query).all()
    named = [
        {"of": id_, "at": at, "named": cause_of(json.loads(text) if text else {}, sink, code)}
        for id_, sink, code, text, at in rows
    ]
    if named:
        same = _of.id == bindparam("of"), _of.updated == bindparam("at"), IS_DEAD
        connection.execute(update(DELIVERIES).where(*same).values(cause=bindparam("named"), caused=_of.updated), named)
    return len(rows) == _NAMED_AT_ONCE


def dead(connection: Connection, wanted: DeadWanted) -> Sequence[DeadGroup]:
    """See the contract of the ledger."""
    by = (_of.sink, _of.cause, _of.code, _of.feed, _of.pipeline)
    numbers = (func.count(), func.min(_FIRST), func.max(_LAST), func.min(_of.id))
    rows = connection.execute(select(*by, *numbers).where(*_conditions(wanted)).group_by(*by))
    return [DeadGroup(**dict(zip(_NAMES, row, strict=True))) for row in rows]


def page(
    connection: Connection, wanted: DeadWanted, limit: int | None, *, newest: bool, beyond: Beyond | None
) -> Sequence[str]:
    """The ids of a page."""
    query = select(_of.id).where(*_conditions(wanted), *behind(_LAST, _of.id, beyond, newest=newest))
    return connection.execute(query.order_by(*ordered(_LAST, _of.id, newest=newest)).limit(limit)).scalars().all()


def owners(connection: Connection, wanted: DeadWanted) -> Collection[str]:
    """See the contract of the ledger."""
    query = select(_of.structure).where(*_conditions(wanted)).distinct()
    return {finess or "" for finess in connection.execute(query).scalars()}


def _conditions(wanted: DeadWanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [IS_NAMED]
    found += [_of[name] == value for name, value in wanted.equal.items()]
    found += [wanted.since <= _LAST] if wanted.since else []
    found += [wanted.until > _LAST] if wanted.until is not None else []
    found += [_of.structure.in_(sorted(wanted.within))] if wanted.within is not None else []
    found += [_of.event_id.in_(sorted(wanted.events))] if wanted.events is not None else []
    return found


def behind(
    last: ColumnElement[float], id_: ColumnElement[str], beyond: Beyond | None, *, newest: bool
) -> list[ColumnElement[bool]]:
    """Conditions of a page that begins there."""
    if beyond is None:
        return []
    further = last < beyond.last if newest else last > beyond.last
    if beyond.of_moment is False:
        return [further]
    same: Any = last == beyond.last
    if isinstance(beyond.of_moment, str):
        same = and_(same, id_ < beyond.of_moment if newest else id_ > beyond.of_moment)
    return [or_(further, same)]


def ordered(last: ColumnElement[float], id_: ColumnElement[str], *, newest: bool) -> tuple[ColumnElement[Any], ...]:
    """The order of a page."""
    return (last.desc(), id_.desc()) if newest else (last.asc(), id_.asc())
