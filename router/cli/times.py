"""Times as people read them: `il y a 3 min`, `25/11 17:58`. Those that they type: `periods`."""

from __future__ import annotations

from router import french_time
from router.french_time import clock, day
from router.language import _


def age(at: float, now: float) -> str:
    """See `french_time.age`."""
    return french_time.age(now - at)


def ago(at: float, now: float) -> str:
    """`3 min ago`, `il y a 3 min`."""
    return _("{age} ago", age=age(at, now))


def moment(at: float) -> str:
    """Day and time in France; "" for 0."""
    return f"{day(at)} {clock(at)}" if at else ""
