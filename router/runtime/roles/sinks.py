"""The sinks' role."""

from __future__ import annotations

import asyncio
from typing import Final

from router.engine.parts import Limits
from router.engine.sink_worker import SinkWorker
from router.runtime.certificates import Expiries
from router.runtime.house import House
from router.runtime.roles import Ready
from router.runtime.roles.looping import Looping, alert

SMALLEST: Final = 4 * 2**20
"""Bytes that a sink may hold, however many share the stage's budget."""


def share_of(stage_bytes: int, sinks: int) -> int:
    """Bytes that each of so many sinks may hold."""
    return max(SMALLEST, stage_bytes // max(1, sinks))


class SinksRole(Looping):
    """Every sink instance of the site, each with its worker and its share of the stage's bytes, on one event loop."""

    def __init__(self, house: House, slot: int) -> None:
        super().__init__()
        self._house = house
        self._slot = slot

    async def _work(self, stop: asyncio.Event, ready: Ready) -> None:
        house, config = self._house, self._house.config
        house.start_directory()
        expiries = Expiries(config.sinks, house.observer, house.clock)
        expiries.start()
        workers = []
        share = share_of(config.limits.stage_bytes, len(config.sinks))
        for name in config.sinks:
            policy = house.policy(name)
            worker = SinkWorker(
                house.sink(name),
                house.bus,
                house.ledger(),
                member=f"sinks-{self._slot}",
                policy=policy,
                clock=house.clock,
                observer=house.observer,
                limits=Limits(bytes=share, patience=config.limits.drain_seconds),
                alert=alert,
            )
            workers.append(worker)
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        ready({})
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
        finally:
            stopping.cancel()
            expiries.stop()
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks, return_exceptions=True)
