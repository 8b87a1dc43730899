"""The thread that checks messages goes round the senders."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from router.gateway.received import FeedVerdict
from router.gateway.turns import Turns
from tests.gateway.gateway_parts import Client, MemoryBus, hl7, listening, make_intake, relay
from tests.gateway.test_gateway_budget import play

BIG = "OBX|1|ST|||" + "x" * 50_000


@pytest.mark.alone
def test_a_flood_of_one_peer_delays_another_by_one_message() -> None:
    """Forty connections of one peer with checks of 50 ms each: another peer's message waits for a few, not for all."""

    def slow(*_: object) -> FeedVerdict:
        time.sleep(0.05)
        return FeedVerdict(key="k")

    async def story() -> None:
        async with listening(make_intake(MemoryBus()), relay(slow)) as listener:
            flood = [await Client.connect(listener.port, local_addr=("127.0.0.2", 0)) for _ in range(40)]
            good = await Client.connect(listener.port)
            for number, one in enumerate(flood):
                await one.send(hl7(f"f{number}", BIG))
            await asyncio.sleep(0.1)
            started = time.monotonic()
            assert (await good.ask(hl7("1", BIG)))[1] == "MSA|AA|1"
            assert time.monotonic() - started < 0.6
            for number, one in enumerate(flood):
                assert (await one.answer())[1] == f"MSA|AA|f{number}"

    play(story())


def test_work_keeps_its_order_its_results_and_its_errors() -> None:
    """Of one sender in order; what a piece of work raises is its own; a cancelled one is left out."""
    done: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise ZeroDivisionError
        done.append(number)
        return number

    async def story() -> None:
        turns = Turns(ThreadPoolExecutor(1))
        tasks = [asyncio.create_task(turns.run(("one",), partial(work, number))) for number in range(8)]
        await asyncio.sleep(0)
        tasks[6].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[:3] == [0, 1, 2] and isinstance(found[3], ZeroDivisionError)
        assert done == [0, 1, 2, 4, 5, 7]
        with pytest.raises(ZeroDivisionError):
            await turns.run(("two",), lambda: work(3))

    asyncio.run(story())
