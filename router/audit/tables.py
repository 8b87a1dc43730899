"""The audit's tables: the rows of the chain, and a few marks on it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, MetaData, String, Table, Text

VERSION: Final = 1
METADATA: Final = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, String, nullable=False, default="")


#: `number`: 1, 2, 3… without gaps;  `mac`: keyed digest of the row before and of this one.
ROWS: Final = Table(
    "audit_rows",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False, index=True),
    *(_text(name) for name in ("who", "action", "role", "kind", "object", "structure")),
    Column("reason", Text, nullable=False, default=""),
    _text("source"),
    Column("refused", Boolean, nullable=False, default=False),
    Column("detail", Text, nullable=False, default=""),
    Column("mac", String(64), nullable=False),
    Index("audit_rows_who", "who", "number"),
    Index("audit_rows_action", "action", "number"),
    Index("audit_rows_object", "object", "number"),
    Index("audit_rows_structure", "structure", "number"),
)

MARKS: Final = Table(
    "audit_marks",
    METADATA,
    Column("name", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("mac", String(64), nullable=False),
    Column("seal", String(64), nullable=False, default=""),
)
"""`head`: the last row;  `begin`: the last row that was purged, sealed;  `key`: which key the chain was made with;
`collected`: the last row that the collector has, sealed (`sent`: of older versions)
`settled`: the row by which the table was last taken as it is, sealed."""
