"""The sinks' role."""

from __future__ import annotations

import asyncio
from typing import Final

from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.runtime.backup import doubt
from router.runtime.certificates import Expiries
from router.runtime.roles import Ready
from router.runtime.roles.event_loop import EventLoopRole, alert
from router.runtime.site_services import SiteServices
from router.runtime.wording import ADVICE, EVIDENCE

SMALLEST: Final = 4 * 2**20
"""The least bytes that a sink may hold, also when many sinks share the stage's budget."""


def share_of(stage_bytes: int, sinks: int) -> int:
    """Bytes that each of so many sinks may hold."""
    return max(SMALLEST, stage_bytes // max(1, sinks))


class SinksRole(EventLoopRole):
    """Every sink instance of the site, each with its worker and its share of the stage's bytes, on one event loop."""

    def __init__(self, services: SiteServices, slot: int) -> None:
        super().__init__()
        self._services = services
        self._slot = slot

    async def _work(self, stop: asyncio.Event, ready: Ready) -> None:
        services, config = self._services, self._services.config
        services.start_directory()
        expiries = Expiries(config.sinks, services.observer)
        expiries.start()
        workers = []
        doubtful = doubt.of_site(services.site.data)
        share = share_of(config.limits.stage_bytes, len(config.sinks))
        for name in config.sinks:
            policy = services.policy(name)
            worker = SinkWorker(
                services.sink(name),
                services.bus,
                services.ledger(),
                member=f"sinks-{self._slot}",
                policy=policy,
                clock=services.clock,
                observer=services.observer,
                limits=Limits(bytes=share, patience=config.limits.drain_seconds),
                alert=alert,
                advice=ADVICE,
                names=EVIDENCE,
                doubtful=doubtful,
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
