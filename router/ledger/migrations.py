"""What makes a ledger of one version one of the next."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from sqlalchemy import Column, Connection, bindparam, func, inspect, or_, select, update
from sqlalchemy.schema import CreateColumn, CreateIndex

from router.contracts import Partition, out_topic
from router.exchange import Origin
from router.ledger import groups, letters, marks
from router.ledger.tables import (
    CLAIMS,
    COUNTED,
    DELIVERIES,
    FENCES,
    GIVEN_UP,
    IS_DEAD,
    LETTER_PLACES,
    LETTERS,
    MARKS,
    REPLACES,
    TOPICS,
    UNFINISHED,
    UNNAMED,
)

_ROWS: Final = 1000
#: Name in the evidence of version 3 -> column of version 4, and what reads the text.
_FACTS: Final[dict[str, tuple[str, Any]]] = {
    "engine.waited": ("waited", float),
    "engine.outages": ("outages", int),
    "engine.unknown": ("outcome_unknown", bool),
    "engine.last": ("last_try", float),
    "engine.command": ("commands", str),
}


def _add_fences(connection: Connection) -> None:
    """Version 1 had none: every partition is taken anew by its next owner."""
    FENCES.create(connection, checkfirst=True)


def _add_replaces(connection: Connection) -> None:
    REPLACES.create(connection, checkfirst=True)


def _facts_and_marks(connection: Connection) -> None:
    """The engine's notes leave the evidence for columns; how far the bus was seen is told by what is there."""
    present = {column["name"] for column in inspect(connection).get_columns(DELIVERIES.name)}
    for name, _ in _FACTS.values():
        if name not in present:
            _add_column(connection, DELIVERIES.c[name])
    MARKS.create(connection, checkfirst=True)
    TOPICS.create(connection, checkfirst=True)
    _move_facts(connection)
    marks.note(connection, _seen(connection))


def _add_column(connection: Connection, column: Column[Any]) -> None:
    text = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {text}")


def _move_facts(connection: Connection) -> None:
    of = DELIVERIES.c
    noted = or_(of.evidence.like('%"engine.%'), of.evidence.like('%"outcome": "unknown"%'))
    found = connection.execute(select(of.id, of.evidence).where(noted)).all()
    for id_, text in found:
        evidence = json.loads(text)
        values: dict[str, Any] = {"outcome_unknown": evidence.get("outcome") == "unknown"}
        for name, (column, read) in _FACTS.items():
            if name in evidence:
                values[column] = read(evidence.pop(name))
        left = json.dumps(evidence, ensure_ascii=False) if evidence else ""
        connection.execute(update(DELIVERIES).where(of.id == id_).values(evidence=left, **values))


def _seen(connection: Connection) -> dict[Partition, int]:
    """How far the ledger has seen the bus, from its rows and claims: perhaps a few records less than it did."""
    of = DELIVERIES.c
    last = select(of.sink, of.partition, func.max(of.sequence)).group_by(of.sink, of.partition)
    seen = {Partition(out_topic(sink), n): at + 1 for sink, n, at in connection.execute(last) if at >= 0}
    claims = select(CLAIMS.c.origin).execution_options(yield_per=_ROWS)
    for origin in map(Origin.parse, connection.execute(claims).scalars()):
        place = Partition(origin.topic, origin.partition)
        seen[place] = max(seen.get(place, 0), origin.offset + 1)
    return seen


def _count_the_dead(connection: Connection) -> None:
    """Version 4 read every dead row to count them; its successor makes the index that counts them."""


def _name_structures(connection: Connection) -> None:
    """Version 5 did not know to whom a delivery belongs: those of before belong to nobody. Dead letters without a row
    are read from their topics when somebody looks."""
    present = {column["name"] for column in inspect(connection).get_columns(DELIVERIES.name)}
    if DELIVERIES.c.structure.name not in present:
        _add_column(connection, DELIVERIES.c.structure)
    LETTERS.create(connection, checkfirst=True)
    LETTER_PLACES.create(connection, checkfirst=True)


def _name_causes(connection: Connection) -> None:
    """Version 6 had the cause of a dead row in its evidence alone, and the event of a letter in its headers alone."""
    for column in (DELIVERIES.c.cause, DELIVERIES.c.caused, LETTERS.c.event_id):
        present = {one["name"] for one in inspect(connection).get_columns(column.table.name)}
        if column.name not in present:
            _add_column(connection, column)
    for index in LETTERS.indexes:
        index.create(connection, checkfirst=True)
    connection.execute(letters.of_version_6(connection))
    connection.exec_driver_sql(f"DROP INDEX IF EXISTS {COUNTED.name}")
    for index in (COUNTED, UNNAMED):
        connection.execute(CreateIndex(index, if_not_exists=True))
    while groups.name(connection):
        pass
    _name_owners(connection)


def _find_what_was_given_up(connection: Connection) -> None:
    """Version 7 let the bytes of what a person gave up go, though it may be taken back: they are looked up now."""
    connection.execute(CreateIndex(GIVEN_UP, if_not_exists=True))


def _name_owners(connection: Connection) -> None:
    """Give what is dead or unfinished its structure, where a row of its event says it: the lane of a DMP does.

    Rows of one event belong to one structure, so rows that contradict each other say nothing.
    """
    of, nobody = DELIVERIES.c, or_(DELIVERIES.c.structure.is_(None), DELIVERIES.c.structure == "")
    events = sorted(set(connection.execute(select(of.event_id).where(or_(IS_DEAD, UNFINISHED), nobody)).scalars()))
    for start in range(0, len(events), _ROWS):
        some = events[start : start + _ROWS]
        told: dict[str, set[str]] = {}
        rows = select(of.event_id, of.key, of.lane, of.structure).where(of.event_id.in_(some))
        for event_id, key, lane, structure in connection.execute(rows):
            if finess := structure or _finess(lane.removeprefix(f"{key}:")):
                told.setdefault(event_id, set()).add(finess)
        owners = [{"of": event_id, "to": min(known)} for event_id, known in told.items() if len(known) == 1]
        if owners:
            mine = of.event_id == bindparam("of"), nobody
            connection.execute(update(DELIVERIES).where(*mine).values(structure=bindparam("to")), owners)


def _finess(text: str) -> str:
    """The text, when it is a FINESS; else nothing."""
    return text if re.fullmatch(r"\d[\dAB]\d{7}", text, re.ASCII) else ""


MIGRATIONS: Final = {
    1: _add_fences,
    2: _add_replaces,
    3: _facts_and_marks,
    4: _count_the_dead,
    5: _name_structures,
    6: _name_causes,
    7: _find_what_was_given_up,
}
