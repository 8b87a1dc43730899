"""The pipelines' role."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from router.engine.pipeline.worker import PipelineWorker
from router.errors import ConfigFault, Problem
from router.runtime.counted import Counted
from router.runtime.describe import Describe, Unserved
from router.runtime.earlier_recipients import EarlierRecipients
from router.runtime.reload import PipelineSet
from router.runtime.roles import Ready
from router.runtime.roles.event_loop import alert
from router.runtime.site_services import SiteServices
from router.runtime.unmatched import Unmatched
from router.runtime.wording import ADVICE

log = structlog.get_logger()


class PipelinesRole:
    """Events through the pipelines of the folder, reloaded as they change."""

    def __init__(self, services: SiteServices, slot: int) -> None:
        self._services = services
        self._pipelines = PipelineSet(services, refused=_refused)
        problems = self._pipelines.resume()
        if problems:
            raise ConfigFault(problems)
        ledger = services.ledger()
        self._worker = PipelineWorker(
            services.bus,
            ledger,
            list(services.config.feeds),
            self._pipelines.of,
            member=f"pipelines-{slot}",
            describe=Counted(Describe(services.pseudonyms), services.observer),
            unserved=Unserved(services.pseudonyms, services.clock, self._pipelines.parse),
            unmatched=Unmatched(services.config.feeds),
            earlier=EarlierRecipients.of(services, ledger),
            clock=services.clock,
            observer=services.observer,
            alert=alert,
            advice=ADVICE,
        )

    def run(self, ready: Ready) -> None:
        self._services.start_directory()
        self._pipelines.watch()
        ready({})
        try:
            self._worker.run()
        finally:
            self._pipelines.close()

    def stop(self) -> None:
        self._worker.stop()


def _refused(problems: Sequence[Problem]) -> None:
    for problem in problems:
        log.error("pipeline refused, the old one goes on", alert="pipeline-refused", problem=str(problem))
