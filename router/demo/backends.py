"""What stands below the demo: the embedded bus, or a real broker and a real database started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def backend(name: str) -> Iterator[dict[str, Any] | None]:
    """Keys to put in the demo's site file; None for the embedded bus."""
    if name == "sqlite":
        yield None
        return
    from router.demo.services import kafka_and_postgresql

    with kafka_and_postgresql() as keys:
        yield keys
