"""Times on a page: the clock of France, the moment first and its age beside it."""

from __future__ import annotations

from router.french_time import clock, day, in_france


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
