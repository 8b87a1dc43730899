"""The clock of France: on it people say times and are told them, whatever zone the machine has (a container: UTC)."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from router.language import _

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


def age(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 05`, `6 d`: how long ago something was."""
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        hours, minutes = divmod(int(seconds / 60), 60)
        return f"{hours} h {minutes:02}"
    return _("{days} d", days=f"{seconds / 86_400:.0f}")
