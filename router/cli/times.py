"""Times as people read them: `il y a 3 min`, `25/11 17:58`. Those that they type: `periods`."""

from __future__ import annotations

from datetime import datetime

from router.language import _


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
