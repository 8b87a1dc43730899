"""What the ledger changes when the bus is not the one it knew: older than the ledger, or another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from router.contracts import Offsets, Partition, out_topic
from router.exchange import Origin
from router.ledger import marks
from router.ledger.tables import CLAIMS, DELIVERIES

AN_AGE: Final = 2**40
"""A number greater than any offset of a topic."""
_ROWS: Final = 1000


def release(connection: Connection, ends: Offsets) -> list[tuple[str, Origin]]:
    """Forget the claims of events that stood at or beyond these offsets; returns their ids and where they stood.

    Who sends such an event again is not told that it is known: it is taken anew. Deliveries keep their rows, so that
    what was delivered is not delivered twice.
    """
    lost = list(_beyond(connection, ends))
    for start in range(0, len(lost), _ROWS):
        ids = [id_ for id_, _ in lost[start : start + _ROWS]]
        connection.execute(delete(CLAIMS).where(CLAIMS.c.id.in_(ids)))
    return lost


def _beyond(connection: Connection, ends: Offsets) -> Iterator[tuple[str, Origin]]:
    claims = select(CLAIMS.c.id, CLAIMS.c.origin).execution_options(yield_per=_ROWS)
    for id_, text in connection.execute(claims):
        origin = Origin.parse(text)
        end = ends.get(Partition(origin.topic, origin.partition))
        if end is not None and origin.offset >= end:
            yield id_, origin


def lower(connection: Connection, ends: Offsets) -> None:
    """Set the marks to these offsets. What will stand on such a partition comes after every row that is there now."""
    marks.lower(connection, ends)
    of: Any = DELIVERIES.c
    sinks = {out_topic(sink): sink for sink in connection.execute(select(of.sink).distinct()).scalars()}
    for place in ends:
        if place.topic in sinks:
            mine = (of.sink == sinks[place.topic], of.partition == place.number)
            connection.execute(update(DELIVERIES).where(*mine).values(sequence=of.sequence - AN_AGE))
