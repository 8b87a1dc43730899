"""A watched folder in which somebody lays what is no message: that entry's problem only, and no way to our files."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.errors import Unavailable
from router.exchange import Origin
from router.gateway.folder import WatchedFolder
from router.gateway.settings import FolderConfig
from router.hl7 import layout
from tests.gateway.gateway_parts import MemoryBus, eventually, hl7, make_intake, relay
from tests.gateway.test_gateway_odd import cda_feed

SECRET = b"-----BEGIN PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def play(
    path: Path, *, cda: bool = False, looks: int = 2, **settings: object
) -> tuple[MemoryBus, list[Mapping[str, str]]]:
    """Look so often; what was written and what was told."""
    bus = MemoryBus()
    told: list[Mapping[str, str]] = []

    async def story() -> None:
        intake = make_intake(bus)
        intake.complaints.alert = lambda what, facts: told.append({"what": what, **facts})
        intake.start()
        config = FolderConfig.model_validate({"path": path, "settle": 0, **settings})
        folder = WatchedFolder(config, cda_feed() if cda else relay(), intake)
        await asyncio.to_thread(folder._prepare)
        for _ in range(looks):
            await folder.look()
        await intake.close(2)

    asyncio.run(asyncio.wait_for(story(), 20))
    return bus, told


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}


def lay(path: Path, kind: str) -> None:
    """Lay one hostile entry."""
    if kind == "FOLDER-KIND":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "FOLDER-LINK":
        path.symlink_to(path.parent.parent / "secret")
    else:
        os.link(path.parent.parent / "secret", path)


@pytest.mark.parametrize("kind", ["FOLDER-KIND", "directory", "FOLDER-LINK", "FOLDER-LINKS"])
def test_what_is_no_file_of_its_own_stops_no_other(tmp_path: Path, kind: str) -> None:
    """A pipe, a directory, a link under a message's name: left, told once without its name, the others taken."""
    (tmp_path / "secret").write_bytes(SECRET)
    place = tmp_path / "in"
    place.mkdir()
    lay(place / "DUPONT.hl7", kind)
    (place / "z.hl7").write_bytes(hl7("1"))
    bus, told = play(place)
    assert len(bus.of("in.sil")) == 1 and bus.of("dlq.intake") == []
    assert [(one["what"], one["code"]) for one in told] == [("file-left", kind.replace("directory", "FOLDER-KIND"))]
    assert "DUPONT" not in str(told) and str(os.lstat(place / "DUPONT.hl7").st_ino) in told[0]["place"]
    assert (tmp_path / "secret").read_bytes() == SECRET


@pytest.mark.parametrize("kind", ["FOLDER-KIND", "FOLDER-LINK", "FOLDER-LINKS"])
def test_headers_that_are_a_link_are_never_copied(tmp_path: Path, kind: str) -> None:
    """`x.xml.headers` -> a private key: the document stays, nothing of the key is anywhere, it is told."""
    (tmp_path / "secret").write_bytes(SECRET)
    place = tmp_path / "in"
    place.mkdir()
    (place / "x.xml").write_bytes(b"<ClinicalDocument/>")
    lay(place / "x.xml.headers", kind)
    (place / "y.xml").write_bytes(b"<ClinicalDocument/>")
    bus, told = play(place, cda=True)
    assert [one["code"] for one in told] == ["FOLDER-HEADERS"] and (place / "x.xml").exists()
    for folder in ("done", "refused"):
        assert all(SECRET not in one.read_bytes() for one in (place / folder).iterdir())
    assert all(SECRET not in one.value for topic in bus.topics.values() for one in topic)
    assert (place / "done/y.xml").exists()


def test_a_file_that_we_may_not_read_is_told_and_taken_once_we_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreadable: that file's problem; readable again, it is taken."""
    (tmp_path / "a.hl7").write_bytes(hl7("1"))
    (tmp_path / "b.hl7").write_bytes(hl7("2"))
    real = os.open

    def refusing(path: object, *rest: object, **named: object) -> int:
        if path == "a.hl7":
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        bus, told = play(tmp_path)
    assert [one["code"] for one in told] == ["FOLDER-DENIED"] and len(bus.of("in.sil")) == 1
    assert play(tmp_path)[1] == [] and not (tmp_path / "a.hl7").exists()


