"""A data folder whose restore has not ended: no router starts on it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from router.errors import OperatorFault

FILE: Final = "restore.unfinished"


def refuse(data: Path) -> None:
    """For a router that starts. Raises `OperatorFault` (`RESTORE-UNFINISHED`)."""
    if (data / FILE).exists():
        raise OperatorFault("RESTORE-UNFINISHED", str(data), "a restore was cut short here: do it again")
