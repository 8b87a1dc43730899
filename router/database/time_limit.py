"""A time limit for the statements of one transaction that reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, text

_STEPS: Final = 10_000
"""Instructions of SQLite's between two looks at the clock: a millisecond or less."""


@contextmanager
def limited(connection: Connection, seconds: float | None) -> Iterator[None]:
    """Within the block a statement that runs when the time is up is cut by the database itself; None: no limit."""
    if seconds is None:
        yield
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"))
        yield
        return
    deadline = time.monotonic() + seconds
    raw: Any = connection.connection.dbapi_connection
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
