"""Keyrings of tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from router.contracts import Clock, SystemClock
from router.sealing.keyring import Keyring
from router.sealing.master import Masters, OwnMaster

OLD, NEW, OTHER = (OwnMaster(bytes([number]) * 32) for number in (1, 2, 3))


class Moved:
    """A clock that the test moves."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def masters(writes: OwnMaster, *reads: OwnMaster) -> Callable[[], Masters]:
    return lambda: Masters(writes, {one.id: one for one in (writes, *reads)})


def ring(where: Path | str, which: Callable[[], Masters] | None = None, clock: Clock | None = None) -> Keyring:
    """where: a folder for an SQLite file, or the URL of a database."""
    url = where if isinstance(where, str) else f"sqlite:///{where / 'keyring.db'}"
    return Keyring(url, which or masters(OLD), clock or SystemClock())
