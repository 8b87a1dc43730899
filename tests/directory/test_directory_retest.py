"""Two sinks of one process ask for the same list at the same moment."""

from __future__ import annotations

import threading
from pathlib import Path

from router.contracts import SystemClock, Unobserved
from router.directory.liste_blanche import ListeBlanche
from router.directory.settings import ListeBlancheConfig
from tests.sinks.mssante_samples import liste


class Slow(ListeBlanche):
    """Its source takes its time."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source.xml"
        source.write_text(liste("nouveau.mssante.fr"))
        self.begun, self.gate = threading.Event(), threading.Event()
        config = ListeBlancheConfig(source=str(source), minimum=1)
        super().__init__(config, folder / "copy", clock=SystemClock(), observer=Unobserved())

    def refresh(self) -> None:
        self.begun.set()
        assert self.gate.wait(5)
        super().refresh()


def test_who_asks_while_the_list_is_being_read_waits_for_it(tmp_path: Path) -> None:
    """Its mail would be dead-lettered (MSS-510) for a domain that the list holds, at the first start for any."""
    made = Slow(tmp_path)
    first = threading.Thread(target=made.retest, args=("nouveau.mssante.fr",))
    first.start()
    made.begun.wait(5)
    threading.Timer(0.3, made.gate.set).start()
    made.retest("nouveau.mssante.fr")  # as the second sink does before it refuses
    admitted = made.admits("nouveau.mssante.fr")
    first.join()
    assert admitted
