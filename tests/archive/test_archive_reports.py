"""What came back by mail is what the archive holds: DSN and MDN, sealed, with their digest; a kill loses none."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.archive.keeper import ArchiveKeeper
from router.contracts import Unobserved, out_topic
from router.contracts.keeping import Kind
from router.exchange import Receipt
from router.feedback.mailbox import Mailbox
from router.simulators.authority import Certificates
from router.wire import read_delivery, read_receipt
from tests.contracts.archive_contract import ASKED, World
from tests.feedback.feedback_samples import HL7, Station
from tests.feedback.test_feedback_operator import Ward, certificates, play, station  # noqa: F401
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, doctor, order

REPORTS = {Kind.DSN, Kind.MDN}


class Killed(BaseException):
    """The process ends here: nothing of it runs any more."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()


def with_keeper(ward: Ward, world: World) -> ArchiveKeeper:
    """The mailbox as the feedback's process opens it, with an archive that nobody must wait for."""
    keeper = ArchiveKeeper(world.opened(), Unobserved(), required=False)
    ward.mailbox._keeper = keeper
    ward.mailbox._told.clear()
    return keeper


def receipts(station: Station) -> list[Receipt]:  # noqa: F811
    return [read_receipt(record) for record in station.bus.scan("receipts")]


def reports(world: World, delivery: str) -> dict[Kind, bytes]:
    """What is kept of a delivery's reports: each content once, read back with its line in the audit."""
    items = world.archive.items(delivery)
    assert len({one.kind for one in items}) == len(items)
    return {one.kind: world.archive.read(one, ASKED) for one in items}


def told_twice(ward: Ward, given: Any) -> Callable[[], Any]:
    """The mail left; its recipient's server and its recipient report."""

    async def story() -> None:
        ward.operator.read(DOCTOR, "displayed")
        await ward.send(given)

    return story


def test_reports_are_kept_as_they_came_and_their_receipts_name_them(
    station: Station,  # noqa: F811
    certificates: Certificates,  # noqa: F811
    world: World,
) -> None:
    """Byte for byte, sealed; the digest stands in the receipt; the answer of each goes with the message's event."""
    sent = station.sent(order(recipient=doctor(), ack_lecture=True))
    seen: list[bytes] = []

    async def scene(ward: Ward) -> None:
        keeper, body = with_keeper(ward, world), ward.mailbox._body

        def looked(client: Any, number: int) -> bytes | None:
            raw = body(client, number)
            seen.append(raw or b"")
            return raw

        ward.mailbox._body = looked  # type: ignore[method-assign]
        await told_twice(ward, sent)()
        await ward.told(2)
        await asyncio.to_thread(keeper.close)

    play(station, certificates, scene)
    kept = reports(world, sent.id)
    assert kept.keys() == REPORTS and set(kept.values()) == set(seen)
    digests = {hashlib.sha256(one).hexdigest() for one in seen}
    assert {one.sha256 for one in world.archive.items(sent.id)} == digests
    assert {one.evidence.get("report_sha256") for one in receipts(station)} == digests
    held = b"".join(path.read_bytes() for path in world.folder.rglob("*") if path.is_file())
    assert MAILBOX.encode() not in held and list(world.archive.verify()) == []
    answers = [read_delivery(record) for record in station.bus.scan(out_topic(HL7))]
    assert {one.event_id for one in answers} == {sent.event_id}


@pytest.mark.parametrize("where", ["before it is handed over", "before it is written", "before it is moved"])
def test_a_report_at_which_the_process_was_killed_is_kept_at_the_next_look(
    station: Station,  # noqa: F811
    certificates: Certificates,  # noqa: F811
    world: World,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is still in the inbox: the same receipt comes again, and the content is kept once."""
    sent = station.sent(order(recipient=doctor(), ack_lecture=True))
    places = {
        "before it is handed over": (ArchiveKeeper, "keep_now"),
        "before it is written": (ArchiveKeeper, "settled"),
        "before it is moved": (Mailbox, "_counted"),
    }

    def killed(*_: object) -> None:
        raise Killed

    async def scene(ward: Ward) -> None:
        await told_twice(ward, sent)()
        first = with_keeper(ward, world)
        if where == "before it is written":  # what was handed over goes down with the process
            monkeypatch.setattr(first._archive, "write", lambda _things: threading.Event().wait(3))
        with monkeypatch.context() as patched:
            if where == "before it is moved":
                patched.setattr(ward.mailbox._traces, "move", killed)
            else:
                patched.setattr(*places[where], killed)
            with pytest.raises(Killed):
                await asyncio.to_thread(ward.mailbox.poll)
        second = with_keeper(ward, world)
        await ward.told(2)
        await asyncio.to_thread(second.close)

    play(station, certificates, scene)
    assert reports(world, sent.id).keys() == REPORTS
    assert len({(one.kind, one.evidence["report_sha256"]) for one in receipts(station)}) == len(REPORTS)


def test_an_archive_that_is_away_holds_up_no_report(
    station: Station,  # noqa: F811
    certificates: Certificates,  # noqa: F811
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sender is told all the same, after one short wait; the receipts name what is kept once it is back."""
    sent = station.sent(order(recipient=doctor(), ack_lecture=True))
    monkeypatch.setattr("router.feedback.mailbox._KEPT_SECONDS", 0.2)
    blocked = world.folder / "archive"
    blocked.write_text("a file in the place of the folder")

    async def scene(ward: Ward) -> None:
        keeper = with_keeper(ward, world)
        ward.mailbox._patience = 0.2
        await told_twice(ward, sent)()
        assert len(await ward.told(2)) == 2
        blocked.unlink()
        assert await asyncio.to_thread(keeper.settled, 10)
        await asyncio.to_thread(keeper.close)

    play(station, certificates, scene)
    kept = {hashlib.sha256(one).hexdigest() for one in reports(world, sent.id).values()}
    assert {one.evidence.get("report_sha256") for one in receipts(station)} == kept
