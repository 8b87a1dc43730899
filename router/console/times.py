"""Times on a page: the clock of France, the moment first and its age beside it."""

from __future__ import annotations

from router.french_time import clock, day, in_france
from router.language import _


def age(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 05`, `6 d`."""
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        hours, minutes = divmod(int(seconds / 60), 60)
        return f"{hours} h {minutes:02}"
    return _("{days} d", days=f"{seconds / 86_400:.0f}")


def moment(at: float | None) -> str:
    """`25/11/2026 17:58:03`; "" for none."""
    return f"{day(at)} {clock(at)}" if at else ""


def clock_of(at: float | None) -> str:
    """`17:58:03`; "" for none."""
    return clock(at) if at else ""


def day_of(at: float | None) -> str:
    """`25/11/2026`; "" for none."""
    return day(at) if at else ""


def iso(at: float | None) -> str:
    """With the offset of France, for `<time datetime>`."""
    return in_france(at).isoformat(timespec="seconds") if at else ""
