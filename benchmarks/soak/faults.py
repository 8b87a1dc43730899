"""What goes wrong, when, drawn from the seed. Kills follow one another; other troubles overlap them freely."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from benchmarks.place import ROLES
from benchmarks.soak.environment import DATABASES, Environment
from benchmarks.soak.proxy import Proxy, Side

KILLS: Final = {
    "worker sinks": 28, "worker pipelines": 24, "worker gateway": 20, "worker feedback": 10, "worker journal": 6,
    "whole router": 5, "supervisor": 4, "second slot": 3,
}  # fmt: skip
TROUBLES: Final = {"freeze": 30, "cut": 40, "slow": 15, "second slot": 10, "database": 10}
AFTERMATH: Final = 60.0
"""Seconds for which a fault may explain a repeat: a cut answer is known to be lost only at its time-out."""


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault, in Unix seconds."""

    kind: str
    start: float
    end: float


class Faults:
    """`run` strikes until so many processes were killed by SIGKILL, or time is over; then everything is whole again."""

    def __init__(
        self, environment: Environment, seed: int, kills: int, *, pause: float = 1.4, minutes: float = inf
    ) -> None:
        """`pause`: mean seconds between two kills; `minutes`: it strikes no longer than that."""
        self._environment = environment
        self._rng = random.Random(f"faults {seed}")
        self._wanted, self._pause, self._seconds = kills, pause, minutes * 60
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.struck: list[Struck] = []
        self._kinds = dict(KILLS) | ({"broker": 10} if environment.kafka else {})
        self._others = dict(TROUBLES) | ({"broker freeze": 5} if environment.kafka else {})

    @property
    def done(self) -> int:
        return sum(self.kills.values())

    def hidden(self, since: float, until: float) -> bool:
        """Whether a fault between these moments, or shortly before, may have hidden an outcome from the router."""
        return any(one.start <= until and one.end + AFTERMATH >= since for one in reversed(self.struck))

    async def run(self) -> None:
        troubles = asyncio.create_task(self._trouble())
        try:
            end = time.monotonic() + self._seconds
            while self.done < self._wanted and time.monotonic() < end:
                before = self.done
                await self._environment.mostly_up()
                await self._kill()
                await self._rest(self._pause if self.done > before else 0.1)
        finally:
            troubles.cancel()
            await asyncio.gather(troubles, return_exceptions=True)
            await asyncio.gather(*self._tasks)
            for proxy in self._environment.proxies.values():
                proxy.calm()
        await self._environment.ready()

    async def _rest(self, mean: float) -> None:
        await asyncio.sleep(self._rng.uniform(0.3, 1.7) * mean)

    def _draw(self, kinds: dict[str, int]) -> str:
        return self._rng.choices(list(kinds), list(kinds.values()))[0]

    # -------------------------------------------------------------------------------------------- kills

    async def _kill(self) -> None:
        kind = self._draw(self._kinds)
        if kind.startswith("worker "):
            role = kind.removeprefix("worker ")
            if not self._environment.alive(role) or kind in self._busy:
                return
            self._begin(kind, self._environment.kill_worker(role))
            self.kills[kind] += 1
        elif kind == "second slot":
            role, seconds = self._rng.choice(("sinks", "pipelines")), self._rng.uniform(3, 8)
            if len(self._environment.visitors) < 2:
                self._begin(kind, self._environment.visit(role, seconds, kill=True))
                self.kills[kind] += 1
        elif kind == "broker":
            if "broker" not in self._busy:
                self.kills[kind] += 1
                self._begin("broker", self._broker(self._rng.uniform(0.2, 5)))
        else:
            self.kills[kind] += 1
            await self._timed(kind, self._environment.kill_router(whole=kind == "whole router"))

    async def _broker(self, seconds: float) -> None:
        broker = self._environment.broker
        assert broker is not None
        await broker.kill()
        await asyncio.sleep(seconds)
        began = time.monotonic()
        for left in reversed(range(3)):
            try:
                await broker.start()
                break
            except (RuntimeError, TimeoutError):
                if not left:
                    raise
        self._environment.recovery.setdefault("broker", []).append(time.monotonic() - began)

    # ----------------------------------------------------------------------------------- other troubles

    async def _trouble(self) -> None:
        while True:
            await self._rest(2.5)
            await self._environment.mostly_up()
            kind = self._draw(self._others)
            what = self._make(kind)
            if what is not None:
                self.troubles[kind] += 1
                self._begin(kind, what)

    def _make(self, kind: str) -> Awaitable[None] | None:
        """A trouble to begin now; None when there is enough of that kind."""
        rng, environment = self._rng, self._environment
        proxy, role = environment.proxies[rng.choice(list(environment.proxies))], rng.choice(ROLES)
        frozen = rng.uniform(6, 20) if rng.random() < 0.25 else rng.uniform(1, 5)
        visited, held, during = rng.choice(("sinks", "pipelines")), rng.uniform(0.3, 4), rng.uniform(2, 8)
        enough = {"cut": False, "second slot": len(environment.visitors) >= 2, "broker freeze": "broker" in self._busy}
        if enough.get(kind, kind in self._busy):
            return None
        makers: dict[str, Callable[[], Awaitable[None]]] = {
            "cut": lambda: self._cut(proxy),
            "freeze": lambda: environment.freeze(role, frozen),
            "slow": lambda: _slow(proxy, held, during),
            "database": lambda: self._database(during),
            "second slot": lambda: environment.visit(visited, 2 * during, kill=False),
            "broker freeze": lambda: self._freeze_broker(frozen),
        }
        return makers[kind]()

    async def _cut(self, proxy: Proxy) -> None:
        rng = self._rng
        sides: tuple[Side, Side] = ("body", "answer")
        for _ in range(rng.randrange(1, 4)):
            proxy.cut(sides[rng.randrange(2)], rng.choice((0.0, rng.random(), 1.0)))
        if rng.random() < 0.3:
            proxy.cut_all()
        await asyncio.sleep(1)

    async def _freeze_broker(self, seconds: float) -> None:
        broker = self._environment.broker
        assert broker is not None
        self._busy.add("broker")
        try:
            broker.freeze()
            await asyncio.sleep(seconds)
        finally:
            broker.thaw()
            self._busy.discard("broker")

    async def _database(self, seconds: float) -> None:
        """SQLite: somebody holds the write lock. PostgreSQL: it is stopped at once and started again."""
        postgres = self._environment.postgres
        if postgres is not None:
            postgres.stop()
            await asyncio.sleep(seconds)
            postgres.start()
            return
        path = self._environment.data / f"{self._rng.choice(DATABASES)}.db"
        if not path.exists():
            return
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            for _ in range(200):
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute("BEGIN IMMEDIATE")
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(seconds)
        finally:
            connection.close()

    # ------------------------------------------------------------------------------------------ keeping

    def _begin(self, kind: str, what: Awaitable[None]) -> None:
        self._busy.add(kind)
        task = asyncio.ensure_future(self._timed(kind, what))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)  # one that failed stays, so that `run` fails with it

    async def _timed(self, kind: str, what: Awaitable[None]) -> None:
        start = time.time()
        self.struck.append(Struck(kind, start, float("inf")))
        place = len(self.struck) - 1
        try:
            await what
        finally:
            self.struck[place] = Struck(kind, start, time.time())
            self._busy.discard(kind)


async def _slow(proxy: Proxy, seconds: float, during: float) -> None:
    proxy.hold(seconds, during)
    await asyncio.sleep(during + seconds)
