"""What the folder of the directory holds, for who only looks: nothing is fetched, made or changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from router.contracts import Clock, Unobserved
from router.directory.annuaire import Annuaire
from router.directory.liste_blanche import ListeBlanche
from router.directory.settings import DirectoryConfig

_UNHEARD = logging.Logger(f"{__name__}.unheard")
"""For who only looks: the process that uses the list has said what is odd about it."""
_UNHEARD.disabled = True


@dataclass(frozen=True, slots=True)
class Kept:
    """Ages in seconds: of the liste blanche by its own date, of the annuaire since its import. None: there is none."""

    liste_blanche_age: float | None = None
    domains: int = 0
    annuaire_age: float | None = None
    mailboxes: int = 0


def kept(config: DirectoryConfig, folder: Path, clock: Clock) -> Kept:
    """Raises `OSError` when the folder can't be read."""
    if not folder.is_dir():
        return Kept()
    liste = ListeBlanche(config.liste_blanche, folder, clock=clock, observer=Unobserved(), said=_UNHEARD)
    annuaire = Annuaire(folder, minimum=config.annuaire.minimum)
    return Kept(liste.age(), liste.size, annuaire.age(clock.now()), len(annuaire))
