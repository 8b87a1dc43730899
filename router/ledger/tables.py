"""The ledger's tables, and a delivery's row as columns and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    false,
    literal_column,
    or_,
)

from router.contracts import DISCARDED, Claim, Row, cause
from router.exchange import Delivery, Origin, State

VERSION: Final = 8
METADATA: Final = MetaData()

CLAIMS: Final = Table(
    "ledger_claims",
    METADATA,
    Column("id", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("ack", LargeBinary, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

#: Text fields of a delivery: same name in the table.
_DELIVERY_TEXTS: Final = (
    "event_id",
    "sink",
    "destination",
    "key",
    "lane",
    "feed",
    "pipeline",
    "digest",
    "lineage",
    "document",
    "replaces",
    "action",
    "label",
)

DELIVERIES: Final = Table(
    "ledger_deliveries",
    METADATA,
    Column("id", String, primary_key=True),
    *(Column(name, String, nullable=False) for name in _DELIVERY_TEXTS),
    Column("origin", String, nullable=False),
    Column("strict", Boolean, nullable=False),
    Column("replay", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("bytes_at", String, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_try", Float, nullable=False),
    Column("next_try", Float, nullable=False),
    Column("code", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("updated", Float, nullable=False),
    Column("waited", Float, nullable=False, server_default="0"),
    Column("outages", Integer, nullable=False, server_default="0"),
    Column("outcome_unknown", Boolean, nullable=False, server_default=false()),
    Column("last_try", Float, nullable=False, server_default="0"),
    Column("commands", Text, nullable=False, server_default=""),
    # What came with versions 6 and 7 may be NULL: a worker of an older version that still runs on PostgreSQL writes so.
    Column("structure", String, server_default=""),
    Column("cause", String),
    Column("caused", Float),
    Index("ledger_deliveries_lineage", "sink", "lineage"),
    Index("ledger_deliveries_event", "event_id"),
)

FINAL: Final = (State.DONE, State.SUPERSEDED, State.DEAD)

# Of a million rows a few are unfinished or dead: indexes that hold only those stay small and cost the rest nothing.
_state = DELIVERIES.c.state
# Their conditions are words of the statement: of a bound value SQLite can't know at the start that the index serves.
UNFINISHED: Final = _state.in_([literal_column(f"'{state.value}'") for state in State if state not in FINAL])
Index(
    "ledger_deliveries_unfinished",
    DELIVERIES.c.sink,
    DELIVERIES.c.partition,
    DELIVERIES.c.sequence,
    sqlite_where=UNFINISHED,
    postgresql_where=UNFINISHED,
)
IS_DEAD: Final = _state == literal_column(f"'{State.DEAD.value}'")
Index("ledger_deliveries_dead", DELIVERIES.c.sink, sqlite_where=IS_DEAD, postgresql_where=IS_DEAD)
#: `caused` is the value of `updated` for which `cause` holds. A worker of version 6 knows neither and leaves both as
#: they were: such a row has no cause until somebody asks (`groups.name`).
IS_NAMED: Final = and_(IS_DEAD, DELIVERIES.c.caused == DELIVERIES.c.updated)
IS_UNNAMED: Final = and_(IS_DEAD, or_(DELIVERIES.c.caused.is_(None), DELIVERIES.c.caused != DELIVERIES.c.updated))
#: Counts the dead rows, and finds a page of them, without reading them.
COUNTED: Final = Index(
    "ledger_deliveries_counted",
    *(DELIVERIES.c.cause, DELIVERIES.c.sink, DELIVERIES.c.code, DELIVERIES.c.feed, DELIVERIES.c.pipeline),
    *(
        DELIVERIES.c.structure,
        DELIVERIES.c.updated,
        DELIVERIES.c.last_try,
        DELIVERIES.c.first_try,
        DELIVERIES.c.id,
        DELIVERIES.c.caused,
    ),
    sqlite_where=IS_NAMED,
    postgresql_where=IS_NAMED,
)
UNNAMED: Final = Index(
    "ledger_deliveries_unnamed", DELIVERIES.c.id, sqlite_where=IS_UNNAMED, postgresql_where=IS_UNNAMED
)
FORGETTABLE: Final = _state.in_([literal_column(f"'{state.value}'") for state in (State.DONE, State.SUPERSEDED)])
Index("ledger_deliveries_done", DELIVERIES.c.updated, sqlite_where=FORGETTABLE, postgresql_where=FORGETTABLE)

#: What a person gave up and may take back: few, among all that have ended.
IS_GIVEN_UP: Final = and_(
    _state == literal_column(f"'{State.SUPERSEDED.value}'"), DELIVERIES.c.code == literal_column(f"'{DISCARDED}'")
)
GIVEN_UP: Final = Index(
    "ledger_deliveries_given_up",
    *(DELIVERIES.c.sink, DELIVERIES.c.updated),
    sqlite_where=IS_GIVEN_UP,
    postgresql_where=IS_GIVEN_UP,
)

#: A sender without setId links its versions by this alone.
IS_REPLACEMENT: Final = DELIVERIES.c.replaces != ""
REPLACES: Final = Index(
    "ledger_deliveries_replaces",
    DELIVERIES.c.sink,
    DELIVERIES.c.replaces,
    sqlite_where=IS_REPLACEMENT,
    postgresql_where=IS_REPLACEMENT,
)

#: Who may write a partition's rows: the one who knows its present epoch (`contracts.Ledger`).
FENCES: Final = Table(
    "ledger_fences",
    METADATA,
    Column("sink", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
)


#: How far each partition of the bus was seen: nothing below `next` is missing in the ledger.
MARKS: Final = Table(
    "ledger_marks",
    METADATA,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
)

#: Which topic that was: of the same name on another bus, or made anew, it has another identity.
TOPICS: Final = Table(
    "ledger_topics",
    METADATA,
    Column("topic", String, primary_key=True),
    Column("identity", String, nullable=False),
)

#: Dead letters without a row, as their topics tell them: those that no `resolved` record names.
LETTERS: Final = Table(
    "ledger_letters",
    METADATA,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("place_of", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("first", Float, nullable=False),
    Column("last", Float, nullable=False),
    *(Column(name, String, nullable=False) for name in ("cause", "code", "place", "feed", "pipeline", "structure")),
    Column("key", String, nullable=False),
    Column("headers", Text, nullable=False),
    Column("event_id", String),  # version 6 writes NULL
    Index("ledger_letters_event", "event_id", "topic"),
    Index("ledger_letters_place", "topic", "place_of"),
    Index(
        "ledger_letters_counted",
        *("topic", "cause", "code", "place", "feed", "pipeline", "structure", "last", "first", "place_of"),
    ),
)
#: How far each of those topics was read.
LETTER_PLACES: Final = Table(
    "ledger_letter_places",
    METADATA,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("identity", String, nullable=False),
    Column("next", BigInteger, nullable=False),
)

#: What `save` writes: everything that changes in a row's life.
STATE_COLUMNS: Final = (
    "replay",
    "partition",
    "sequence",
    "bytes_at",
    "state",
    "attempts",
    "first_try",
    "next_try",
    "code",
    "text",
    "evidence",
    "updated",
    "waited",
    "outages",
    "outcome_unknown",
    "last_try",
    "commands",
    "cause",
    "caused",
)


NAMES: Final = tuple(DELIVERIES.c.keys())
CLAIM_NAMES: Final = tuple(CLAIMS.c.keys())


_texts: Final = attrgetter(*_DELIVERY_TEXTS)


def state_values(row: Row) -> tuple[Any, ...]:
    """The values of `STATE_COLUMNS`, in their order."""
    dead = row.state is State.DEAD
    return (
        row.delivery.replay,
        row.partition,
        row.sequence,
        str(row.bytes_at),
        row.state.value,
        row.attempts,
        row.first_try,
        row.next_try,
        row.code,
        row.text,
        json.dumps(dict(row.evidence), ensure_ascii=False) if row.evidence else "",
        row.updated,
        row.waited,
        row.outages,
        row.outcome_unknown,
        row.last_try,
        " ".join(row.commands),
        cause_of(row.evidence, row.delivery.sink, row.code) if dead else None,
        row.updated if dead else None,
    )


def cause_of(evidence: Mapping[str, str], sink: str, code: str) -> str:
    """The cause of a dead row: as its evidence says, else made of what it says."""
    return evidence.get("cause") or cause("sink", sink, code, evidence.get("place", ""))


def values(row: Row) -> tuple[Any, ...]:
    """The values of `NAMES`, in their order."""
    delivery = row.delivery
    replay, *state, named, caused = state_values(row)
    origin = str(delivery.origin)
    texts = _texts(delivery)
    first = (delivery.id, *texts, origin, delivery.strict, replay, delivery.created)
    return (*first, *state, delivery.structure, named, caused)


def saved_values(row: Row) -> tuple[Any, ...]:
    """`state_values`, and which row it is."""
    return (*state_values(row), row.delivery.id)


def saved_columns(row: Row) -> dict[str, Any]:
    """The columns of `STATE_COLUMNS`, and which row it is."""
    return dict(zip((*STATE_COLUMNS, "id"), saved_values(row), strict=True))


def columns(row: Row) -> dict[str, Any]:
    """Every column of a row."""
    return dict(zip(NAMES, values(row), strict=True))


def claim_columns(claim: Claim) -> dict[str, Any]:
    """Every column of a claim."""
    return {"id": claim.id, "origin": str(claim.origin), "ack": claim.ack, "at": claim.at}


def rows_of(found: Iterable[Sequence[Any]]) -> dict[str, Row]:
    """Id -> row, of what a driver gives for the columns `NAMES`."""
    rows = (row_of(dict(zip(NAMES, one, strict=True))) for one in found)
    return {row.delivery.id: row for row in rows}


def row_of(found: Mapping[Any, Any]) -> Row:
    """A row as it was saved; its delivery has an empty payload."""
    delivery = Delivery(
        id=found["id"],
        payload=b"",
        origin=Origin.parse(found["origin"]),
        strict=bool(found["strict"]),
        replay=found["replay"],
        created=found["created"],
        structure=found["structure"] or "",
        **{name: found[name] for name in _DELIVERY_TEXTS},
    )
    return Row(
        delivery=delivery,
        partition=found["partition"],
        sequence=found["sequence"],
        bytes_at=Origin.parse(found["bytes_at"]),
        state=State(found["state"]),
        attempts=found["attempts"],
        first_try=found["first_try"],
        next_try=found["next_try"],
        code=found["code"],
        text=found["text"],
        evidence=json.loads(found["evidence"]) if found["evidence"] else {},
        updated=found["updated"],
        waited=found["waited"],
        outages=found["outages"],
        outcome_unknown=bool(found["outcome_unknown"]),
        last_try=found["last_try"],
        commands=tuple(found["commands"].split()),
    )
