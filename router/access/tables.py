"""The tables of who may do what: accounts, failed logins, sessions, tokens of programs.

No password, no session token and no API token stands here: argon2id hashes, and SHA-256 of random values of 256 bits.
"""

from __future__ import annotations

import secrets
from typing import Final

import sqlalchemy as sa

VERSION: Final = 4

METADATA: Final = sa.MetaData()
_DIGEST = sa.String(64)
_NAME = sa.String(64)
_ID = sa.String(64)
"""Of a person or a token, as in `Person.id`."""
_SHOWN_NAME = sa.String(120)
"""With what tells it from the same name of another kind: `token:robot:1a2b3c4d`."""

ACCOUNT: Final = sa.Table(
    "access_account",
    METADATA,
    sa.Column("name", _NAME, primary_key=True),
    #: Never given again, while a name may be.
    sa.Column("id", _ID, nullable=False),
    sa.Column("shown", sa.String(120), nullable=False, default=""),
    sa.Column("password", sa.String(200), nullable=False),
    sa.Column("rights", sa.Text, nullable=False),
    #: Key of the second factor, "" for none: Base32, or sealed (`totp_keys`).
    #: `totp_step`: the last 30 s step whose code was used.
    sa.Column("totp", sa.String(400), nullable=False, default=""),
    sa.Column("totp_step", sa.BigInteger, nullable=False, default=0),
    sa.Column("locked", sa.Boolean, nullable=False, default=False),
    #: Made by the demo, with a password that everybody can read there: refused in production.
    sa.Column("demo", sa.Boolean, nullable=False, default=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
    sa.Column("last_login", sa.Float, nullable=False, default=0.0),
    sa.Index("access_account_id", "id", unique=True),
)

#: People of the identity provider, with the rights of their last login: what their tokens may.
PROVIDED: Final = sa.Table(
    "access_provided",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("name", _SHOWN_NAME, nullable=False),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("last_login", sa.Float, nullable=False),
)

#: Failed logins, by account; of names that nobody has, by one of a fixed number of rows (`lockout.row_of`).
FAILURE: Final = sa.Table(
    "access_failure",
    METADATA,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
)

#: `local`: rights are read in the account each time; else `rights` are those that the identity provider gave.
SESSION: Final = sa.Table(
    "access_session",
    METADATA,
    sa.Column("digest", _DIGEST, primary_key=True),
    sa.Column("id", sa.String(16), nullable=False, unique=True),
    sa.Column("person", _ID, nullable=False),
    sa.Column("name", _SHOWN_NAME, nullable=False, index=True),
    sa.Column("shown", sa.String(120), nullable=False, default=""),
    sa.Column("local", sa.Boolean, nullable=False),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("begun", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("ends", sa.Float, nullable=False, index=True),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("access_session_person", "person"),
)

TOKEN: Final = sa.Table(
    "access_token",
    METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("digest", _DIGEST, nullable=False, unique=True),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("feeds", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("created_by", _SHOWN_NAME, nullable=False),
    #: Id of the person or the token that made it, "" for the command line;  `within`: FINESS of its feeds then.
    sa.Column("maker", _ID, nullable=False, default=""),
    sa.Column("within", sa.Text, nullable=False, default="[]"),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("revoked", sa.Float, nullable=False, default=0.0),
    sa.Column("last_used", sa.Float, nullable=False, default=0.0),
)

#: What people ordered alone within the last hour: see `ordered`. `person`: id of who ordered.
ORDERED: Final = sa.Table(
    "access_ordered",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("person", _ID, nullable=False),
    sa.Column("act", sa.String(16), nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)


def _wider(connection: sa.Connection) -> None:
    """Room for a key that is sealed. SQLite asks for no room."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ALTER TABLE access_account ALTER COLUMN totp TYPE VARCHAR(400)"))


def _identified(connection: sa.Connection) -> None:
    """Ids in the place of names. Sessions end: a name does not say whose they are. Tokens are the machine's."""
    say = connection.exec_driver_sql
    PROVIDED.create(connection)
    say("ALTER TABLE access_account ADD COLUMN id VARCHAR(64) NOT NULL DEFAULT ''")
    for (name,) in connection.execute(sa.select(ACCOUNT.c.name)).all():
        connection.execute(ACCOUNT.update().where(ACCOUNT.c.name == name).values(id=new_id()))
    say("CREATE UNIQUE INDEX access_account_id ON access_account (id)")
    say("DELETE FROM access_session")
    say("ALTER TABLE access_session ADD COLUMN person VARCHAR(64) NOT NULL DEFAULT ''")
    say("CREATE INDEX access_session_person ON access_session (person)")
    say("ALTER TABLE access_token ADD COLUMN maker VARCHAR(64) NOT NULL DEFAULT ''")
    say("ALTER TABLE access_token ADD COLUMN within TEXT NOT NULL DEFAULT '[]'")
    if connection.dialect.name == "postgresql":
        say("ALTER TABLE access_session ALTER COLUMN name TYPE VARCHAR(120)")
        say("ALTER TABLE access_token ALTER COLUMN created_by TYPE VARCHAR(120)")


def _counted(connection: sa.Connection) -> None:
    """What was ordered before this version is not counted: it is an hour old soon."""
    ORDERED.create(connection)


def new_id() -> str:
    """Of a local account that is made now."""
    return f"account:{secrets.token_hex(12)}"


MIGRATIONS: Final = {1: _wider, 2: _identified, 3: _counted}
