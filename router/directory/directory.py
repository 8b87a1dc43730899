"""The directory that a site opens: liste blanche and annuaire, kept fresh by one quiet thread, and who is in them."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from router.contracts import Clock, Observer, Turns
from router.directory import annuaire as extraction
from router.directory.annuaire import Annuaire, Imported
from router.directory.check import Configured, NightlyCheck
from router.directory.choice import Choice
from router.directory.liste_blanche import ListeBlanche
from router.directory.mailboxes import MailboxSource, SourceName
from router.directory.professions import Professions
from router.directory.resolve import Resolver
from router.directory.settings import DirectoryConfig
from router.directory.table import Table
from router.errors import RouterError

if TYPE_CHECKING:
    from router.directory.fhir import FhirAnnuaire

log = logging.getLogger(__name__)

CHECK_SECONDS = 60.0
FAILED_SECONDS = 900.0


class Directory:
    """`start()` keeps it fresh; without it the copies on disk serve. Look-ups never wait for a refresh."""

    def __init__(
        self,
        config: DirectoryConfig,
        folder: Path,
        *,
        clock: Clock,
        observer: Observer,
        turns: Callable[[], Turns] | None = None,
        configured: tuple[Configured, ...] = (),
    ) -> None:
        """turns: gives the turns that all processes of the site share; configured: what the nightly check compares"""
        self.config = config
        self.liste_blanche = ListeBlanche(config.liste_blanche, folder, clock=clock, observer=observer)
        self.table = Table(config.mailboxes)
        self.annuaire = Annuaire(
            folder,
            minimum=config.annuaire.minimum,
            share=config.annuaire.least_percent,
            expected=config.annuaire.extraction is not None,
        )
        self.fhir: FhirAnnuaire | None = None
        if config.fhir:
            from router.directory.fhir import FhirAnnuaire

            self.fhir = FhirAnnuaire(config.fhir, folder, clock=clock, turns=turns() if turns else None)
        self.choice = Choice(config.choice, self.liste_blanche, config.annuaire.no_demat)
        self.nightly = NightlyCheck(
            config.check,
            configured,
            self.all_sources,
            self.liste_blanche,
            folder / "check.json",
            clock=clock,
            observer=observer,
        )
        self.clock = clock
        self._folder = folder
        self._observer = observer
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def all_sources(self) -> tuple[MailboxSource, ...]:
        """Every source that the site configures, for people who look; messages use `sources`."""
        found: list[MailboxSource] = [self.table] if self.config.mailboxes else []
        if self.annuaire.present:
            found.append(self.annuaire)
        return (*found, self.fhir) if self.fhir else tuple(found)

    def sources(self) -> tuple[MailboxSource, ...]:
        """Where professionals are looked up for messages, in the order that the site says."""
        return self._named(self.config.sources)

    def resolver(self, ambiguous: Literal["refuse", "toutes"] = "refuse") -> Resolver:
        """Finds mailboxes by the site's sources and rules."""
        return Resolver(self.sources, self.table, self.choice, self.liste_blanche, ambiguous=ambiguous)

    def professions(self) -> Professions:
        """Tells professions by the sources that the site names for them."""
        return Professions(lambda: self._named(self.config.professions))

    def _named(self, names: Sequence[SourceName]) -> tuple[MailboxSource, ...]:
        known = {source.name: source for source in self.all_sources()}
        return tuple(known[name] for name in names if name in known)

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
            report = extraction.refresh(self.annuaire, self.config.annuaire, self._folder, self.clock)
        except RouterError as error:
            done = False
            log.warning("annuaire not refreshed: %s", error)
        else:
            if report is not None:
                self._say(report)
        if (age := self.annuaire.age(self.clock.now())) is not None:
            self._observer.set("annuaire_timestamp_seconds", self.clock.now() - age)
        self.nightly.run_when_due()
        return done

    def fetch(self) -> Imported | None:
        """Read the extraction again now, whatever its age. Raises as `annuaire.refresh`; None when none is named."""
        return extraction.refresh(self.annuaire, self.config.annuaire, self._folder, self.clock, forced=True)

    def outside(self, report: Imported) -> int:
        """How many domains of an extraction are not in the liste blanche: nothing will be sent to their mailboxes."""
        return sum(not self.liste_blanche.admits(domain) for domain in report.domains)

    def _say(self, report: Imported) -> None:
        log.info(
            "annuaire imported: %d mailboxes, %d malformed lines, %d repeated; +%s -%s ~%s; %d domains not in the list",
            report.lines,
            report.malformed,
            report.duplicates,
            report.added,
            report.removed,
            report.moved,
            self.outside(report),
        )

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