@pytest.mark.parametrize("name", ["x" * 250 + ".hl7", "é" * 120 + ".hl7"])
def test_a_very_long_name_is_answered_under_a_shorter_one(tmp_path: Path, name: str) -> None:
    """A name to which `.ack` can't be added: taken, answered and moved, and so are the others, twice over."""
    for number in range(2):
        (tmp_path / name).write_bytes(hl7(f"long{number}"))
        (tmp_path / "z.hl7").write_bytes(hl7(f"short{number}"))
        bus, told = play(tmp_path)
        assert len(bus.of("in.sil")) == 2 and told == []
    moved = sorted(one.name for one in (tmp_path / "done").iterdir() if one.name[0] != "z")
    assert len(moved) == 4 and all(len(os.fsencode(one)) <= 255 for one in moved)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == []


def test_a_long_name_of_a_cda_keeps_its_request(tmp_path: Path) -> None:
    """Document and headers are moved under one shortened name."""
    name = "y" * 240 + ".xml"
    (tmp_path / name).write_bytes(b"<ClinicalDocument/>")
    (tmp_path / f"{name}.headers").write_bytes(b"dmp: N\n")
    play(tmp_path, cda=True)
    assert sorted(one.suffix for one in (tmp_path / "done").iterdir()) == [".ack", ".headers", ".xml"]


def test_a_name_that_is_no_text_stops_nothing(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in the name of a raw CDA: it has its answer, and so do the others."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.xml")).write_bytes(b"<ClinicalDocument/>")
    (tmp_path / "z.xml").write_bytes(b"<ClinicalDocument>2</ClinicalDocument>")
    bus, told = play(tmp_path, cda=True)
    assert len(bus.of("in.sil")) == 2 and told == []


def test_a_bug_in_one_file_is_its_own_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks in our code on one file is told as a bug, and the next file is taken."""
    (tmp_path / "a.hl7").write_bytes(hl7("broken"))
    (tmp_path / "b.hl7").write_bytes(hl7("2"))
    cut = layout.messages

    def breaking(data: bytes) -> Iterator[bytes]:
        if b"broken" in data:
            raise ZeroDivisionError
        return cut(data)

    monkeypatch.setattr(layout, "messages", breaking)
    bus, told = play(tmp_path)
    assert [one["code"] for one in told] == ["BUG-ZeroDivisionError"] and len(bus.of("in.sil")) == 1


def test_done_that_leads_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    """`done` replaced by a link: nothing is written behind it."""
    place, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    (place / "a.hl7").write_bytes(hl7("1"))
    (place / "refused").mkdir()
    (place / "done").symlink_to(elsewhere)
    with pytest.raises(Exception, match="FOLDER"):
        play(place)
    assert list(elsewhere.iterdir()) == [] and (place / "a.hl7").exists()


@pytest.mark.parametrize(("readable_by", "file", "folder"), [("owner", 0o600, 0o700), ("group", 0o640, 0o750)])
def test_what_we_write_is_private(tmp_path: Path, readable_by: str, file: int, folder: int) -> None:
    """Under umask 022: answers, headers and moved documents are 0600 in folders 0700, or the group's if so wished."""
    (tmp_path / "a.xml").write_bytes(b"<ClinicalDocument/>")
    (tmp_path / "a.xml.headers").write_bytes(b"dmp: N\n")
    (tmp_path / "b.hl7").write_bytes(b"hello")
    play(tmp_path, cda=True, readable_by=readable_by)
    assert modes(tmp_path / "done") | modes(tmp_path / "refused") == {file}
    assert {stat.S_IMODE((tmp_path / one).stat().st_mode) for one in ("done", "refused")} == {folder}


@pytest.mark.parametrize("kept", ["done", "refused"])
def test_done_swapped_for_a_link_while_a_file_is_in_hand_leads_nowhere(tmp_path: Path, kept: str) -> None:
    """`done` or `refused` becomes a link between the look and the move: no document and no answer goes behind it."""
    place, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    (place / "a.hl7").write_bytes(hl7("1") if kept == "done" else b"hello")

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        intake.start()
        folder = WatchedFolder(FolderConfig(path=place, settle=0), relay(), intake)
        await asyncio.to_thread(folder._prepare)
        bus.gate.clear()
        looking = asyncio.create_task(folder.look())
        await eventually(lambda: bool(intake._unanswered))
        (place / kept).rename(place / "away")
        (place / kept).symlink_to(elsewhere)
        bus.gate.set()
        await looking
        assert list(elsewhere.iterdir()) == [] and (place / "a.hl7").exists()
        (place / kept).unlink()
        folder._later.clear()
        await folder.look()
        await intake.close(2)
        assert sorted(one.name for one in (place / kept).iterdir()) == ["a.hl7", "a.hl7.ack"]

    asyncio.run(asyncio.wait_for(story(), 20))


