"""One soak from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from benchmarks.soak.checker import Checker, Violation
from benchmarks.soak.environment import Environment, environment
from benchmarks.soak.faults import Faults
from benchmarks.soak.history import Letter
from benchmarks.soak.hostile import Hostile
from benchmarks.soak.observations import Observations, dead_letters, stories
from benchmarks.soak.traffic import Pace, Traffic
from benchmarks.soak.waits import Comparison

LOOK_SECONDS = 0.25
PATIENCE = 90.0
"""Seconds without anything new after which what is still missing is taken for lost."""
QUIET = 4.0
"""Seconds after the last restart in which nothing may leave again."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `pause`: mean seconds between two kills; `minutes`: of faults at most, then it drains.

    hostile: strangers attack, from before the first fault until the last; `besieged`: seconds without a fault in which
    the waiting of good senders is measured, once before the strangers come and once among them.
    sealed: the bus is sealed and an archive kept; the master key changes under load (`benchmarks.soak.sealed`).
    """

    kills: int
    seed: int
    bus: str = "sqlite"
    pause: float = 1.4
    minutes: float = inf
    pace: Pace = field(default_factory=Pace)
    warm: float = 3.0
    hostile: bool = True
    besieged: float = 15.0
    sealed: bool = False


@dataclass
class Result:
    """What came of it. Seconds; megabytes."""

    plan: Plan
    acknowledged: int = 0
    violations: list[Violation] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, int] = field(default_factory=dict)
    recovery: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    stories: dict[str, str] = field(default_factory=dict)
    resent: int = 0
    cuts: int = 0
    own_ends: list[int] = field(default_factory=list)
    seconds: float = 0.0
    drained: float = 0.0
    hostile: dict[str, int] = field(default_factory=dict)
    sealed: dict[str, int] = field(default_factory=dict)
    waits: Comparison | None = None

    def total(self, kind: str) -> int:
        return sum(one.kind == kind for one in self.violations)

    @property
    def last_line(self) -> str:
        lost, twice, inverted = (self.total(kind) for kind in ("lost", "duplicated", "inverted"))
        return f"soak: {lost} lost, {twice} duplicated, {inverted} inverted of {self.acknowledged}"


async def soak(folder: Path, plan: Plan, tell: Tell = lambda _: None) -> Result:
    """Play the plan in an empty folder. What fails the soak is in `violations`; exceptions are the scenery's."""
    began = time.monotonic()
    random.seed(plan.seed)
    result = Result(plan)
    async with environment(folder, plan.bus, sealed=plan.sealed) as place:
        world = place.played.world
        assert world is not None
        faults = Faults(place, plan.seed, plan.kills, pause=plan.pause, minutes=plan.minutes)
        checker = Checker(faults.hidden)
        traffic = Traffic(checker, place.ports, plan.seed, plan.pace, place.watched)
        hostile = Hostile(place.own, place.watched, world.mssante, checker, plan.seed) if plan.hostile else None
        observations = Observations(checker, world, place.receiver)
        world.mssante.refuse(traffic.full_for_good.address, 552, "5.2.2", "mailbox full")
        world.mssante.refuse(traffic.full_for_now.address, 452, "4.2.2", "mailbox full")
        await place.start()
        tell("the router works; the load begins")
        play = _Play(place, faults, checker, traffic, observations, result, tell, hostile)
        await play.storm(plan.warm)
        await play.drain(lambda: [one for one in checker.open if traffic.full_for_now.address not in one[1]])
        await world.mssante.reset()
        world.mssante.refuse(traffic.full_for_good.address, 552, "5.2.2", "mailbox full")
        tell("the mailbox that was full for the whole run is emptied")
        await play.drain(lambda: list(checker.open))
        if hostile is not None:
            await hostile.read_out()
        await play.once_more()
        await play.finish()
    result.seconds = time.monotonic() - began
    return result


