"""What the console keeps for people: how they like their pages, and their searches."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Connection, Float, Integer, MetaData, String, Table, Text

VERSION: Final = 3
METADATA: Final = MetaData()

CHOICES: Final = Table(
    "console_choices",
    METADATA,
    Column("person", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

SEARCHES: Final = Table(
    "console_searches",
    METADATA,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("by", String, nullable=False),
    Column("name", String, nullable=False),
    Column("query", Text, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("within", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""`person`: id of its owner, see `Person.id`;  `by`: her name, for others to read

`query`: of the address of the search; it holds no identity, since no address does.

`within`: the structures that its owner saw, separated by blanks; `*` for all.
"""

TYPED: Final = Table(
    "console_typed",
    METADATA,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
"""What the box of the pages did not understand, under the handle that its address shows; forgotten after a day."""

CAUSES: Final = Table(
    "console_causes",
    METADATA,
    Column("cause", String, primary_key=True),
    Column("structure", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("person", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("until", Float, nullable=False),
)
"""What people say of a cause of dead letters, for each structure: a cause has no owner, its dead letters have.

`structure`: FINESS, or `*` for all;  `until`: when it is no longer muted; 0 for other states."""

ORDERS: Final = Table(
    "console_orders",
    METADATA,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("asker", String, nullable=False),
    Column("second", String, nullable=False),
    Column("act", String, nullable=False),
    Column("again", Boolean, nullable=False),
    Column("cause", String, nullable=False),
    Column("query", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("made", Float, nullable=False, index=True),
    Column("begun", Float, nullable=False),
    Column("ended", Float, nullable=False),
    Column("tried", Boolean, nullable=False),
    Column("owner", String, nullable=False),
    Column("lease", Float, nullable=False),
)
"""A set of dead letters that was frozen by a dry run, and what a person ordered for it.

`lease`: until when the process `owner` works on it; another one takes it then. Of one that waits for a second person:
until when it may be confirmed. `person` names both then, once it runs; `asker` and `second` are their ids
(`Person.id`).
"""

ITEMS: Final = Table(
    "console_order_items",
    METADATA,
    Column("order_id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String, nullable=False),
    Column("code", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Column("structure", String, nullable=False),
    Column("dead_letter", Text, nullable=False),
)
"""One dead letter of an order, in the order of sending. `dead_letter`: JSON, without bytes; its key is a pseudonym."""

CASES: Final = Table(
    "console_cases",
    METADATA,
    Column("list", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float, nullable=False),
    Column("decided", String, nullable=False),
    Column("decided_by", String, nullable=False),
    Column("decided_at", Float, nullable=False, index=True),
    Column("structure", String, nullable=False),
    Column("name", String, nullable=False),
)
"""A case of a work-list of which somebody did something. `holder`, `until`: who has taken it, and until when;
`decided`: a key of `worklists.CHOICES`, "" while it is open. `structure`, `name`: FINESS and MSH-10 of a decided one,
which may stand in no list any more."""

CASE_LINES: Final = Table(
    "console_case_lines",
    METADATA,
    Column("list", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("person", String, nullable=False),
    Column("did", String, nullable=False),
    Column("text", Text, nullable=False),
)
"""What people did with a case, and what they noted, in order. `did`: take, give, note, decide."""


def _identified(connection: Connection) -> None:
    """What was kept under a name is nobody's from now on: the name may have been given to somebody else since.

    Shared searches stay, under the name; how people like their pages is chosen again.
    """
    connection.exec_driver_sql("ALTER TABLE console_searches ADD COLUMN \"by\" VARCHAR NOT NULL DEFAULT ''")
    connection.execute(SEARCHES.update().values(by=SEARCHES.c.person))
    connection.execute(SEARCHES.update().values(person=""))
    connection.execute(CHOICES.delete())
    connection.execute(TYPED.delete())


def _asked(connection: Connection) -> None:
    """A name does not say who asked for an order: nobody confirms what waited, and who may act there declines it."""
    for column in (ORDERS.c.asker, ORDERS.c.second):
        connection.exec_driver_sql(f"ALTER TABLE console_orders ADD COLUMN {column.name} VARCHAR NOT NULL DEFAULT ''")


MIGRATIONS: Final = {1: _identified, 2: _asked}
