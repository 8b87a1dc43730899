"""The directory a site opens: liste blanche and annuaire, kept fresh by one quiet thread."""

from __future__ import annotations

import logging
import random
import threading
from pathlib import Path

from router.contracts import Clock, Observer
from router.directory import annuaire as extraction
from router.directory.annuaire import Annuaire
from router.directory.liste_blanche import ListeBlanche
from router.directory.settings import DirectoryConfig
from router.errors import RouterError

log = logging.getLogger(__name__)

CHECK_SECONDS = 60.0
FAILED_SECONDS = 900.0


class Directory:
    """`start()` keeps it fresh; without it the copies on disk serve. Look-ups never wait for a refresh."""

    def __init__(self, config: DirectoryConfig, folder: Path, *, clock: Clock, observer: Observer) -> None:
        self.config = config
        self.liste_blanche = ListeBlanche(config.liste_blanche, folder, clock=clock, observer=observer)
        self.annuaire = Annuaire(folder, minimum=config.annuaire.minimum)
        self._folder = folder
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Refresh now if due, and from then on, in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="directory", daemon=True)
            self._thread.start()

    def refresh(self) -> bool:
        """Refresh what is due. False when something could not be: said in the log, the copies in use stay."""
        done = True
        try:
            if self.liste_blanche.due():
                self.liste_blanche.refresh()
        except RouterError as error:
            done = False
            log.warning("liste blanche not refreshed: %s", error)
        self.liste_blanche.watch()
        try:
            report = extraction.refresh(self.annuaire, self.config.annuaire, self._folder, self._clock)
        except RouterError as error:
            done = False
            log.warning("annuaire not refreshed: %s", error)
        else:
            if report is not None:
                log.info("annuaire imported: %d mailboxes, %d malformed lines", report.lines, report.malformed)
        return done

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                done = self.refresh()
            except Exception as error:  # a thread that ended would let the lists grow old
                done = False
                log.error("directory not refreshed: BUG-%s", type(error).__name__)
            pause = CHECK_SECONDS if done else FAILED_SECONDS
            self._stop.wait(pause * (1 + random.random() / 10))  # noqa: S311  # jitter

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
