"""The journal's role."""

from __future__ import annotations

from router.journal.worker import JournalWorker
from router.runtime.house import House
from router.runtime.roles import Ready
from router.runtime.upkeep import Upkeep


class JournalRole:
    """The journal and receipts topics into SQL; beside it, the upkeep of bus, ledger and journal."""

    def __init__(self, house: House, slot: int) -> None:
        self._house = house
        self._worker = JournalWorker(
            house.bus, house.journal, member=f"journal-{slot}", clock=house.clock, observer=house.observer
        )
        self._upkeep = Upkeep(house)

    def run(self, ready: Ready) -> None:
        self._upkeep.start()
        ready({})
        try:
            self._worker.run()
        finally:
            self._upkeep.stop()

    def stop(self) -> None:
        self._worker.stop()
