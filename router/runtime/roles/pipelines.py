"""The pipelines' role."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from router.engine.pipeline_worker import PipelineWorker
from router.errors import ConfigFault, Problem
from router.runtime.describe import Describe, Unserved
from router.runtime.house import House
from router.runtime.reload import PipelineSet
from router.runtime.roles import Ready
from router.runtime.roles.looping import alert

log = structlog.get_logger()


class PipelinesRole:
    """Events through the pipelines of the folder, reloaded as they change."""

    def __init__(self, house: House, slot: int) -> None:
        self._house = house
        self._pipelines = PipelineSet(house, refused=_refused)
        problems = self._pipelines.resume()
        if problems:
            raise ConfigFault(problems)
        self._worker = PipelineWorker(
            house.bus,
            house.ledger(),
            list(house.config.feeds),
            self._pipelines.of,
            member=f"pipelines-{slot}",
            describe=Describe(house.pseudonyms),
            unserved=Unserved(house.pseudonyms, house.clock, self._pipelines.parse),
            clock=house.clock,
            observer=house.observer,
            alert=alert,
        )

    def run(self, ready: Ready) -> None:
        self._house.start_directory()
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
