"""Dead letters that have no row: what the topics `dlq.*` say of them, kept up by whoever looks.

A topic is read once. Whoever lists its dead letters reads what has come since, and keeps it; so nothing is missing
however long nobody looked, and a hundred thousand of them are counted without being read again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Header, LetterGroup, Offsets, Partition, Record
from router.exchange import Origin
from router.ledger.tables import LETTER_PLACES, LETTERS

_COLUMNS: Final = {
    "cause": Header.CAUSE,
    "code": Header.CODE,
    "place": Header.PLACE,
    "feed": Header.FEED,
    "pipeline": Header.PIPELINE,
    "structure": Header.STRUCTURE,
}
"""Column -> header."""
_LONGEST: Final = 60
"""Characters by which letters are counted: six columns of them fit into an entry of an index of PostgreSQL."""
_AT_ONCE: Final = 500


def seen(connection: Connection, topic: str, identity: str) -> dict[Partition, int]:
    """How far the topic was read; nothing when another topic of this name was."""
    of = LETTER_PLACES.c
    rows = connection.execute(select(of.partition, of.next).where(of.topic == topic, of.identity == identity))
    return {Partition(topic, number): offset for number, offset in rows}


def note(
    connection: Connection,
    topic: str,
    identity: str,
    letters: Sequence[Record],
    resolved: Collection[Origin],
    ends: Offsets,
) -> None:
    """Keep these letters, forget those that were resolved, and how far the topic was read.

    identity: another than before forgets all that is known of the topic, "" always does
    """
    words: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    other = LETTER_PLACES.c.topic == topic, LETTER_PLACES.c.identity != identity
    if connection.execute(delete(LETTER_PLACES).where(*other)).rowcount or not identity:
        connection.execute(delete(LETTERS).where(LETTERS.c.topic == topic))
    rows = [_row(topic, record) for record in letters if record.origin not in resolved]
    if rows:
        connection.execute(words.insert(LETTERS).on_conflict_do_nothing(index_elements=_KEY), rows)
    of, gone = LETTERS.c, sorted(resolved, key=lambda origin: (origin.partition, origin.offset))
    for start in range(0, len(gone), _AT_ONCE):
        these = [and_(of.partition == one.partition, of.offset == one.offset) for one in gone[start : start + _AT_ONCE]]
        connection.execute(delete(LETTERS).where(of.topic == topic, or_(*these)))
    places = [
        {"topic": topic, "partition": partition.number, "identity": identity, "next": offset}
        for partition, offset in ends.items()
    ]
    if places:
        statement = words.insert(LETTER_PLACES)
        new = {name: statement.excluded[name] for name in ("identity", "next")}
        connection.execute(statement.on_conflict_do_update(index_elements=["topic", "partition"], set_=new), places)


def records(connection: Connection, topic: str, within: Collection[str] | None) -> list[Record]:
    """The letters, without their bytes, by time."""
    of = LETTERS.c
    query = select(LETTERS).where(of.topic == topic, *_within(within)).order_by(of.at, of.partition, of.offset)
    return [_record(row) for row in connection.execute(query).mappings()]


def groups(
    connection: Connection, topic: str, equal: Mapping[str, str], since: float, within: Collection[str] | None
) -> list[LetterGroup]:
    """The letters counted by what they share. equal: code, feed, pipeline; since: of the last attempt."""
    of = LETTERS.c
    by = (of.cause, of.code, of.place, of.feed, of.pipeline)
    wanted = [of.topic == topic, *_within(within), *(of[name] == value[:_LONGEST] for name, value in equal.items())]
    wanted += [of.last >= since] if since else []
    numbers = (func.count(), func.min(of.first), func.max(of.last), func.min(of.place_of))
    found = connection.execute(select(*by, *numbers).where(*wanted).group_by(*by)).all()
    samples = _samples(connection, topic, [row[-1] for row in found])
    return [LetterGroup(samples[row[-1]], row[-4], row[-3], row[-2]) for row in found if row[-1] in samples]


def _samples(connection: Connection, topic: str, places: Sequence[str]) -> dict[str, Record]:
    of = LETTERS.c
    found: dict[str, Record] = {}
    for start in range(0, len(places), _AT_ONCE):
        query = select(LETTERS).where(of.topic == topic, of.place_of.in_(places[start : start + _AT_ONCE]))
        found.update((row["place_of"], _record(row)) for row in connection.execute(query).mappings())
    return found


def _within(within: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if within is None else [LETTERS.c.structure.in_(sorted(within))]


def _row(topic: str, record: Record) -> dict[str, Any]:
    headers = {name: value.replace("\0", "") for name, value in record.headers.items()}
    last = _number(headers.get(Header.LAST, ""), record.timestamp)
    return {
        "topic": topic,
        "partition": record.partition,
        "offset": record.offset,
        "place_of": f"{record.partition}/{record.offset}",
        "at": record.timestamp,
        "key": record.key.replace("\0", ""),
        "headers": json.dumps(headers, ensure_ascii=False),
        "first": _number(headers.get(Header.FIRST, ""), last),
        "last": last,
        **{column: headers.get(header, "")[:_LONGEST] for column, header in _COLUMNS.items()},
    }


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:  # nobody but us writes it, or should
        return otherwise


def _record(row: Mapping[Any, Any]) -> Record:
    place = row["topic"], row["partition"], row["offset"]
    return Record(*place, row["key"], b"", json.loads(row["headers"]), row["at"])


_KEY: Final = [column.name for column in LETTERS.primary_key.columns]
