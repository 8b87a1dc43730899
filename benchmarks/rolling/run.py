"""One rolling replacement from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from benchmarks.place import place
from benchmarks.rolling.measures import Gap, Starvation, longest_gap
from benchmarks.rolling.members import absent, members
from benchmarks.rolling.pods import Fall, Pod
from benchmarks.rolling.service import Service, ServiceTraffic
from benchmarks.soak.checker import Checker, Violation
from benchmarks.soak.environment import services
from benchmarks.soak.faults import AFTERMATH
from benchmarks.soak.observations import Observations, dead_letters, stories
from benchmarks.soak.traffic import Pace
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.serve import World

LOOK_SECONDS: Final = 0.25
PATIENCE: Final = 60.0
"""Seconds without anything new after which what is still missing is taken for lost."""
REPLICAS: Final = {"pipelines": 2, "sinks": 2, "feedback": 1, "journal": 1, "gateway": 2}
"""As the chart's values say; in the order of an upgrade: a new gateway waits for new pipelines."""
Tell = Callable[[str], None]


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. rest: seconds of load between two turns;  pre_stop: seconds from leaving the Service to SIGTERM."""

    seed: int
    turns: tuple[Turn, ...] = field(default_factory=every_turn)
    rest: float = 3.0
    pre_stop: float = 0.0
    pace: Pace = field(default_factory=lambda: Pace(relays=8, relay_rate=4.0, documents=2, ceiling=100_000))


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


@dataclass
class _Scene:
    """Everything but the traffic: pods, neighbours, and what the judge reads."""

    pods: dict[str, Pod]
    world: World
    receiver: Hl7Peer
    ports: dict[str, int]
    servers: str
    broker: Callable[[], int]


@contextlib.asynccontextmanager
async def _scene(folder: Path) -> AsyncIterator[_Scene]:
    async with AsyncExitStack() as stack:
        broker, _, keys = await services(stack, folder, "kafka")
        assert broker is not None
        played = await stack.enter_async_context(
            place(folder / "site", bus=keys, national=True, checked=True, replies=True)
        )
        assert played.world is not None
        receiver = await stack.enter_async_context(Hl7Peer(port=played.relay_port))
        site = _site(YAML(typ="safe").load(played.site.read_text()), played.folder, played.world)
        network = f"127.{random.SystemRandom().randrange(64, 250)}.{random.SystemRandom().randrange(1, 250)}"
        slots = [(role, slot) for role, count in REPLICAS.items() for slot in range(count)]
        pods = {
            f"{role}-{slot}": Pod(role, slot, f"{network}.{number + 1}", folder / "pods" / f"{role}-{slot}", site)
            for number, (role, slot) in enumerate(slots)
        }
        try:
            yield _Scene(pods, played.world, receiver, played.ports, broker.servers, lambda: broker.pid)
        finally:
            for pod in pods.values():
                if pod.process is not None:
                    await pod.kill()


def _site(site: dict[str, Any], folder: Path, world: World) -> dict[str, Any]:
    """The benchmark's site as a chart's ConfigMap has it: secrets in files, nothing beside the site file."""
    key = folder / "pseudonyms.key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    site["secret"] = {"file": str(key)}
    site["pipelines"] = str(folder / "pipelines")
    site["sinks"]["mssante.essai"]["imap"] = {
        "host": "127.0.0.1", "port": world.mssante.imap_port, "login": {"auth": "externe"}, "poll_seconds": 0.5,
    }  # fmt: skip
    return site


async def rolling(folder: Path, plan: Plan, tell: Tell = lambda _: None) -> Result:
    """Play the plan in an empty folder. What fails is in the result; exceptions are the scenery's, or a pod's start."""
    began = time.monotonic()
    result = Result(plan)
    async with _scene(folder) as scene:
        play = _Play(scene, plan, result, tell)
        await play.start()
        await play.storm()
        await play.drain()
        await play.finish()
    result.seconds = time.monotonic() - began
    return result


class _Play:
    def __init__(self, scene: _Scene, plan: Plan, result: Result, tell: Tell) -> None:
        self._scene, self._plan, self._result, self._tell = scene, plan, result, tell
        self._service = Service()
        self._hidden: list[tuple[float, float]] = []
        self._checker = Checker(self._may_hide)
        self._traffic = ServiceTraffic(self._checker, scene.ports, plan.seed, plan.pace, self._service)
        self._observations = Observations(self._checker, scene.world, scene.receiver)
        self._starvation = Starvation(self._acknowledging)
        self._since_boot = time.time() - time.monotonic()

    def _may_hide(self, since: float, until: float) -> bool:
        """Only SIGKILL may hide an outcome from the router: a polite stop repeats nothing."""
        return any(start <= until and end + AFTERMATH >= since for start, end in self._hidden)

    def _acknowledging(self) -> list[int]:
        """Pids of the processes between sender and acknowledgement; the sender is this one."""
        gateways = [pod.worker() for pod in self._scene.pods.values() if pod.role == "gateway"]
        return [os.getpid(), self._scene.broker(), *(pid for pid in gateways if pid)]

    # ------------------------------------------------------------------------------------------------ its parts

    async def start(self) -> None:
        """All pods at once, as at the first installation."""
        pods = self._scene.pods.values()
        for pod in pods:
            await pod.start()
        await asyncio.gather(*(pod.ready() for pod in pods))
        for pod in pods:
            if pod.role == "gateway":
                self._service.join(pod.address)
        self._tell(f"{len(pods)} pods are ready; the load begins")

    async def storm(self) -> None:
        """Load, and one turn after the other."""
        tasks = [asyncio.create_task(one) for one in (self._traffic.run(), self._watch(), self._starvation.watch())]
        try:
            await asyncio.sleep(self._plan.rest)
            since = time.time()
            await asyncio.sleep(self._plan.rest)
            calm = (since, time.time())
            spans: list[tuple[Turn, float, int, float, float, float]] = []
            for turn in self._plan.turns:
                began = time.time()
                stopped, code, back = await self._take(turn)
                await asyncio.sleep(self._plan.rest)
                spans.append((turn, stopped, code, back, began, time.time()))
                self._tell(f"{turn.name}: ended after {stopped:.1f} s with {code}, ready {back:.1f} s after its start")
                if tasks[0].done():
                    tasks[0].result()
            self._traffic.stop()
            await tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._observations.look()
        self._result.calm = self._measured(Turn("nobody", 0), 0.0, 0, 0.0, *calm)
        self._result.turned = [self._measured(*span) for span in spans]

    async def _take(self, turn: Turn) -> tuple[float, int, float]:
        pod = self._scene.pods[f"{turn.role}-{turn.slot}"]
        began = time.time()
        if turn.kill:
            pod.look()
            self._hidden.append((began, inf))
            await pod.kill()
            stopped, code = time.time() - began, -9
        else:
            self._service.leave(pod.address)
            await asyncio.sleep(self._plan.pre_stop)
            stopped, code = await pod.stop()
        await pod.start(new=not turn.kill)
        back = await pod.ready()
        if pod.role == "gateway":
            self._service.join(pod.address)
        if turn.kill:
            self._hidden[-1] = (began, time.time())
        return stopped, code, back

    async def _watch(self) -> None:
        while True:
            self._observations.look()
            for pod in self._scene.pods.values():
                pod.look()
            await asyncio.sleep(LOOK_SECONDS)

    def _measured(self, turn: Turn, stopped: float, code: int, back: float, since: float, until: float) -> Turned:
        between = self._starvation.between
        began = {one.control: one.began + self._since_boot for one in self._traffic.waits.done}
        acked = {one.control: began[one.control] + one.seconds for one in self._traffic.waits.done}
        silence = longest_gap(acked.values(), since, until)
        slow = max(
            (Gap(at, acked[name] - at) for name, at in began.items() if since < acked[name] <= until),
            key=lambda gap: gap.seconds, default=Gap(since, 0.0),
        )  # fmt: skip
        arrived: dict[str, float] = {}
        for one in self._scene.receiver.received:
            arrived.setdefault(one.control_id, one.at)
        ways = [at - began[name] for name, at in arrived.items() if name in began and since < at <= until]
        return Turned(
            turn, stopped, code, back,
            _starved(silence, between), _starved(slow, between),
            longest_gap(arrived.values(), since, until).seconds, max(ways, default=0.0),
            between(since, until) / (until - since),
        )  # fmt: skip

    async def drain(self) -> None:
        """Until everything has arrived, or nothing new has happened for a while."""
        last = time.monotonic()
        while self._checker.open and time.monotonic() - last < PATIENCE:
            await asyncio.sleep(LOOK_SECONDS)
            if self._observations.look():
                last = time.monotonic()
        self._tell(f"{len(self._checker.acked)} acknowledged; {len(self._checker.open)} destinations left")

    async def finish(self) -> None:
        """The judgement, with the dead letters of the command line."""
        checker, result, site = self._checker, self._result, self._scene.pods["journal-0"].site_file
        for pod in self._scene.pods.values():
            pod.look()
            result.falls += pod.falls
            result.other_names += pod.other_names
        result.members = await asyncio.to_thread(members, self._scene.servers)
        readers = [pod.name for pod in self._scene.pods.values() if pod.role != "gateway"]
        result.absent = absent(result.members, readers)
        asked = [*checker.unexplained(), *(one for one in checker.open if not one[1].startswith("told:"))]
        letters = await dead_letters(site, asked)
        result.letters = len(letters)
        result.violations = checker.finish(letters, self._observations.approved())
        result.stories = await stories(site, (one.control for one in result.violations))
        result.acknowledged, result.resent = len(checker.acked), self._traffic.resent
        result.counts = dict(checker.counts)


def _starved(gap: Gap, between: Callable[[float, float], float]) -> Gap:
    return Gap(gap.began, gap.seconds, min(gap.seconds, between(gap.began, gap.began + gap.seconds)))


def play(folder: Path, plan: Plan, tell: Tell = lambda _: None) -> Result:
    """`rolling` on a loop of its own."""
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        return uvloop.run(rolling(folder, plan, tell))
    raise SystemExit(130)
