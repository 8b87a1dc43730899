"""What is replaced in which order, and what came of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from benchmarks.rolling.measures import Gap
from benchmarks.rolling.pods import Fall
from benchmarks.rolling.upgrade import Upgrade
from benchmarks.soak.checker import Violation
from benchmarks.soak.traffic import Pace

REPLICAS: Final = {"pipelines": 2, "sinks": 2, "feedback": 1, "journal": 1, "gateway": 2}
"""As the chart's values say; in the order of an upgrade: a new gateway waits for new pipelines."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One pod is replaced. kill: by SIGKILL and started again in its place, else by SIGTERM and a new pod."""

    role: str
    slot: int
    kill: bool = False

    @property
    def name(self) -> str:
        return f"{self.role}-{self.slot}{' killed' if self.kill else ''}"


def every_turn() -> tuple[Turn, ...]:
    """Each pod once, the highest slot of a role first as a StatefulSet does; then one pod of each kind is killed."""
    polite = [Turn(role, slot) for role, count in REPLICAS.items() for slot in reversed(range(count))]
    return (*polite, *(Turn(role, 0, kill=True) for role in REPLICAS))


def upgrade_turns() -> tuple[Turn, ...]:
    """Each pod once, so that for every pair of neighbouring roles each version works with the other; first one falls.

    Kubernetes replaces the pods of all roles at the same time: only a gateway waits for what it needs.
    """
    named = ("pipelines-1", "gateway-1", "sinks-1", "journal-0", "feedback-0", "pipelines-0", "gateway-0")
    polite = [Turn(role, int(slot)) for role, _, slot in (name.partition("-") for name in named)]
    return (Turn("sinks", 0, kill=True), *polite)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. rest: seconds of load between two turns;  pre_stop: seconds from leaving the Service to SIGTERM.

    older: the revision with which the pods begin; "": they are replaced by their like
    at_once: turns of several roles that follow each other are taken at the same time, as Kubernetes does; not those of
    gateways, whose waits are measured one by one
    """

    seed: int
    older: str = ""
    turns: tuple[Turn, ...] = field(default_factory=every_turn)
    rest: float = 3.0
    pre_stop: float = 0.0
    at_once: bool = False
    pace: Pace = field(default_factory=lambda: Pace(relays=8, relay_rate=4.0, documents=2, ceiling=100_000))


def together(turns: deque[Turn]) -> list[Turn]:
    """Take off the first turn, and those that follow it and may be taken at the same time: polite, one of each role."""
    found = [turns.popleft()]
    while turns and not any(one.kill or one.role == "gateway" for one in (found[0], turns[0])):
        if turns[0].role in {one.role for one in found}:
            break
        found.append(turns.popleft())
    return found


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turn was like. Seconds.

    stopped: from SIGTERM to the end of the pod;  code: its exit code;  back: from its start until it was ready
    silence: the longest stretch in which no sender got an acknowledgement
    waited:  the longest that one message waited for its acknowledgement, sendings again included
    arrivals: the longest stretch in which no relay arrived;  late: the longest way of a relay, from sending to arrival
    share:   of the time, for which a process between sender and acknowledgement waited for a processor
    """

    turn: Turn
    stopped: float
    code: int
    back: float
    silence: Gap
    waited: Gap
    arrivals: float
    late: float
    share: float


@dataclass
class Result:
    """What came of it."""

    plan: Plan
    turned: list[Turned] = field(default_factory=list)
    upgrade: Upgrade = field(default_factory=Upgrade)
    calm: Turned | None = None
    """The same measures while nothing was replaced."""
    violations: list[Violation] = field(default_factory=list)
    falls: list[Fall] = field(default_factory=list)
    other_names: list[str] = field(default_factory=list)
    members: dict[str, list[str]] = field(default_factory=dict)
    """Consumer group -> names of its static members, as the broker lists them at the end."""
    absent: list[str] = field(default_factory=list)
    """Pods that read topics and are in no group at the end."""
    counts: dict[str, int] = field(default_factory=dict)
    letters: int = 0
    stories: dict[str, str] = field(default_factory=dict)
    acknowledged: int = 0
    resent: int = 0
    seconds: float = 0.0

    def total(self, kind: str) -> int:
        return sum(one.kind == kind for one in self.violations)

    @property
    def fences(self) -> int:
        return sum(one.code == 75 for one in self.falls)
