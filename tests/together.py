"""How the processes of one session share a machine: who runs alone, and which file is begun first."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol, TypeVar

from pytest import Mark

ALONE: Final = "alone"
LONG: Final = ("slow", "integration")
"""Markers of tests that take long, the longest first."""


class Test(Protocol):
    """What is asked of an item of pytest."""

    path: Path

    def iter_markers(self) -> Iterator[Mark]: ...


_Test = TypeVar("_Test", bound=Test)


class Room:
    """Where tests run, of all processes of one session: one test that is alone, or any number of others.

    A process that is alone stays so for its next test that wants it: it waits once for a file, not for each test.
    """

    def __init__(self, door: Path, room: Path) -> None:
        """door, room: any two files that every process finds; their locks are taken, nothing is written."""
        self._door, self._room = door, room
        self._alone: contextlib.ExitStack | None = None

    @contextlib.contextmanager
    def entered(self, *, alone: bool, then: bool) -> Iterator[None]:
        """Wait for the others where that is needed. alone, then: whether this test, and the next one, want that."""
        held, self._alone = self._alone or self._wait(alone), None
        with held:
            yield
            if alone and then:
                self._alone = held.pop_all()

    def _wait(self, alone: bool) -> contextlib.ExitStack:
        with contextlib.ExitStack() as held:
            door, room = (held.enter_context(file.open()) for file in (self._door, self._room))
            fcntl.flock(door, fcntl.LOCK_EX)  # who waits for the room keeps the door: the others can't go before
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            return held.pop_all()


def long_files_first(tests: Iterable[_Test]) -> list[_Test]:
    """The same tests, file by file, in an order in which processes that take the next file end at about one time.

    Files with a test that is alone come first: nobody is in the middle of another test then. The many short files
    come last, the largest of them first. Within a file nothing changes.
    """
    files = [list(found) for _, found in groupby(tests, key=lambda one: one.path)]
    return [one for found in sorted(files, key=_turn) for one in found]


def _turn(tests: Sequence[Test]) -> tuple[int, ...]:
    """What files are sorted by: how many tests are alone, how many are long, how many there are, the most first."""
    marks = [{mark.name for mark in one.iter_markers()} for one in tests]
    return (*(-sum(name in found for found in marks) for name in (ALONE, *LONG)), -len(tests))
