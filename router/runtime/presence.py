"""Is the router running? Asked by every command whose answer depends on it, and by `status`.

Two know it: the lock on the data folder (`runtime.tenure`), for this machine, and the bus, which knows the living
members of its groups, on whatever machine they are. A gateway is a member of no group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from router.config.site import Site
from router.contracts import Bus, out_topic
from router.errors import RouterError
from router.runtime.supervisor.workers import LastState, last_state
from router.runtime.tenure import runs

#: Role -> the group in which its workers read. Those of the sinks have a group for each sink.
GROUPS: Final = {"pipelines": "pipelines", "feedback": "feedback", "journal": "journal"}

Running = Literal["here", "elsewhere", "stopped", "never", "unknown"]


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the router runs, and since when it does or does not. Times are Unix seconds.

    state:    `here`: on this data folder; `elsewhere`: on other machines only, as the bus says; `stopped`;
              `never`: nothing has run on this data folder yet; `unknown`: the folder can't be looked into
    since:    start of the router that runs here, or the last sign of life of one that has stopped; 0: not known
    drained:  of one that has stopped: whether it ended as it was told to, its workers first
    workers:  living members of the bus's groups, on any machine (`sinks-0`); None: the bus did not say
    """

    state: Running
    since: float = 0.0
    drained: bool = True
    workers: tuple[str, ...] | None = None

    @property
    def running(self) -> bool:
        """True as well when nobody can say: what is not known is not claimed."""
        return self.state in ("here", "elsewhere", "unknown")


def groups_of(sinks: Iterable[str]) -> list[str]:
    """Every group of the bus in which workers of a site read."""
    return [*GROUPS.values(), *map(out_topic, sinks)]


def presence(site: Site, bus: Bus | None) -> Presence:
    """Look now. `bus`: None when it is not open. Raises nothing."""
    workers = living(bus, groups_of(site.config.sinks)) if bus is not None else None
    try:
        here = runs(site.data)
    except OSError:
        return Presence("elsewhere" if workers else "unknown", workers=workers)
    said = last_state(site.data / "run" / "state.json")
    if here:
        return Presence("here", _started(said), workers=workers)
    if workers:
        return Presence("elsewhere", workers=workers)
    if said is None:
        return Presence("never", workers=workers)
    return Presence("stopped", said.written, said.drained, workers=workers)


def living(bus: Bus, groups: Collection[str]) -> tuple[str, ...] | None:
    """The living workers of these groups, each once; None when the bus can't say."""
    try:
        found = bus.living(groups)
    except RouterError:
        return None
    return tuple(sorted({_worker(name) for names in found.values() for name in names}))


def _worker(member: str) -> str:
    """`sinks-0` of the member `sinks-0-dmp.chu`: a worker of the sinks is a member for each of them."""
    return "-".join(member.split("-")[:2])


def _started(said: LastState | None) -> float:
    """0 while the one that runs has not written its state: then it is still opening bus and ledger."""
    if said is None or said.drained:
        return 0.0
    return said.started
