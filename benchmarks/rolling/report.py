"""The result of a rolling replacement, as text and as a table."""

from __future__ import annotations

from typing import Final

from benchmarks.rolling.plan import REPLICAS, Result, Turned
from benchmarks.soak.waits import STARVED

ALLOWED: Final = 1.0
"""Seconds without an acknowledgement that a sender may see while there are two gateways."""


def broken(result: Result) -> list[str]:
    """What was promised and not kept, one sentence each."""
    found = [f"{one.kind}: {one.control}: {one.text}" for one in result.violations]
    found += [f"{one.pod}: its worker ended with {one.code}" for one in result.falls]
    found += result.other_names
    found += [f"{pod} is in no consumer group" for pod in result.absent]
    found += result.upgrade.broken()
    for one in result.turned:
        if not one.turn.kill and one.code:
            found.append(f"{one.turn.name}: stopped with {one.code} after {one.stopped:.1f} s")
        if judged(one) and max(one.silence.own, one.waited.own) > ALLOWED:
            found.append(f"{one.turn.name}: a sender waited {max(one.silence.own, one.waited.own):.1f} s")
    return found


def judged(one: Turned) -> bool:
    """Whether the waiting is the router's; on a machine that gave it no processor that can't be told."""
    return one.share <= STARVED


def lines(result: Result) -> list[str]:
    """A Markdown table, a line for each pod, then the totals."""
    head = (
        "| replaced | end, s | exit | ready after, s | no acknowledgement, s | one message waited, s "
        "| no arrival, s | longest way, s | waiting for a processor |"
    )
    rows = [_row(one) for one in ([result.calm] if result.calm else []) + result.turned]
    seen = [*result.turned]
    out = [head, "|" + "---|" * 9, *rows, ""]
    for role in REPLICAS:
        own = [one for one in seen if one.turn.role == role]
        if own:
            out.append(f"longest gap of {role}: {max(one.silence.seconds for one in own):.2f} s")
    out += [
        "",
        f"members: {'; '.join(f'{group}: {chr(32).join(ids)}' for group, ids in sorted(result.members.items()))}",
    ]
    out += [f"{name}: {count}" for name, count in sorted(result.counts.items())]
    out += [f"dead letters: {result.letters}", f"sent again: {result.resent}", f"time: {result.seconds:.0f} s"]
    if result.plan.older:
        upgrade = result.upgrade
        out += [f"from: {result.plan.older}; hook: {upgrade.migrated} ({upgrade.seconds:.1f} s)"]
        out += [
            f"{pod} fell, and its older version: {words.splitlines()[-1]}" for pod, words in upgrade.refused.items()
        ]
        out += [f"waited: {one}" for one in upgrade.waited]
    return [*out, *(f"BROKEN {one}" for one in broken(result))]


def _row(one: Turned) -> str:
    name = "nothing" if one.turn.role == "nobody" else one.turn.name
    gaps = (f"{gap.seconds:.2f} ({gap.own:.2f})" for gap in (one.silence, one.waited))
    numbers = (f"{one.stopped:.1f}", str(one.code), f"{one.back:.1f}", *gaps, f"{one.arrivals:.2f}", f"{one.late:.2f}")
    return f"| {name} | {' | '.join(numbers)} | {one.share:.0%} |"


def last_line(result: Result) -> str:
    """The verdict."""
    lost, twice, inverted = (result.total(kind) for kind in ("lost", "duplicated", "inverted"))
    longest = max((one.silence.seconds for one in result.turned), default=0.0)
    return (
        f"rolling: {lost} lost, {twice} duplicated, {inverted} inverted of {result.acknowledged}; "
        f"{result.fences} fences; longest gap {longest:.2f} s"
    )
