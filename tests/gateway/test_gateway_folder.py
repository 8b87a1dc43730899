"""The watched folder: complete files only, answers beside them, nothing twice after a crash."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from router.errors import OperatorFault, Unavailable
from router.gateway.folder import WatchedFolder
from router.gateway.received import Feed, FeedVerdict, Received
from router.gateway.settings import FolderConfig
from router.hl7.message import Message
from router.payload import unpack_request
from tests.gateway.gateway_parts import MemoryBus, eventually, hl7, make_intake, relay


def anything(received: Received, message: Message | None, /) -> FeedVerdict:
    return FeedVerdict(key="k")


def play(path: Path, bus: Any, looks: int = 1, feed: Feed | None = None, **settings: Any) -> None:
    """Look so many times into a folder where nothing needs to settle."""

    async def story() -> None:
        intake = make_intake(bus)
        intake.start()
        config = FolderConfig(**{"path": path, "settle": 0, **settings})
        folder = WatchedFolder(config, feed or relay(), intake)
        await asyncio.to_thread(folder._prepare)
        for _ in range(looks):
            await folder.look()
        await intake.close(2)

    asyncio.run(asyncio.wait_for(story(), 20))


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_files_are_answered_and_moved(tmp_path: Path) -> None:
    """Accepted files go to done, refused ones to refused, each with its ACK; others are left alone."""
    bus = MemoryBus()
    (tmp_path / "a.hl7").write_bytes(hl7("1"))
    (tmp_path / "b.er7").write_bytes(b"hello")
    (tmp_path / "c.tmp").write_bytes(hl7("2"))
    play(tmp_path, bus)
    assert names(tmp_path) == ["c.tmp", "done", "refused"]
    assert names(tmp_path / "done") == ["a.hl7", "a.hl7.ack"] and names(tmp_path / "refused") == ["b.er7", "b.er7.ack"]
    assert b"MSA|AA|1\r" in (tmp_path / "done/a.hl7.ack").read_bytes()
    assert len(bus.of("in.sil")) == 1 and bus.of("dlq.intake")[0].value == b"hello"


def test_a_file_may_hold_several_messages(tmp_path: Path) -> None:
    """Batch envelopes are left out; each message has its answer, in order; one refused sends the file to refused."""
    batch = b"FHS|^~\\&|A\r\nBHS|^~\\&\r\n" + hl7("1") + b"\r\n" + hl7("2") + b"BTS|2\rFTS|1\r"
    (tmp_path / "a.hl7").write_bytes(batch)
    (tmp_path / "b.hl7").write_bytes(hl7("3") + hl7("") + hl7("4"))
    bus = MemoryBus()
    play(tmp_path, bus)
    assert (tmp_path / "done/a.hl7.ack").read_bytes().count(b"MSA|AA|") == 2
    acks = (tmp_path / "refused/b.hl7.ack").read_bytes()
    assert [acks.count(code) for code in (b"MSA|AA|3", b"MSA|AE\r", b"MSA|AA|4")] == [1, 1, 1]
    assert len(bus.of("in.sil")) == 4


@pytest.mark.parametrize("end", ["BTS\rFTS\r", "BTS\r\nFTS", "BTS \nFTS\n", "BTS|2\rFTS|1", "FTS"])
def test_a_bare_end_of_a_batch_is_no_part_of_its_last_message(tmp_path: Path, end: str) -> None:
    """Envelope lines need no field; what is stored is the message and nothing else."""
    (tmp_path / "a.hl7").write_bytes(b"FHS\rBHS\r" + hl7("1") + hl7("2") + end.encode())
    bus = MemoryBus()
    play(tmp_path, bus)
    stored = [record.value for record in bus.of("in.sil")]
    assert len(stored) == 2
    assert not [value for value in stored if b"TS" in value.rpartition(b"\r")[2] or b"FTS" in value or b"BTS" in value]


def test_what_stands_behind_an_envelope_line_is_answered(tmp_path: Path) -> None:
    """Lines that belong to no message are refused with the file, not dropped in silence."""
    (tmp_path / "a.hl7").write_bytes(b"BHS|^~\\&|A\rPID|1||x\r" + hl7("1") + b"BTS|1\r")
    bus = MemoryBus()
    play(tmp_path, bus)
    assert names(tmp_path / "refused") == ["a.hl7", "a.hl7.ack"]
    assert [record.value for record in bus.of("dlq.intake")] == [b"\rPID|1||x\r"]


def test_a_file_that_still_grows_is_left(tmp_path: Path) -> None:
    """A file is taken once it has stayed unchanged for the settling time."""
    (tmp_path / "a.hl7").write_bytes(hl7("1"))
    play(tmp_path, MemoryBus(), looks=3, settle=30)
    assert (tmp_path / "a.hl7").exists()


def test_E50_an_outage_leaves_the_file(tmp_path: Path) -> None:
    """The bus is away: the file stays where it is and is taken later."""
    bus = MemoryBus()
    bus.error = Unavailable("BUS-FULL")
    (tmp_path / "a.hl7").write_bytes(hl7("1"))
    play(tmp_path, bus)
    assert (tmp_path / "a.hl7").exists() and names(tmp_path / "done") == []
    bus.error = None
    play(tmp_path, bus)
    assert names(tmp_path / "done") == ["a.hl7", "a.hl7.ack"]


def test_a_crash_before_the_move_delivers_nothing_twice(tmp_path: Path) -> None:
    """The same file read again is recognised, answered as before, and moved."""
    bus = MemoryBus()
    (tmp_path / "a.hl7").write_bytes(hl7("1"))

    async def story() -> None:
        intake = make_intake(bus)
        intake.start()
        folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0), relay(), intake)
        await asyncio.to_thread(folder._prepare)
        await folder.look()
        first = (tmp_path / "done/a.hl7.ack").read_bytes()
        (tmp_path / "done/a.hl7").rename(tmp_path / "a.hl7")  # as if we had died before moving it
        await folder.look()
        assert (tmp_path / "done/a.hl7.ack").read_bytes() == first
        await intake.close(2)

    asyncio.run(story())
    assert len(bus.of("in.sil")) == 1


def test_names_that_come_again_are_kept_apart(tmp_path: Path) -> None:
    """A second file of the same name does not overwrite the first."""
    for number in ("1", "2"):
        (tmp_path / "a.hl7").write_bytes(hl7(number))
        play(tmp_path, MemoryBus())
    assert names(tmp_path / "done") == ["a.1.hl7", "a.1.hl7.ack", "a.hl7", "a.hl7.ack"]


def test_a_raw_cda_with_its_headers(tmp_path: Path) -> None:
    """The request stands beside the document, and moves with it."""
    (tmp_path / "doc.xml").write_bytes(b"<a/>")
    (tmp_path / "doc.xml.headers").write_text("X-Segur-Dmp: Y\nins-status: VALI\n")
    bus = MemoryBus()
    play(tmp_path, bus, feed=Feed(name="cda", check=anything))
    assert names(tmp_path / "done") == ["doc.xml", "doc.xml.ack", "doc.xml.headers"]
    expected = {"dmp": "Y", "ins-status": "VALI", "request-id": "doc"}
    assert unpack_request(bus.of("in.cda")[0].value) == (expected, b"<a/>")


@pytest.mark.parametrize("end", ["\x00", "\x0b", "\x0c", "\x1c", "\x1e", "\x7f", "\x85", "\u2028", "\u2029", "\r"])
def test_only_a_line_feed_ends_a_line_of_the_headers(tmp_path: Path, end: str) -> None:
    """A value that came from elsewhere adds no header: other line ends and controls leave the document where it is."""
    (tmp_path / "doc.xml").write_bytes(b"<a/>")
    text = f"structure-name: Clinique{end}ins-status: VALI{end}mssante-ps: eve@x.mssante.fr\n"
    (tmp_path / "doc.xml.headers").write_bytes(text.encode())
    bus = MemoryBus()
    play(tmp_path, bus, feed=Feed(name="cda", check=anything))
    assert bus.of("in.cda") == [] and (tmp_path / "doc.xml").exists()
    assert names(tmp_path / "done") == names(tmp_path / "refused") == []


@pytest.mark.parametrize("again", ["mssante-ps", "X-Segur-Mssante-Ps", " MSSANTE-PS "])
def test_headers_that_say_a_name_twice_are_not_followed(tmp_path: Path, again: str) -> None:
    """Which of two recipients is meant nobody can tell: the document stays until its headers are mended."""
    (tmp_path / "doc.xml").write_bytes(b"<a/>")
    beside, bus = tmp_path / "doc.xml.headers", MemoryBus()
    beside.write_bytes(f"mssante-ps: adam@x.mssante.fr\r\n{again}: eve@x.mssante.fr\r\n".encode())
    play(tmp_path, bus, feed=Feed(name="cda", check=anything))
    assert bus.of("in.cda") == [] and (tmp_path / "doc.xml").exists()
    beside.write_bytes(b"mssante-ps: adam@x.mssante.fr\r\n\r\ndmp: Y\r\n")
    play(tmp_path, bus, feed=Feed(name="cda", check=anything))
    expected = {"mssante-ps": "adam@x.mssante.fr", "dmp": "Y", "request-id": "doc"}
    assert unpack_request(bus.of("in.cda")[0].value) == (expected, b"<a/>")


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    """Beyond the limit: AE with the size, without reading it whole."""
    (tmp_path / "a.hl7").write_bytes(hl7("1", "NTE|1||" + "x" * 5000))
    play(tmp_path, MemoryBus(), max_file=2000)
    assert b"MSA|AE|1" in (tmp_path / "refused/a.hl7.ack").read_bytes()


def test_a_folder_that_cannot_be_written_is_an_operator_s_fault(tmp_path: Path) -> None:
    """One sentence at the start, not a traceback later."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorFault):
        play(tmp_path / "file", MemoryBus())


def test_watching_goes_on_by_itself(tmp_path: Path) -> None:
    """Started, the folder is looked at again and again until it is closed."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0, interval=0.02), relay(), intake)
        await folder.start()
        for number in ("1", "2"):
            (tmp_path / f"{number}.hl7").write_bytes(hl7(number))
            await eventually((tmp_path / f"done/{number}.hl7").exists)
        await folder.tick()
        await folder.close(2)
        await intake.close(2)

    asyncio.run(asyncio.wait_for(story(), 20))
