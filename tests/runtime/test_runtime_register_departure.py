"""A register that refuses to be written after the effect: the receipt must not suffer, the effect not be repeated."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from router.exchange import State
from router.register import Register
from router.runtime.register_checked_sink import RegisterCheckedSink
from router.simulators.sender import Maker
from router.sinks.dmp.sink_type import DMP
from tests.engine.rig import Rig
from tests.engine.sinks import ScriptedSink
from tests.register.register_samples import PSEUDONYMS, StillClock
from tests.runtime.test_runtime_register_checked_sink import report


@pytest.fixture
def broken(tmp_path: Path) -> Register:
    """A register that can be read and not be written: rights lost, a table missing, a standby."""
    path = tmp_path / "register.db"
    opened = Register(f"sqlite:///{path}", PSEUDONYMS, StillClock())
    with sqlite3.connect(path) as direct:
        direct.execute("DROP TABLE register_departure")
    return opened


def test_it_does_not_send_the_same_document_again_and_again(broken: Register) -> None:
    """The whole loop: one delivery, one effect."""
    one, _ = report(Maker(3))
    inner = ScriptedSink(name=one.sink)

    async def story() -> None:
        rig = Rig()
        rig.sink = RegisterCheckedSink(inner, DMP, broken, StillClock(), at_once=1)  # type: ignore[assignment]
        rig.publish(one)
        async with rig.running():
            await asyncio.sleep(1.5)
        assert (rig.state(one), len(inner.calls)) == (State.DONE, 1)

    asyncio.run(story())
