"""A liste blanche of the fictitious domains, in the published form (mssante §6)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from router.simulators.sender.people import DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN

_SCHEMA: Final = "https://listeblanche.mssante.fr/schema"


def liste_blanche(domains: Iterable[str]) -> str:
    """Generated now: the domains of the fictitious people, and those of the site itself."""
    names = dict.fromkeys((DOCTOR_DOMAIN, HOSPITAL_DOMAIN, PATIENT_DOMAIN, *domains))
    lines = "".join(
        f"  <Domaine><Nom>{name}</Nom><Description>Démonstration</Description></Domaine>\n" for name in names
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListeBlanche xmlns="{_SCHEMA}">\n'
        f"  <DateDeGeneration>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</DateDeGeneration>\n{lines}</ListeBlanche>\n"
    )
