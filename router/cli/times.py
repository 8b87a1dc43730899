"""Times as people type and read them: `2h`, `il y a 3 min`, `25/11 17:58`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from router.cli.output import fail
from router.language import _

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "j": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|j)")


def since(text: str, now: float) -> float:
    """Unix time of `30m`, `2h`, `3d` ago, or of an ISO date or time; 0.0 for "". Fails with a sentence otherwise."""
    if not text:
        return 0.0
    if found := _DURATION.fullmatch(text.strip()):
        return now - float(found[1]) * _UNITS[found[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        fail(_("{text} is no time: write 30m, 2h, 3d, 2026-11-25 or 2026-11-25T14:00", text=repr(text)))


def age(at: float, now: float) -> str:
    """`40 s`, `3 min`, `2 h 05`, `6 d`: how long ago that was."""
    seconds = max(0.0, now - at)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        hours, minutes = divmod(int(seconds / 60), 60)
        return f"{hours} h {minutes:02}"
    return _("{days} d", days=f"{seconds / 86_400:.0f}")


def ago(at: float, now: float) -> str:
    """`3 min ago`, `il y a 3 min`."""
    return _("{age} ago", age=age(at, now))


def moment(at: float) -> str:
    """Day, month and time of the machine's own clock; "" for 0."""
    return datetime.fromtimestamp(at).strftime("%d/%m/%Y %H:%M:%S") if at else ""
