"""Dead letters that have no row: what the topics `dlq.*` say of them, kept up by whoever looks.

A topic is read once. Whoever lists its dead letters reads what has come since, and keeps it; so nothing is missing
however long nobody looked, and a hundred thousand of them are counted without being read again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Update,
    and_,
    delete,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Beyond, DeadWanted, Header, LetterGroup, Offsets, Partition, Record
from router.exchange import Origin
from router.ledger.groups import behind, ordered
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
_SHARED: Final = ("cause", "code", "place", "feed", "pipeline")
"""By which letters are counted."""
_EVENT_SQLITE: Final = literal_column("json_extract(headers, '$.id')", String)
_EVENT_POSTGRESQL: Final = literal_column("headers::json ->> 'id'", String)
"""The event of a letter that version 6 wrote: it has no column of its own."""
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


def groups(connection: Connection, topic: str, wanted: DeadWanted) -> list[LetterGroup]:
    """The letters counted by what they share."""
    of = LETTERS.c
    by = [of[name] for name in _SHARED]
    numbers = (func.count(), func.min(of.first), func.max(of.last), func.min(of.place_of))
    query = select(*by, *numbers).where(*_conditions(topic, wanted)).group_by(*by)
    found = connection.execute(query).all()
    samples = _samples(connection, topic, [row[-1] for row in found])
    return [
        LetterGroup(
            equal=dict(zip(_SHARED, row[: len(_SHARED)], strict=True)),
            sample=samples[row[-1]],
            count=row[-4],
            first=row[-3],
            last=row[-2],
        )
        for row in found
        if row[-1] in samples
    ]


def page(
    connection: Connection,
    topic: str,
    wanted: DeadWanted,
    any_of: Sequence[LetterGroup] | None,
    limit: int | None,
    *,
    newest: bool,
    beyond: Beyond | None,
) -> list[tuple[float, str, Record]]:
    """See the contract of the ledger."""
    of = LETTERS.c
    mine = *_conditions(topic, wanted), _any(any_of), *behind(of.last, of.place_of, beyond, newest=newest)
    query = select(of.last, of.place_of).where(*mine).order_by(*ordered(of.last, of.place_of, newest=newest))
    places = connection.execute(query.limit(limit)).all()
    found = _samples(connection, topic, [place for _, place in places])
    return [(last, place, found[place]) for last, place in places if place in found]


def owners(
    connection: Connection, topic: str, wanted: DeadWanted, any_of: Sequence[LetterGroup] | None
) -> Collection[str]:
    """See the contract of the ledger."""
    query = select(LETTERS.c.structure).where(*_conditions(topic, wanted), _any(any_of)).distinct()
    return set(connection.execute(query).scalars())


def _conditions(topic: str, wanted: DeadWanted) -> list[ColumnElement[bool]]:
    of = LETTERS.c
    found = [of.topic == topic, *_within(wanted.within)]
    found += [of[name] == value[:_LONGEST] for name, value in wanted.equal.items()]
    found += [of.last >= wanted.since] if wanted.since else []
    found += [of.last < wanted.until] if wanted.until is not None else []
    found += [of.event_id.in_(sorted(wanted.events))] if wanted.events is not None else []
    return found


def nameless(connection: Connection) -> bool:
    """Whether there are letters that a version without a column for their event wrote."""
    return connection.execute(select(LETTERS.c.topic).where(LETTERS.c.event_id.is_(None)).limit(1)).first() is not None


def of_version_6(connection: Connection) -> Update:
    """Names the event of the letters that a version without a column for it wrote."""
    told = _EVENT_POSTGRESQL if connection.dialect.name == "postgresql" else _EVENT_SQLITE
    return update(LETTERS).where(LETTERS.c.event_id.is_(None)).values(event_id=func.coalesce(told, ""))


def _any(groups: Sequence[LetterGroup] | None) -> ColumnElement[bool]:
    """Letters of one of these groups; None: of all."""
    if groups is None:
        return true()
    return or_(false(), *(and_(*(LETTERS.c[name] == value for name, value in one.equal.items())) for one in groups))


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
        "event_id": headers.get(Header.ID, ""),
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
