"""A writer that is quicker than we are: what it puts in the place of a file in hand is read too; a name taken twice."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from router.contracts import Header
from router.errors import Fenced
from router.gateway.raw_topic import RawTopic
from router.gateway.received import Feed, Received, ValidatedMessage
from tests.gateway.gateway_parts import MemoryBus, eventually, hl7, make_intake, relay
from tests.gateway.test_gateway_odd import cda_feed, watched


def test_a_file_replaced_while_its_answer_goes_to_the_disk_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the file and its move stands an fsync: seconds, on a busy disk or a share."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        intake.start()
        folder = await watched(tmp_path, intake, relay())
        (tmp_path / "export.hl7").write_bytes(hl7("1"))
        real = os.fsync

        def slow(number: int) -> None:
            monkeypatch.setattr(os, "fsync", real)
            (tmp_path / "export.tmp").write_bytes(hl7("2"))
            (tmp_path / "export.tmp").replace(tmp_path / "export.hl7")
            real(number)

        monkeypatch.setattr(os, "fsync", slow)
        for _ in range(3):
            await folder.look()
        await intake.close(2)
        assert [one.headers[Header.CONTROL] for one in bus.of("in.sil")] == ["1", "2"]

    asyncio.run(asyncio.wait_for(story(), 20))


@pytest.mark.parametrize("again", [False, True])
def test_a_file_replaced_between_the_last_look_and_the_move_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """What was moved is not what was read: it goes back, unanswered, and is read, as what took its name."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        intake.start()
        folder = await watched(tmp_path, intake, relay())
        (tmp_path / "export.hl7").write_bytes(hl7("1"))
        replaced = iter([hl7("2"), hl7("3")] if again else [hl7("2")])

        def put() -> None:
            data = next(replaced, b"")
            if data:
                (tmp_path / "export.tmp").write_bytes(data)
                (tmp_path / "export.tmp").rename(tmp_path / "export.hl7")

        for call in ("rename", "replace"):
            real = getattr(os, call)

            def moving(source: Any, *rest: Any, real: Any = real, **named: Any) -> None:
                ours = Path(source).name == "export.hl7"
                if ours:
                    put()
                real(source, *rest, **named)
                if ours:
                    put()

            monkeypatch.setattr(os, call, moving)
        for _ in range(4):
            await folder.look()
        await intake.close(2)
        controls = sorted(one.headers[Header.CONTROL] for one in bus.of("in.sil"))
        assert controls == (["1", "2", "3"] if again else ["1", "2"])
        assert list(tmp_path.glob("*.hl7")) == []
        moved = {one.name: one.read_bytes() for one in (tmp_path / "done").glob("*.hl7")}
        for name, data in moved.items():
            control = data.split(b"|")[9]
            assert b"MSA|AA|" + control in (tmp_path / "done" / f"{name}.ack").read_bytes()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_the_next_request_laid_beside_a_cda_in_hand_is_not_taken_away(tmp_path: Path) -> None:
    """One name for all, the request first: the request of the next document must still stand there when it comes."""
    asked: list[dict[str, str]] = []

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        intake.start()
        validate = intake.validator.validate

        def noted(feed: Feed, received: Received) -> ValidatedMessage:
            asked.append(dict(received.headers))
            return validate(feed, received)

        intake.validator.validate = noted  # type: ignore[method-assign]
        folder = await watched(tmp_path, intake, cda_feed())
        (tmp_path / "a.xml.headers").write_bytes(b"mssante-ps: dr.a@x.mssante.fr\n")
        (tmp_path / "a.xml").write_bytes(b"<ClinicalDocument/>")
        bus.gate.clear()
        looking = asyncio.create_task(folder.look())
        await eventually(lambda: bool(intake._unanswered))
        (tmp_path / "a.tmp").write_bytes(b"mssante-ps: dr.b@x.mssante.fr\n")
        (tmp_path / "a.tmp").replace(tmp_path / "a.xml.headers")  # the next request; its document comes in a second
        bus.gate.set()
        await looking
        (tmp_path / "a.tmp").write_bytes(b"<ClinicalDocument>2</ClinicalDocument>")
        (tmp_path / "a.tmp").replace(tmp_path / "a.xml")
        await folder.look()
        await intake.close(2)
        assert [one.get("mssante-ps") for one in asked] == ["dr.a@x.mssante.fr", "dr.b@x.mssante.fr"]

    asyncio.run(asyncio.wait_for(story(), 20))


def test_two_gateways_of_one_name_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`KAFKA-MEMBER` says that another has our name: again and again, it must end, not go on in silence."""
    made: list[Member] = []

    class Member:
        def __init__(self) -> None:
            self.polls = 0

        def poll(self, **_: Any) -> list[Any]:
            self.polls += 1
            if self.polls > 3:  # the heart beat, and learnt that the other one has joined anew
                raise Fenced("KAFKA-MEMBER", "raw-sil", "another process has our name in the group")
            return []

        def close(self) -> None: ...

    def consumer(*_: Any, **__: Any) -> Member:
        made.append(Member())
        return made[-1]

    import router.gateway.raw_topic as module

    monkeypatch.setattr(module, "_BACKOFF", (0.001,))
    bus = SimpleNamespace(consumer=consumer, producer=lambda name: SimpleNamespace(close=lambda: None))
    intake = cast(Any, SimpleNamespace(name="gateway-0", bus=bus))
    way = RawTopic(relay(), intake)

    async def story() -> None:
        await way.start()
        await asyncio.sleep(2)
        fatal = way.fatal
        await way.close(2)
        assert fatal is not None, f"{len(made)} consumers made, nobody told"

    asyncio.run(story())
