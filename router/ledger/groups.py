"""The dead rows counted by the database, so that a hundred thousand of them cost as little as a few."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from router.contracts import DeadGroup
from router.ledger.tables import DELIVERIES, IS_DEAD, PLACE_POSTGRESQL, PLACE_SQLITE

_NAMES: Final = ("sink", "code", "place", "feed", "pipeline", "count", "first", "last", "sample")
_NEVER: Final[ColumnElement[float]] = literal_column("0.0")


def dead(
    connection: Connection, equal: Mapping[str, str], since: float, within: Collection[str] | None = None
) -> Sequence[DeadGroup]:
    """See the contract of the ledger."""
    of = DELIVERIES.c
    place = PLACE_POSTGRESQL if connection.dialect.name == "postgresql" else PLACE_SQLITE
    last = func.coalesce(func.nullif(of.last_try, _NEVER), of.updated)
    first = func.coalesce(func.nullif(of.first_try, _NEVER), last)
    by = (of.sink, of.code, place, of.feed, of.pipeline)
    numbers = (func.count(), func.min(first), func.max(last), func.min(of.id))
    wanted = [of[name] == value for name, value in equal.items()]
    wanted += [last >= since] if since else []
    wanted += [of.structure.in_(sorted(within))] if within is not None else []
    rows = connection.execute(select(*by, *numbers).where(IS_DEAD, *wanted).group_by(*by))
    return [DeadGroup(**dict(zip(_NAMES, row, strict=True))) for row in rows]
