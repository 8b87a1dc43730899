"""The register's tables.

Every identity is a pseudonym. `register_departure` and `register_work` survive a rebuild; the others are derived
from the ADT topic alone.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

VERSION: Final = 3

METADATA: Final = sa.MetaData()
_PSEUDONYM = sa.String(32)

PATIENT: Final = sa.Table(
    "register_patient",
    METADATA,
    sa.Column("id", _PSEUDONYM, primary_key=True),
    sa.Column("ins", _PSEUDONYM, nullable=False, default=""),
    sa.Column("qualified", sa.Boolean, nullable=True),
    sa.Column("status", sa.String(200), nullable=False, default=""),
    sa.Column("opposition", sa.String(3), nullable=False, default=""),
    sa.Column("opposition_at", sa.String(32), nullable=False, default=""),
    sa.Column("consent", sa.String(3), nullable=False, default=""),
    sa.Column("consent_at", sa.String(32), nullable=False, default=""),
    sa.Column("dmp", sa.String(10), nullable=False, default=""),
    sa.Column("merged_into", _PSEUDONYM, nullable=False, default="", index=True),
    sa.Column("last_event", sa.String(3), nullable=False, default=""),
    sa.Column("recorded", sa.String(32), nullable=False, default=""),
    sa.Column("topic", sa.String(249), nullable=False, default=""),
    sa.Column("partition", sa.Integer, nullable=False, default=-1),
    sa.Column("offset", sa.BigInteger, nullable=False, default=-1),
    sa.Column("since", sa.Float, nullable=False, default=0.0),
    sa.Column("updated", sa.Float, nullable=False, default=0.0),
)

#: An IPP or INS that names a patient. `retired`: the event after which it no longer does, "" while it does.
ALIAS: Final = sa.Table(
    "register_alias",
    METADATA,
    sa.Column("alias", _PSEUDONYM, primary_key=True),
    sa.Column("patient", _PSEUDONYM, primary_key=True, index=True),
    sa.Column("kind", sa.String(3), nullable=False),
    sa.Column("retired", sa.String(64), nullable=False, default=""),
    sa.Column("retired_by", sa.String(3), nullable=False, default=""),
)

#: Events already applied.
EVENT: Final = sa.Table(
    "register_event",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

#: What has left, under which identifiers.
DEPARTURE: Final = sa.Table(
    "register_departure",
    METADATA,
    sa.Column("alias", _PSEUDONYM, primary_key=True),
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("document", sa.String(160), nullable=False),
    sa.Column("sink", sa.String(64), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

#: What somebody must look at.
WORK: Final = sa.Table(
    "register_work",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("alias", _PSEUDONYM, nullable=False, index=True),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(3), nullable=False),
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("document", sa.String(160), nullable=False),
    sa.Column("sink", sa.String(64), nullable=False),
    sa.Column("left", sa.Float, nullable=False),
    sa.Column("opened", sa.Float, nullable=False),
    sa.Column("closed", sa.Float, nullable=False, default=0.0),
    sa.Column("closed_by", sa.String(64), nullable=False, default=""),
    sa.Column("outcome", sa.String(200), nullable=False, default=""),
    sa.Column("structure", sa.String(9)),
)
"""`structure`: FINESS, "" for none; NULL until somebody asks for the list, who looks it up (`Register.own`)."""
IS_OPEN: Final = WORK.c.closed == sa.literal_column("0.0")
OPEN_WORK: Final = sa.Index(
    "register_work_open",
    *(WORK.c.structure, WORK.c.left, WORK.c.document, WORK.c.id),
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)

#: A patient in one unit. `began_by`, `ended_by`: the ADT events that said so, "" where none did.
STAY: Final = sa.Table(
    "register_stay",
    METADATA,
    sa.Column("visit", _PSEUDONYM, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("patient", _PSEUDONYM, nullable=False, index=True),
    sa.Column("feed", sa.String(64), nullable=False),
    sa.Column("unit", sa.String(80), nullable=False),
    sa.Column("kind", sa.String(3), nullable=False),
    sa.Column("begin", sa.String(32), nullable=False, index=True),
    sa.Column("began_by", sa.String(3), nullable=False),
    sa.Column("end", sa.String(32), nullable=False),
    sa.Column("ended_by", sa.String(3), nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("updated", sa.Float, nullable=False, index=True),
)

#: Rebuilt by replaying the ADT topic.
DERIVED: Final = (PATIENT, ALIAS, EVENT, STAY)
