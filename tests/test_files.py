"""Files that must stay where they are: what happens to them is noticed at the very next question."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from router.errors import OperatorFault
from router.files import BESIDE, SETTLED, KeptFiles


def replaced(path: Path) -> None:
    """As an editor or `rsync` does it: another file is renamed to its name; its folder keeps its times (`rsync -t`)."""
    times = path.parent.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.rename(path)
    os.utime(path.parent, ns=(times.st_atime_ns, times.st_mtime_ns))


def removed(path: Path) -> None:
    path.unlink()


def in_another_folder(path: Path) -> None:
    """Their folder is exchanged for a copy of it."""
    folder = path.parent
    aside = folder.rename(folder.with_name("aside"))
    folder.mkdir()
    for one in aside.iterdir():
        (folder / one.name).write_bytes(one.read_bytes())


class World:
    """A database's files in a folder, reached as `reached` says, and a clock that the test moves."""

    def __init__(self, folder: Path, *, linked: bool = False) -> None:
        self.real = folder / "data"
        self.real.mkdir()
        self.path = self.real / "bus.db"
        for end in ("", *BESIDE):
            Path(f"{self.path}{end}").write_bytes(b"x")
        reached = self.path
        if linked:
            (folder / "links").mkdir()
            for end in ("", *BESIDE):
                reached = folder / "links" / "bus.db"
                Path(f"{reached}{end}").symlink_to(f"{self.path}{end}")
        self.now = 100.0
        self.kept = KeptFiles("BUS", lambda: self.now)
        self.kept.note(reached)

    def settle(self) -> None:
        """So long that the folder alone is asked."""
        for _ in range(4):
            self.kept.verify()
            self.now += SETTLED * 0.6
        self.kept.verify()
        self.now += SETTLED * 0.3


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("strike", [removed, replaced, in_another_folder])
def test_what_happens_to_a_file_is_noticed_at_once(
    tmp_path: Path, strike: Callable[[Path], None], long: bool, linked: bool
) -> None:
    """Just after the start and after a long quiet, for each file of the database, also behind symbolic links."""
    world = World(tmp_path, linked=linked)
    world.settle() if long else world.kept.verify()
    strike(world.path)
    for _ in range(2):
        with pytest.raises(OperatorFault, match="BUS-REPLACED"):
            world.kept.verify()
        world.now += 10


def test_the_same_file_put_back_is_believed(tmp_path: Path) -> None:
    """Moved away it is missed, moved back it is the same; and its log is missed as the database is."""
    world = World(tmp_path)
    world.settle()
    for end in ("", *BESIDE):
        file, away = Path(f"{world.path}{end}"), tmp_path / "away"
        file.rename(away)
        with pytest.raises(OperatorFault, match="BUS-REPLACED"):
            world.kept.verify()
        away.rename(file)
        world.kept.verify()
        world.settle()


def test_what_no_folder_tells_is_noticed_within_a_second(tmp_path: Path) -> None:
    """A link in the middle of several is turned to another file: neither its first folder nor its last one changes."""
    world = World(tmp_path)
    for name, target in (("middle", world.path), ("first", tmp_path / "middle" / "bus.db")):
        (tmp_path / name).mkdir()
        for end in ("", *BESIDE):
            (tmp_path / name / f"bus.db{end}").symlink_to(f"{target}{end}")
    world.kept.note(tmp_path / "first" / "bus.db")
    world.settle()
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "middle" / "bus.db").unlink()
    (tmp_path / "middle" / "bus.db").symlink_to(tmp_path / "other")
    world.now += SETTLED
    with pytest.raises(OperatorFault, match="BUS-REPLACED"):
        world.kept.verify()
