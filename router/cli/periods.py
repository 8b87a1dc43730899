"""Periods of the options `--since` and `--until`: what can't be meant ends the command with a sentence."""

from __future__ import annotations

from router.cli.output import fail
from router.language import translated


def since(text: str, now: float) -> float | None:
    """See `router.journal.periods.since`."""
    return period(text, "", now)[0]


def period(since_text: str, until_text: str, now: float) -> tuple[float | None, float | None]:
    """See `router.journal.periods.period`."""
    from router.journal import periods
    from router.journal.criteria import BadCriterion

    try:
        return periods.period(since_text, until_text, now)
    except BadCriterion as fault:
        fail(translated(fault.text))
