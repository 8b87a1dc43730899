"""What the roles of one process share: the stage's bytes among sinks, and the upkeep beside the journal."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from router.contracts import SystemClock, Unobserved
from router.errors import Unavailable
from router.runtime import upkeep
from router.runtime.roles.sinks import share_of
from router.runtime.upkeep import Upkeep

MIB = 1 << 20


@pytest.mark.parametrize(("sinks", "each"), [(0, 64), (1, 64), (2, 32), (16, 4), (40, 4)])
def test_sinks_share_the_bytes_of_their_stage(sinks: int, each: int) -> None:
    """However many they are, no sink gets less than 4 MB."""
    assert share_of(64 * MIB, sinks) == each * MIB


def house(**bus: Any) -> Any:
    return SimpleNamespace(
        bus=SimpleNamespace(lag=lambda _: {}, **bus),
        config=SimpleNamespace(sinks={}),
        clock=SystemClock(),
        observer=Unobserved(),
    )


def test_the_log_of_the_embedded_bus_is_copied_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again after a failure, and no more once stopped."""
    monkeypatch.setattr(upkeep, "CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "GAUGE_SECONDS", 0.01)
    often, count = threading.Event(), 0

    def checkpoint() -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise Unavailable("BUS-LOCKED")
        if count == 5:
            often.set()

    running = Upkeep(house(checkpoint=checkpoint))
    running.start()
    assert often.wait(20)
    running.stop()
    seen = count
    assert not threading.Event().wait(0.1)
    assert count == seen


def test_a_bus_that_copies_nothing_needs_no_thread_for_it() -> None:
    running = Upkeep(house())
    running.start()
    assert "checkpoints" not in {thread.name for thread in threading.enumerate()}
    running.stop()
