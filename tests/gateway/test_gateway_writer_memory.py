"""A message that could not be written leaves memory at once, however long the bus is away."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from router.contracts import Outgoing
from router.errors import Unavailable
from router.gateway.writer import BatchWriter, Item, KnownIds


class _Nothing:
    """A ledger that knows no message."""

    def acks(self, ids: Any) -> dict[str, bytes]:
        return {}


class _Away:
    """A bus whose server does not answer: its producer's frames hold the records while it fails."""

    def producer(self, name: str) -> _Away:
        return self

    def publish(self, records: Any, *, settle: Any = None) -> Any:
        held = list(records)
        try:
            raise TimeoutError(len(held))
        except TimeoutError as error:
            raise Unavailable("BUS-AWAY", "", "the bus is away") from error

    def close(self) -> None:
        return


@pytest.fixture
def no_collector() -> Any:
    """Cycles stay: what is freed is freed by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_refused_message_is_freed_at_once(no_collector: None) -> None:
    """Nothing but the caller holds its bytes once the item is gone: no traceback, no cycle."""
    body = b"x" * 10_000
    writer = BatchWriter(_Away(), KnownIds(_Nothing()), "test")  # type: ignore[arg-type]
    before = sys.getrefcount(body)
    items = [Item("event", [Outgoing("in.f", "k", body)])]
    writer.write(items)
    assert isinstance(items[0].error, Unavailable)
    items.clear()
    assert sys.getrefcount(body) == before