@dataclass
class _Play:
    place: Environment
    faults: Faults
    checker: Checker
    traffic: Traffic
    observations: Observations
    result: Result
    tell: Tell
    hostile: Hostile | None

    async def storm(self, warm: float) -> None:
        """Load and faults, until the kills are done and the sender has its answers."""
        sending = asyncio.create_task(self.traffic.run())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.sleep(warm)
            if self.hostile is not None:
                await self._besiege(self.hostile)
            striking = asyncio.create_task(self.faults.run())
            rotating = asyncio.create_task(self._rotate())
            done, _ = await asyncio.wait({sending, striking}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await rotating
            if self.hostile is not None:
                await self.hostile.stop()
            self.tell("no more faults; what was sent must now arrive")
            self.traffic.stop()
            await sending
        finally:
            for task in (sending, watching):
                task.cancel()
            if self.hostile is not None:
                await self.hostile.stop()
            await asyncio.gather(sending, watching, return_exceptions=True)

    async def _rotate(self) -> None:
        """The master key is changed while processes fall: after some faults, and done before the last is judged."""
        if self.place.seals is not None:
            await asyncio.sleep(self.result.plan.pause * 2)
            await self.place.seals.rotate()
            self.tell("the master key was changed, and the old one is gone")

    async def _besiege(self, hostile: Hostile) -> None:
        """Measure how long good senders wait, let the strangers in, measure again; no fault strikes meanwhile."""
        seconds, waits = self.result.plan.besieged, self.traffic.waits
        before = await waits.window(seconds)
        hostile.start()
        self.tell("hostile peers come")
        starved, since = self.place.starved("gateway"), time.monotonic()
        among = await waits.window(seconds)
        share = (self.place.starved("gateway") - starved) / (time.monotonic() - since)
        self.result.waits = Comparison(before, among, share)
        self.checker.compared(self.result.waits)

    async def _watch(self) -> None:
        seen, last = 0, time.monotonic()
        while True:
            self.observations.look()
            self.place.look()
            for one in self.checker.violations[seen:]:
                self.tell(f"{one.kind}: {one.control}: {one.text}")
            seen = len(self.checker.violations)
            if time.monotonic() - last > 10:
                last = time.monotonic()
                self.tell(self._state())
            await asyncio.sleep(LOOK_SECONDS)

    def _state(self) -> str:
        return (
            f"{self.faults.done} kills, {sum(self.faults.troubles.values())} other faults; "
            f"{len(self.checker.acked)} acknowledged, {len(self.checker.open)} destinations open"
        )

    async def drain(self, left: Callable[[], list[tuple[str, str]]]) -> None:
        """Until nothing is left, or nothing new has happened for a while."""
        began = last = time.monotonic()
        told = began
        while left():
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if self.observations.look():
                last = now
            if now - last > PATIENCE:
                break
            if now - told > 10:
                told = now
                self.tell(f"{len(left())} destinations open")
        self.result.drained += time.monotonic() - began

    async def once_more(self) -> None:
        """Everything has ended: after one more restart of the whole router nothing may leave again."""
        self.tell("everything has ended; one more restart, after which nothing may leave again")
        started = time.time()
        await self.place.kill_router(whole=True)
        await self.place.ready()
        await asyncio.sleep(QUIET)
        self.checker.quiet_since(started)
        self.observations.look()

    async def finish(self) -> None:
        """The last judgement, with the dead letters of the command line."""
        checker, result, place = self.checker, self.result, self.place
        self.tell("the dead letters, and what is left without an explanation, are asked of the command line")
        asked = [*checker.unexplained(), *(one for one in checker.open if not one[1].startswith("told:"))]
        site = place.played.site
        result.letters = await dead_letters(site, self._sure(asked))
        result.violations = checker.finish(result.letters, self.observations.approved())
        if place.seals is not None:
            result.violations += await place.seals.judged()
            result.sealed = {"rotations": place.seals.rotated, "bytes read": place.seals.read, **place.seals.kept}
        result.stories = await stories(site, (one.control for one in result.violations))
        place.look()
        result.acknowledged = len(checker.acked)
        result.counts = dict(checker.counts)
        result.kills, result.troubles = dict(self.faults.kills), dict(self.faults.troubles)
        result.recovery, result.peaks = place.recovery, place.peaks
        result.hostile = dict(self.hostile.done) if self.hostile is not None else {}
        result.resent, result.own_ends = self.traffic.resent, place.own_ends
        result.cuts = sum(proxy.cuts for proxy in place.proxies.values())

    def _sure(self, asked: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Without what the recipient's address is enough to recognise."""
        return [one for one in asked if self.traffic.full_for_good.address not in one[1]]


def play(folder: Path, plan: Plan, tell: Tell = lambda _: None) -> Result:
    """`soak` on a loop of its own."""
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        return uvloop.run(soak(folder, plan, tell))
    raise SystemExit(130)
