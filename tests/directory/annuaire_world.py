"""A simulated annuaire that runs in a thread, and sources and directories on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router.contracts import SystemClock, Unobserved
from router.directory.directory import Directory
from router.directory.settings import DirectoryConfig
from router.simulators.annuaire import AnnuaireConfig, AnnuaireSimulator, Box, Organisation, Person, Practice
from router.simulators.annuaire.extraction import write_extraction
from tests.sinks.mssante_samples import liste

MARIE, LEO, PAUL = "10000000001", "10000000019", "10000000035"
CLINIC, PRACTICE = "750100125", "690123457"
#: Marie has one mailbox; Léo one in each of two places; Paul's is red-listed.
PEOPLE = (
    Person(MARIE, boxes=(Box("marie@medecin.mssante.fr", demat=True),)),
    Person(
        LEO,
        skills=(("SM44", "Radio-diagnostic (SM)"),),
        practices=(
            Practice(CLINIC, (Box("leo@chu.mssante.fr"),)),
            Practice(PRACTICE, (Box("leo@medecin.mssante.fr"),)),
        ),
    ),
    Person(PAUL, boxes=(Box("paul@medecin.mssante.fr", red_listed=True),)),
)
ORGANISATIONS = (
    Organisation(CLINIC, "CLINIQUE A", (Box("accueil@chu.mssante.fr", "ORG"),)),
    Organisation(PRACTICE, "CABINET B"),
)


class MovedClock(SystemClock):
    """A clock that a test moves on."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@contextmanager
def annuaire(**settings: Any) -> Iterator[AnnuaireSimulator]:
    """A simulated annuaire with these people, on a loop of its own."""
    config = AnnuaireConfig(**{"key": "k-1", "people": PEOPLE, "organisations": ORGANISATIONS, **settings})
    simulator = AnnuaireSimulator(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(simulator.__aenter__(), loop).result(5)
        yield simulator
    finally:
        asyncio.run_coroutine_threadsafe(simulator.__aexit__(None, None, None), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def fhir(simulator: AnnuaireSimulator, **settings: Any) -> dict[str, Any]:
    """The `fhir` section of a site whose key stands in ANNUAIRE_KEY."""
    return {"url": simulator.url, "key": {"env": "ANNUAIRE_KEY"}, "pause_seconds": 0, **settings}


def directory(folder: Path, *, domains: tuple[str, ...] = (), clock: Any = None, **settings: Any) -> Directory:
    """A directory with a liste blanche of two domains and these more."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "liste.xml").write_text(liste("medecin.mssante.fr", "chu.mssante.fr", *domains))
    white = {"source": str(folder / "liste.xml"), "minimum": 1}
    config = DirectoryConfig.model_validate({"liste_blanche": white, "annuaire": {"minimum": 0}, **settings})
    made = Directory(config, folder / "kept", clock=clock or SystemClock(), observer=Unobserved())
    made.liste_blanche.refresh()
    return made


def extraction(folder: Path) -> Path:
    """The extraction file of the same people."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_extraction(folder / "extraction.txt", PEOPLE, ORGANISATIONS)
