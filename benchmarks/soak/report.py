"""A soak's result, for a terminal and as Markdown."""

from __future__ import annotations

import platform
import time
from collections import Counter
from math import isfinite
from statistics import median

from benchmarks.soak.run import Result
from benchmarks.soak.waits import told


def lines(result: Result) -> list[str]:
    """For a terminal."""
    out = ["", *(f"{name:34} {value}" for name, value in _facts(result))]
    if result.violations:
        out.append("")
        for one in result.violations:
            out.append(f"{one.kind.upper()} {one.control}: {one.text}")
        for control, story in result.stories.items():
            out += ["", f"explain {control}", story.rstrip()]
    return out


def _facts(result: Result) -> list[tuple[str, str]]:
    facts = [
        ("kills", f"{sum(result.kills.values())}: {_list(result.kills)}"),
        ("other faults", f"{_list(result.troubles)}; {result.cuts} connections cut half-way"),
        ("acknowledged", f"{result.acknowledged}; {result.resent} sendings got no answer and were repeated"),
    ]
    if result.sealed:
        facts.append(("sealed: nothing in clear, every content as it was kept", _list(result.sealed)))
    if result.hostile:
        facts.append(("hostile peers", _list(result.hostile)))
    if result.waits is not None:
        facts.append(("answers without faults, before hostile peers", told(result.waits.before)))
        facts.append(("answers without faults, among hostile peers", told(result.waits.among)))
        late, share = str(len(result.waits.delayed())), f"{result.waits.starved:.0%}"
        judged = "" if result.waits.judged else ": too much to judge by"
        facts.append(("delayed among hostile peers, more than 2 s", late))
        facts.append(("gateway waiting for a processor meanwhile", f"{share} of the time{judged}"))
    facts += [(name, str(value)) for name, value in sorted(result.counts.items())]
    facts += [
        ("dead letters", _list(Counter(f"{one.sink or 'intake'} {one.code}" for one in result.letters)) or "none")
    ]
    for kind, times in sorted(result.recovery.items()):
        facts.append((f"recovery, {kind}", f"median {median(times):.1f} s, longest {max(times):.1f} s"))
    if result.own_ends:
        facts.append(("router ended by itself, exit codes", " ".join(map(str, result.own_ends))))
    facts.append(("peak memory, MB", _list({role: round(peak) for role, peak in result.peaks.items()})))
    facts.append(("time", f"{result.seconds:.0f} s, of which {result.drained:.0f} s to drain at the end"))
    return facts


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _limit(minutes: float) -> str:
    return f" --minutes {minutes:g}" if isfinite(minutes) else ""


def markdown(result: Result) -> str:
    """The report that `--report` writes."""
    plan = result.plan
    cells = "\n".join(f"| {name} | {value} |" for name, value in _facts(result))
    options = f"--kills {plan.kills} --bus {plan.bus} --seed {plan.seed}{_limit(plan.minutes)}"
    options += "" if plan.hostile else " --no-hostile"
    options += " --sealed" if plan.sealed else ""
    broken = "\n".join(f"- **{one.kind}** `{one.control}`: {one.text}" for one in result.violations) or "None."
    return f"""# Soak

Written by `python -m benchmarks.soak {options}` on \
{time.strftime("%Y-%m-%d")}, Python {platform.python_version()}, {platform.system()}.

**{result.last_line}**

The real router works under a steady load while processes are killed and frozen, sockets cut, answers held back,
databases locked or restarted, second slots come and go, and hostile peers attack every way in (slow bodies, half
frames, poison mails, forged reports, hostile files). What is judged was seen from outside: what the sender got as ACK
and when, what it was told, what the DMP, the mail operator and the HL7 receiver really received. How it is judged:
`benchmarks/soak/checker.py`; how it is done: `benchmarks/README.md`.

| | |
|---|---|
{cells}

## Broken promises

{broken}
"""
