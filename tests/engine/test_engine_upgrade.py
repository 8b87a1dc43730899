"""A data folder that version 0.1.0 wrote, with work of every state in it, is opened and its work goes on.

The two SQL files are dumps of what the `Chain` of 0.1.0 left. Of six messages that were acknowledged, 1 was delivered,
2 is a dead letter, 3 waits for a full mailbox with 4 behind it in its lane; 5 (the same lane) and 6 were not decided.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from router.contracts import cause
from router.engine.dead_letters import listing, paging
from router.exchange import State
from tests.engine.chain import Chain, message, until

DATA = Path(__file__).parent / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bus", "ledger"):
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        connection.executescript((DATA / f"{name}_0.1.0.sql").read_text(encoding="utf-8"))
        connection.close()
    return tmp_path


def test_work_of_the_version_before_goes_on(folder: Path) -> None:
    """Nothing is lost, nothing is delivered twice, each lane keeps its order, and a repeat gets the stored ACK."""
    chain = Chain(folder)

    async def story() -> None:
        async with chain.running() as intake:
            await until(lambda: set(chain.delivered) >= {3, 4, 5, 6})
            repeated = await chain.send(intake, 1, patient=1)
            assert repeated.code == "AA"
            await chain.send(intake, 7, patient=3)
            await until(lambda: 7 in chain.delivered)
            await asyncio.sleep(0.3)

    asyncio.run(story())
    assert sorted(chain.delivered) == [3, 4, 5, 6, 7]
    assert [number for number in chain.delivered if number in (3, 4, 5, 7)] == [3, 4, 5, 7]


def test_a_dead_letter_of_the_version_before_is_found_by_its_cause(folder: Path) -> None:
    """The fingerprint that operators wrote down names the same group as before, with its bytes."""
    chain = Chain(folder)
    bus, ledger = chain.bus(), chain.ledger()
    try:
        (found,) = paging.letters(bus, ledger, listing.Filter(), sinks=["s"])
        row = ledger.get([found.delivery_id])[found.delivery_id]
        assert row.state is State.DEAD
        assert found.cause == cause("sink", "s", "NO-2", "PID-3") == row.evidence["cause"]
        body = listing.body(bus, found)
        assert body is not None and body.value == message(2, 2)
    finally:
        ledger.close()
        bus.close()
