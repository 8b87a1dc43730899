"""The dead rows counted by the database, so that a hundred thousand of them cost as little as a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, cast, func, select
from sqlalchemy.dialects.postgresql import JSON

from router.contracts import DeadGroup
from router.ledger.tables import DELIVERIES, IS_DEAD

_BY: Final = ("sink", "feed", "pipeline", "code")


def dead(connection: Connection, equal: Mapping[str, str], since: float) -> Sequence[DeadGroup]:
    """See the contract of the ledger."""
    of = DELIVERIES.c
    last = func.coalesce(func.nullif(of.last_try, 0.0), of.updated)
    first = func.coalesce(func.nullif(of.first_try, 0.0), last)
    cause, place = (_evidence(connection, name) for name in ("cause", "place"))
    by = [*(of[name] for name in _BY), cause.label("cause"), place.label("place")]
    numbers = [
        func.count().label("count"),
        func.min(first).label("first"),
        func.max(last).label("last"),
        func.min(of.id).label("sample"),
    ]
    wanted = [of[name] == value for name, value in equal.items()]
    query = select(*by, *numbers).where(IS_DEAD, last >= since, *wanted).group_by(*by)
    return [DeadGroup(**row) for row in connection.execute(query).mappings()]


def _evidence(connection: Connection, name: str) -> ColumnElement[Any]:
    """A text of a row's evidence, "" where there is none."""
    written = func.nullif(DELIVERIES.c.evidence, "")
    if connection.dialect.name == "postgresql":
        return func.coalesce(cast(written, JSON).op("->>")(name), "")
    return func.coalesce(func.json_extract(written, f"$.{name}"), "")
