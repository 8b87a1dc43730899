"""How long a name is left alone after failed logins.

An attempt is counted before its password is looked at, and uncounted when it was right: a hundred attempts at the same
moment are a hundred failures. Names that nobody has are counted too, so that waiting tells no stranger who exists.
"""

from __future__ import annotations

import hashlib
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.access.faults import too_many
from router.access.tables import FAILURE

FREE: Final = 5
"""Failures before the first wait."""
FIRST: Final = 30.0
LONGEST: Final = 900.0
"""Seconds. Not for ever: a stranger must not be able to keep the night shift out."""
FORGOTTEN: Final = 24 * 3600.0
"""Seconds without a failure after which earlier ones count no more."""


def wait(failures: int) -> float:
    """Seconds to wait after so many failures in a row: none, then 30 s, doubled with each, up to 15 minutes."""
    return 0.0 if failures < FREE else min(LONGEST, FIRST * 2.0 ** min(failures - FREE, 16))


def row_of(name: str, *, known: bool) -> str:
    """The row that counts for a name.

    Names that nobody has share 65,536 rows: the table has a bound, and what was typed is not kept (people type
    passwords into the field of the name).
    """
    return name if known else f"?{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def charge(db: Connection, row: str, now: float) -> None:
    """Count an attempt. Raises `LoginRefused` (`LOGIN-WAIT`), and counts nothing, while the name is left alone."""
    db.execute(FAILURE.delete().where(FAILURE.c.last < now - FORGOTTEN))
    found = db.execute(sa.select(FAILURE).where(FAILURE.c.name == row).with_for_update()).first()
    if found is None:
        db.execute(FAILURE.insert().values(name=row, failures=1, last=now, until=now + wait(1)))
        return
    if found.until > now:
        raise too_many(found.until - now)
    _set(db, row, found.failures + 1, now)


def give_back(db: Connection, row: str) -> None:
    """The attempt was no failure, and no success yet: a code is still asked for."""
    found = db.execute(sa.select(FAILURE).where(FAILURE.c.name == row).with_for_update()).first()
    if found is not None:
        db.execute(FAILURE.update().where(FAILURE.c.name == row).values(failures=max(0, found.failures - 1), until=0.0))


def clear(db: Connection, row: str) -> None:
    """The person is in, or an administrator says that it was she."""
    db.execute(FAILURE.delete().where(FAILURE.c.name == row))


def left_alone(db: Connection, now: float) -> dict[str, float]:
    """Row -> Unix time until which its name waits."""
    found = db.execute(sa.select(FAILURE.c.name, FAILURE.c.until).where(FAILURE.c.until > now))
    return {row.name: row.until for row in found}


def _set(db: Connection, row: str, count: int, now: float) -> None:
    values = {"failures": count, "last": now, "until": now + wait(count)}
    db.execute(FAILURE.update().where(FAILURE.c.name == row).values(**values))
