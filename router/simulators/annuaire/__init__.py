"""A simulated annuaire santé: its FHIR interface and its extraction file (mssante §5)."""

from router.simulators.annuaire.people import Box, Organisation, Person, Practice
from router.simulators.annuaire.simulator import KEY, AnnuaireConfig, AnnuaireSimulator

__all__ = ["KEY", "AnnuaireConfig", "AnnuaireSimulator", "Box", "Organisation", "Person", "Practice"]
