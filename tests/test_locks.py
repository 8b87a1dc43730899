"""The turn to write: whoever waits for it gets it at once, and in the end also when nobody said that it is free."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from router import locks
from router.locks import TurnLock


def waited(turn: TurnLock, let_go: Callable[[], None]) -> float:
    """Seconds between `let_go` and the moment when one who waited has the turn."""
    taken = threading.Event()

    def wait() -> None:
        assert turn.take(10)
        taken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    assert not taken.is_set()
    let_go()
    begun = time.monotonic()
    thread.join()
    turn.release()
    return time.monotonic() - begun


def test_a_turn_goes_on_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is woken by who lets go, long before it would look by itself."""
    monkeypatch.setattr(locks, "_LOOK_SECONDS", 8.0)
    first, second = TurnLock(tmp_path / "lock"), TurnLock(tmp_path / "lock")
    assert first.take(0)
    assert waited(second, first.release) < 4


def test_a_turn_of_one_who_died_is_found(tmp_path: Path) -> None:
    """A holder that ends without a word is noticed all the same."""
    first, second = TurnLock(tmp_path / "lock"), TurnLock(tmp_path / "lock")
    assert first.take(0)
    assert waited(second, lambda: os.close(first._file)) < 4
    first._file = -1


def test_without_room_for_its_page_a_turn_is_waited_for_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nobody can be woken; who waits looks."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    first, second = TurnLock(tmp_path / "lock"), TurnLock(tmp_path / "lock")
    assert first.take(0)
    assert not second.take(0.01)
    assert waited(second, first.release) < 4
