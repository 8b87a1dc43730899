"""A time limit for the statements of one transaction that reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, event

_STEPS: Final = 10_000
"""Instructions of SQLite's between two looks at the clock: a millisecond or less."""


@contextmanager
def limited(connection: Connection, seconds: float | None) -> Iterator[None]:
    """Within the block a statement that runs when the time is up is cut by the database itself; None: no limit.

    The time is that of all statements together.
    """
    if seconds is None:
        yield
        return
    deadline = time.monotonic() + seconds
    if connection.dialect.name == "postgresql":
        with _each_shorter(connection, deadline):
            yield
        return
    raw: Any = connection.connection.dbapi_connection
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


@contextmanager
def _each_shorter(connection: Connection, deadline: float) -> Iterator[None]:
    """PostgreSQL counts the time of each statement: each is given what is left."""

    def shorten(_connection: Connection, cursor: Any, *_: object) -> None:
        left = max(1, int(1000 * (deadline - time.monotonic())))
        cursor.execute(f"SET LOCAL statement_timeout = {left}")

    event.listen(connection, "before_cursor_execute", shorten)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", shorten)
