"""Brings rows back from the ledger when no row of their lane is in memory and there is room."""

from __future__ import annotations

from typing import Final

from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.supersession_rules import FINAL
from router.engine.delivery.worker_settings import WorkerSettings

LANES_AT_ONCE: Final = 32
"""Lanes whose rows are asked for in one question."""

Wanted = list[tuple[str, list[str]]]
"""Names of lanes, each with the ids of its next rows."""


class BacklogLoader:
    """Reads what the backlog of one sink worker wants."""

    def __init__(self, settings: WorkerSettings, lanes: Lanes, writer: DurableWriter) -> None:
        self._settings = settings
        self._lanes = lanes
        self._writer = writer

    def wanted(self) -> Wanted:
        """What is to be loaded now: whoever asks must call `load` with it."""
        return self._lanes.backlog.wanted(LANES_AT_ONCE)

    async def load(self, wanted: Wanted) -> None:
        """Put these rows in their lanes, as the ledger has them now. Those that ended meanwhile are left out."""
        ids = [id_ for _, some in wanted for id_ in some]
        found = await self._writer.ask(lambda ledger: ledger.get(ids))
        for lane, some in wanted:
            rows = [
                row_transitions.restarted(found[id_]) for id_ in some if id_ in found and found[id_].state not in FINAL
            ]
            self._lanes.backlog.load(lane, [(row, self._settings.due(row)) for row in rows])
