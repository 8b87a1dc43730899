"""How the processes of the suite share a machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.together import Room, long_files_first


@pytest.fixture
def rooms(tmp_path: Path) -> list[Room]:
    """The room as three processes see it."""
    door, room = tmp_path / "door", tmp_path / "room"
    door.touch()
    room.touch()
    return [Room(door, room) for _ in range(3)]


def enters(room: Room, *, alone: bool) -> tuple[threading.Thread, threading.Event]:
    """A test of another process, begun; the event is set once it runs."""
    runs = threading.Event()

    def run() -> None:
        with room.entered(alone=alone, then=False):
            runs.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, runs


def test_tests_that_want_nothing_run_at_once(rooms: list[Room]) -> None:
    """Two processes, each in the middle of a test."""
    with rooms[0].entered(alone=False, then=False):
        thread, runs = enters(rooms[1], alone=False)
        assert runs.wait(10)
        thread.join(10)


@pytest.mark.parametrize("first", [True, False])
def test_a_test_that_is_alone_runs_beside_no_other(rooms: list[Room], first: bool) -> None:
    """It waits for the other, and the other waits for it."""
    with rooms[0].entered(alone=first, then=False):
        thread, runs = enters(rooms[1], alone=not first)
        assert not runs.wait(0.05)
    assert runs.wait(10)
    thread.join(10)


def test_a_file_of_tests_that_are_alone_waits_once(rooms: list[Room]) -> None:
    """Between two of them nobody else comes in; after the last one everybody does."""
    with rooms[0].entered(alone=True, then=True):
        waiting = [enters(one, alone=False) for one in rooms[1:]]
    with rooms[0].entered(alone=True, then=True):
        assert not any(runs.wait(0.05) for _, runs in waiting)
    with rooms[0].entered(alone=True, then=False):
        assert not any(runs.is_set() for _, runs in waiting)
    for thread, runs in waiting:
        assert runs.wait(10)
        thread.join(10)


def test_a_test_that_fails_leaves_the_room(rooms: list[Room]) -> None:
    """An error ends a turn: also that of a test that is alone and whose successor is not."""
    with pytest.raises(LookupError), rooms[0].entered(alone=True, then=True):
        raise LookupError
    thread, runs = enters(rooms[1], alone=True)
    assert runs.wait(10)
    thread.join(10)


@dataclass
class Written:
    """A test with these markers."""

    path: Path
    markers: str = ""

    def iter_markers(self) -> Iterator[pytest.Mark]:
        return (getattr(pytest.mark, name).mark for name in self.markers.split())


def test_files_that_take_long_are_begun_first() -> None:
    """Those that are alone, the slow ones, those with servers, then the others by their number of tests."""
    tests = {"few": ["", ""], "many": [""] * 3, "served": ["integration"], "slow": ["", "slow"]}
    tests |= {"both": ["slow integration"], "alone": ["", "alone"]}
    given = [Written(Path(name), markers) for name, marked in tests.items() for markers in marked]
    found = [f"{one.path} {one.markers}".strip() for one in long_files_first(given)]
    assert found == [
        "alone", "alone alone", "both slow integration", "slow", "slow slow", "served integration", *["many"] * 3,
        "few", "few",
    ]  # fmt: skip