def test_done_swapped_for_a_link_while_the_answer_goes_to_the_disk_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap comes after our folder was looked at: answer and document are in the folder that was opened."""
    place, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    (place / "a.hl7").write_bytes(hl7("1"))
    real = os.fsync

    def swapping(number: int) -> None:
        real(number)
        if (place / "done").is_dir() and not (place / "away").exists() and any((place / "done").iterdir()):
            (place / "done").rename(place / "away")
            (place / "done").symlink_to(elsewhere)

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        folder = WatchedFolder(FolderConfig(path=place, settle=0), relay(), intake)
        await asyncio.to_thread(folder._prepare)
        monkeypatch.setattr(os, "fsync", swapping)
        await folder.look()
        await intake.close(2)

    asyncio.run(asyncio.wait_for(story(), 20))
    assert list(elsewhere.iterdir()) == []
    assert sorted(one.name for one in (place / "away").iterdir()) == ["a.hl7", "a.hl7.ack"]


def test_many_refused_files_cost_the_good_one_behind_them_no_wait_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 files of rubbish before a message: their dead letters are written together, and the message is taken."""
    for number in range(200):
        (tmp_path / f"a{number:03}.hl7").write_bytes(b"rubbish %d" % number)
    (tmp_path / "z.hl7").write_bytes(hl7("1"))
    real = MemoryBus.publish

    def slow(*given: Any, **named: Any) -> Sequence[Origin]:  # as a disk that has to sync
        time.sleep(0.02)
        return real(*given, **named)

    monkeypatch.setattr(MemoryBus, "publish", slow)
    bus, told = play(tmp_path, looks=1)
    assert len(bus.of("in.sil")) == 1 and len(bus.of("dlq.intake")) == 200 and told == []
    assert len(bus.batches) < 100
    assert len(list((tmp_path / "refused").iterdir())) == 400


def test_very_many_entries_that_stay_do_not_fill_the_log(tmp_path: Path) -> None:
    """300 links: some are told each by itself, the others by their number, and the message is taken."""
    for number in range(300):
        (tmp_path / f"a{number}.hl7").symlink_to("/etc/passwd")
    (tmp_path / "z.hl7").write_bytes(hl7("1"))
    bus, told = play(tmp_path)
    assert len(bus.of("in.sil")) == 1 and len(told) == 21
    assert told[-1]["place"] == "280 more"


def test_an_outage_among_refused_files_leaves_all_and_loses_none(tmp_path: Path) -> None:
    """The bus is away: refused files stay too, and the good one behind them; later each is answered once."""
    bus = MemoryBus()
    for number in range(40):
        (tmp_path / f"a{number:03}.hl7").write_bytes(b"rubbish %d" % number)
    (tmp_path / "z.hl7").write_bytes(hl7("1"))

    async def story() -> None:
        intake = make_intake(bus)
        intake.start()
        folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0), relay(), intake)
        await asyncio.to_thread(folder._prepare)
        bus.error = Unavailable("BUS-FULL")
        assert await folder.look() == 0
        assert len(list(tmp_path.glob("*.hl7"))) == 41
        bus.error = None
        assert await folder.look() == 41
        await intake.close(2)

    asyncio.run(asyncio.wait_for(story(), 20))
    assert len(bus.of("dlq.intake")) == 40 and len(bus.of("in.sil")) == 1


def test_a_name_that_came_very_often_is_kept_apart_with_few_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One name for all, 2,000 times before: the next one gets a free name, not after 2,000 looks."""
    (tmp_path / "done").mkdir(parents=True)
    for name in ["export.hl7", *(f"export.{number}.hl7" for number in range(1, 2000))]:
        (tmp_path / "done" / name).touch()
    (tmp_path / "export.hl7").write_bytes(hl7("1"))
    asked: list[object] = []
    real = os.lstat

    def counted(*given: Any, **named: Any) -> os.stat_result:
        asked.append(given)
        return real(*given, **named)

    monkeypatch.setattr(os, "lstat", counted)
    play(tmp_path, looks=1)
    assert (tmp_path / "done/export.2000.hl7").exists() and len(asked) < 100
