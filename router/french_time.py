"""The clock of France: on it people say times and are told them, whatever zone the machine has (a container: UTC)."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

PARIS: Final = ZoneInfo("Europe/Paris")


def in_france(at: float) -> datetime:
    """That moment, from Unix seconds."""
    return datetime.fromtimestamp(at, PARIS)


def day(at: float) -> str:
    """`25/11/2026`."""
    return in_france(at).strftime("%d/%m/%Y")


def clock(at: float, *, thousandths: bool = False) -> str:
    """`17:58:03` or `17:58:03,250`; with its offset in the hour that comes twice: `02:30:00 +0200`."""
    here = in_france(at)
    twice = here.replace(fold=0).utcoffset() != here.replace(fold=1).utcoffset()
    part = f",{int(at * 1000) % 1000:03}" if thousandths else ""
    return here.strftime("%H:%M:%S") + part + (here.strftime(" %z") if twice else "")
