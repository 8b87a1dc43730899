"""Connections of the driver's own: on the hot path SQLAlchemy's share of a statement is larger than the statement's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine


class RawDriver:
    """A few bare connections of an engine, in autocommit. Any thread.

    Each serves one thread at a time, and after any error none of the idle ones is used again.
    driver: the DB-API module, for its exceptions
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[Any] = []
        self.driver: Any = engine.dialect.loaded_dbapi

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection for as long as the block; closed, so that nothing stays begun, when the block raises."""
        raw = self._pop() or self._connect()
        try:
            yield raw
        except BaseException:
            raw.close()
            self.close()
            raise
        self._idle.append(raw)

    def close(self) -> None:
        """Close what nobody uses now."""
        while (raw := self._pop()) is not None:
            raw.close()

    def _pop(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> Any:
        pooled = self._engine.raw_connection()
        raw: Any = pooled.dbapi_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            raw.autocommit = True
            # The server keeps plans: one made while a table was empty would read all of it when it is large.
            raw.execute("SET enable_seqscan = off")
        return raw
