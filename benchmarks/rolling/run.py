"""One rolling replacement from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from benchmarks.place import place
from benchmarks.rolling.measures import Gap, Starvation, longest_gap
from benchmarks.rolling.members import absent, members
from benchmarks.rolling.older import Older, unpack
from benchmarks.rolling.plan import REPLICAS, Plan, Result, Turn, Turned, together
from benchmarks.rolling.pods import ROOT, Ended, Pod
from benchmarks.rolling.service import Service, ServiceTraffic
from benchmarks.rolling.upgrade import check_version, migrate, pipelines_read
from benchmarks.soak.checker import Checker
from benchmarks.soak.environment import services
from benchmarks.soak.faults import AFTERMATH
from benchmarks.soak.observations import Observations, dead_letters, stories
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.serve import World

LOOK_SECONDS: Final = 0.25
PATIENCE: Final = 60.0
"""Seconds without anything new after which what is still missing is taken for lost."""
Tell = Callable[[str], None]


@dataclass
class _Scene:
    """Everything but the traffic: pods, neighbours, and what the judge reads."""

    pods: dict[str, Pod]
    world: World
    receiver: Hl7Peer
    ports: dict[str, int]
    servers: str
    broker: Callable[[], int]
    older: Older | None


@contextlib.asynccontextmanager
async def _scene(folder: Path, revision: str) -> AsyncIterator[_Scene]:
    older = unpack(revision, folder / "older") if revision else None
    code = older.folder if older else ROOT
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
            f"{role}-{slot}": Pod(role, slot, f"{network}.{number + 1}", folder / "pods" / f"{role}-{slot}", site, code)
            for number, (role, slot) in enumerate(slots)
        }
        try:
            yield _Scene(pods, played.world, receiver, played.ports, broker.servers, lambda: broker.pid, older)
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
    async with _scene(folder, plan.older) as scene:
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
        if self._scene.older is not None:
            check_version(pods, self._scene.older)
        self._tell(f"{len(pods)} pods are ready; the load begins")

    async def storm(self) -> None:
        """Load, and one turn after the other."""
        tasks = [asyncio.create_task(one) for one in (self._traffic.run(), self._watch(), self._starvation.watch())]
        try:
            await asyncio.sleep(self._plan.rest)
            since = time.time()
            await asyncio.sleep(self._plan.rest)
            calm = (since, time.time())
            if self._scene.older is not None:
                self._tell(await migrate(self._result.upgrade, self._scene.pods["journal-0"]))
                await asyncio.sleep(self._plan.rest)
            spans: list[tuple[Turn, float, int, float, float, float]] = []
            turns = deque(self._plan.turns)
            while turns:
                if len(turns) > 1 and not await self._may_start(turns[0]):
                    turns.rotate(-1)
                    continue
                taken = together(turns) if self._plan.at_once else [turns.popleft()]
                began = time.time()
                done = await asyncio.gather(*(self._take(turn) for turn in taken))
                await asyncio.sleep(self._plan.rest)
                for turn, (stopped, code, back) in zip(taken, done, strict=True):
                    spans.append((turn, stopped, code, back, began, time.time()))
                    self._tell(
                        f"{turn.name}: ended after {stopped:.1f} s with {code}, ready {back:.1f} s after its start"
                    )
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

    async def _may_start(self, turn: Turn) -> bool:
        """A gateway's init container asks the pipelines whether they read what it writes."""
        if self._scene.older is None or turn.role != "gateway":
            return True
        return await pipelines_read(self._result.upgrade, turn.name, self._scene.pods.values())

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
            pod.code = ROOT
        await pod.start(new=not turn.kill)
        try:
            back = await pod.ready()
        except Ended:
            if pod.code == ROOT:
                raise
            self._result.upgrade.refused[pod.name] = pod.last_words()
            pod.code = ROOT
            await pod.start()
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
            result.falls += [one for one in pod.falls if not one.older]
            if any(one.older for one in pod.falls):  # on tables that are newer than it: it must say so
                result.upgrade.refused[pod.name] = pod.last_words(20_000)
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
