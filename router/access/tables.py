"""The tables of who may do what: accounts, failed logins, sessions, tokens of programs.

No password, no session token and no API token stands here: argon2id hashes, and SHA-256 of random values of 256 bits.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

VERSION: Final = 2

METADATA: Final = sa.MetaData()
_DIGEST = sa.String(64)
_NAME = sa.String(64)

ACCOUNT: Final = sa.Table(
    "access_account",
    METADATA,
    sa.Column("name", _NAME, primary_key=True),
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
    sa.Column("name", _NAME, nullable=False, index=True),
    sa.Column("shown", sa.String(120), nullable=False, default=""),
    sa.Column("local", sa.Boolean, nullable=False),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("begun", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("ends", sa.Float, nullable=False, index=True),
    sa.Column("data", sa.Text, nullable=False),
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
    sa.Column("created_by", _NAME, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("revoked", sa.Float, nullable=False, default=0.0),
    sa.Column("last_used", sa.Float, nullable=False, default=0.0),
)


def _wider(connection: sa.Connection) -> None:
    """Room for a key that is sealed. SQLite asks for no room."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ALTER TABLE access_account ALTER COLUMN totp TYPE VARCHAR(400)"))


MIGRATIONS: Final = {1: _wider}
