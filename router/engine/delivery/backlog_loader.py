"""Brings rows back from the ledger when no row of their lane is in memory and there is room."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.supersession_rules import FINAL
from router.engine.delivery.worker_settings import WorkerSettings

LANES_AT_ONCE: Final = 32
"""Lanes whose rows are asked for in one question."""

Wanted = list[tuple[str, list[str]]]
"""Names of lanes, each with the ids of its next rows."""


class BacklogLoader:
    """Reads what the backlog of one sink worker wants."""

    def __init__(self, settings: WorkerSettings, lanes: Lanes, payloads: PayloadCache, writer: DurableWriter) -> None:
        self._settings = settings
        self._lanes = lanes
        self._payloads = payloads
        self._writer = writer

    def wanted(self) -> Wanted:
        """What is to be loaded now: whoever asks must call `load` with it."""
        return self._lanes.backlog.wanted(LANES_AT_ONCE)

    async def load(self, wanted: Wanted) -> None:
        """Put these rows in their lanes, as the ledger has them now. Those that ended meanwhile are left out."""
        ids = [id_ for _, some in wanted for id_ in some]
        found = await self._writer.ask(lambda ledger: ledger.get(ids))
        rows = {
            lane: [
                row_transitions.restarted(found[id_]) for id_ in some if id_ in found and found[id_].state not in FINAL
            ]
            for lane, some in wanted
        }
        in_turn = (row for turn in zip_longest(*rows.values()) for row in turn if row is not None)
        payloads = await self._payloads.read_ahead(list(in_turn))
        for lane, these in rows.items():
            self._lanes.backlog.load(lane, [(row, self._settings.due(row)) for row in these])
        for id_, payload in payloads.items():  # none of them has started yet
            if (pending := self._lanes.find(id_)) is not None:
                self._payloads.keep(pending, payload)
