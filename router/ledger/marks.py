"""How far the ledger has seen each partition of the bus, and which topics those were."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Offsets, Partition, Row, out_topic
from router.ledger.tables import MARKS, TOPICS

_of = MARKS.c


def columns(seen: Offsets) -> list[dict[str, Any]]:
    """One row of `ledger_marks` each, in the order in which every writer locks them."""
    return [{"topic": place.topic, "partition": place.number, "next": at} for place, at in sorted(seen.items())]


def of_rows(rows: Sequence[Row]) -> dict[Partition, int]:
    """What rows that are opened say: their partition was seen up to the last of them."""
    seen: dict[tuple[str, int], int] = {}
    for row in rows:
        place = (row.delivery.sink, row.partition)
        if row.sequence >= seen.get(place, 0):
            seen[place] = row.sequence + 1
    return {Partition(out_topic(sink), number): at for (sink, number), at in seen.items()}


def note(connection: Connection, seen: Offsets) -> None:
    """Raise the marks to these offsets; none goes back."""
    if not seen:
        return
    on_postgresql = connection.dialect.name == "postgresql"
    words: Any = postgresql if on_postgresql else sqlite
    insert = words.insert(MARKS)
    higher = insert.excluded.next > _of.next
    upsert = insert.on_conflict_do_update(
        index_elements=[_of.topic, _of.partition], set_={"next": insert.excluded.next}, where=higher
    )
    connection.execute(upsert, columns(seen))


def lower(connection: Connection, seen: Offsets) -> None:
    """Set the marks to these offsets: what stood beyond them is gone from the bus."""
    for place, at in seen.items():
        connection.execute(MARKS.update().where(_of.topic == place.topic, _of.partition == place.number), {"next": at})


def seen(connection: Connection, topic: str) -> dict[int, int]:
    found = connection.execute(select(_of.partition, _of.next).where(_of.topic == topic))
    return {row.partition: row.next for row in found}


def forget(connection: Connection, topic: str) -> None:
    """The topic is made anew."""
    connection.execute(delete(MARKS).where(_of.topic == topic))
    connection.execute(delete(TOPICS).where(TOPICS.c.topic == topic))


def identities(connection: Connection) -> dict[str, str]:
    """Topic -> the identity under which it was last seen."""
    return {row.topic: row.identity for row in connection.execute(select(TOPICS))}


def remember(connection: Connection, found: Mapping[str, str], known: Collection[str]) -> None:
    """Keep these identities of topics; `known`: those that have one already."""
    for topic, identity in found.items():
        if topic in known:
            connection.execute(TOPICS.update().where(TOPICS.c.topic == topic), {"identity": identity})
        else:
            connection.execute(TOPICS.insert(), {"topic": topic, "identity": identity})
