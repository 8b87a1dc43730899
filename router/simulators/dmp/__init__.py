"""A DMP: TD2.1, TD3.1b, TD3.3c and TD0.2 in *authentification indirecte*, checked with code of its own (dmp §1–§5)."""

from router.simulators.dmp.config import DmpConfig, Received
from router.simulators.dmp.registry import APPROVED, ARCHIVED, DELETED, DEPRECATED, Document
from router.simulators.dmp.simulator import BASE_PATH, DmpSimulator

__all__ = [
    "APPROVED",
    "ARCHIVED",
    "BASE_PATH",
    "DELETED",
    "DEPRECATED",
    "DmpConfig",
    "DmpSimulator",
    "Document",
    "Received",
]
