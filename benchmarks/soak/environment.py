"""Where the soak takes place: the real router in its processes, simulators, proxies before them, what can be hurt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from benchmarks.place import ROLES, Place, place
from benchmarks.soak.broker import RestartableBroker
from benchmarks.soak.proxy import Proxy
from benchmarks.soak.sealed import Seals
from router.demo.services import PostgresServer
from router.simulators.hl7_peer import Hl7Peer

READY_SECONDS: Final = 300.0
SESSION_SECONDS: Final = 6
DATABASES: Final = ("bus", "ledger", "journal")


@dataclass
class Environment:
    """What the faults strike and the traffic uses. `recovery`: kind of kill -> seconds until all worked again."""

    played: Place
    receiver: Hl7Peer
    proxies: dict[str, Proxy]
    ports: dict[str, int]
    """Where the sender connects, by feed: a proxy before the router's own port."""
    own: dict[str, int] = field(default_factory=dict)
    """The router's own ports, by feed, and `http`: where strangers connect."""
    broker: RestartableBroker | None = None
    postgres: PostgresServer | None = None
    seals: Seals | None = None
    visitors: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    slots: set[int] = field(default_factory=set)
    """Of visitors that have come, or are on their way."""
    recovery: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    own_ends: list[int] = field(default_factory=list)
    """Exit codes of a router that ended although nobody killed it."""
    _keeper: asyncio.Task[None] | None = None
    _expected: bool = False

    @property
    def kafka(self) -> bool:
        return self.broker is not None

    @property
    def watched(self) -> Path:
        """The folder that the feed `relais` watches."""
        return self.played.folder / "in"

    @property
    def data(self) -> Path:
        return self.played.folder / "var"

    # ---------------------------------------------------------------------------------------- the router

    async def start(self) -> None:
        """Start the router and keep it running, as systemd would; returns when every worker works."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())
        await self.ready()

    async def _launch(self) -> None:
        for file in (self.data / "run").glob("*-0.json"):
            file.unlink(missing_ok=True)
        with self.played.log.open("ab") as log:
            self.played.router = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.cli.main", "run", "--site", str(self.played.site),
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def _keep(self) -> None:
        while True:
            assert self.played.router is not None
            code = await self.played.router.wait()
            if self._expected:
                self._expected = False
            elif not self.kafka:
                self.own_ends.append(code)
            await asyncio.sleep(0.3)
            await self._launch()

    async def ready(self) -> None:
        """Every worker says that it works. Raises TimeoutError with the log's place."""
        end = time.monotonic() + READY_SECONDS
        while not all(self.alive(role) for role in ROLES):
            if time.monotonic() > end:
                raise TimeoutError(f"the router does not work again: see {self.played.log}")
            await asyncio.sleep(0.05)

    async def mostly_up(self) -> None:
        """At most two workers are away: a router that never comes up on a slow machine would prove nothing."""
        end = time.monotonic() + READY_SECONDS
        while sum(map(bool, map(self.alive, ROLES))) < len(ROLES) - 2:
            if time.monotonic() > end:
                raise TimeoutError(f"the router does not work again: see {self.played.log}")
            await asyncio.sleep(0.05)

    def alive(self, role: str) -> int:
        """The pid of a role's worker that says it works, 0 while it doesn't."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid = int(json.loads((self.data / "run" / f"{role}-0.json").read_text())["pid"])
            if b"router.runtime.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    def starved(self, role: str) -> float:
        """Seconds for which a role's first thread has stood ready to run without a processor (Linux schedstat)."""
        with contextlib.suppress(OSError, IndexError):
            return int(Path(f"/proc/{self.alive(role)}/schedstat").read_text().split()[1]) / 1e9
        return 0.0

    async def stop(self) -> None:
        """SIGTERM; the router drains."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        for visitor in list(self.visitors.values()):
            if visitor.returncode is None:
                visitor.kill()
            await visitor.wait()
        self.visitors.clear()
        await self.played.stop()

    # --------------------------------------------------------------------------------------------- kills

    async def kill_worker(self, role: str) -> None:
        """SIGKILL of one worker; in the background, the time until its successor works is taken."""
        pid = self.alive(role)
        if pid:
            _signal(pid, signal.SIGKILL)
            await self._time(f"worker {role}", lambda: self.alive(role) not in (0, pid))

    async def kill_router(self, *, whole: bool) -> None:
        """SIGKILL of the supervisor alone, or of it and all workers at once."""
        router = self.played.router
        assert router is not None
        old = {role: self.alive(role) for role in ROLES}
        if router.returncode is None:
            (os.killpg if whole else os.kill)(router.pid, signal.SIGKILL)
            self._expected = True
        name = "whole router" if whole else "supervisor"
        await self._time(name, lambda: all(self.alive(role) not in (0, old[role]) for role in ROLES))

    async def _time(self, kind: str, truth: Any) -> None:
        began = time.monotonic()
        while not truth():
            if time.monotonic() - began > READY_SECONDS:
                raise TimeoutError(f"{kind}: not back after {READY_SECONDS:.0f} s: see {self.played.log}")
            await asyncio.sleep(0.05)
        self.recovery.setdefault(kind, []).append(time.monotonic() - began)

    async def freeze(self, role: str, seconds: float) -> None:
        """SIGSTOP of one worker, SIGCONT after so long."""
        pid = self.alive(role)
        if not pid:
            return
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        except ProcessLookupError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGCONT)
            os.close(handle)

    async def visit(self, role: str, seconds: float, *, kill: bool) -> None:
        """A second slot of a role comes for a while and goes, politely or not: partitions move there and back."""
        slot = next(number for number in range(1, 9) if number not in self.slots)
        self.slots.add(slot)  # before anything is waited for: another visitor may come meanwhile
        with self.played.log.open("ab") as log:
            visitor = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.runtime.process", str(self.played.site), role, str(slot),
                stdout=log, stderr=log,
            )  # fmt: skip
        self.visitors[slot] = visitor
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(visitor.wait(), seconds)
        if visitor.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (visitor.kill if kill else visitor.terminate)()
            try:
                await asyncio.wait_for(visitor.wait(), 30)
            except TimeoutError:
                visitor.kill()
                await visitor.wait()
        self.visitors.pop(slot, None)  # gone already where the router was stopped meanwhile
        self.slots.discard(slot)

    # -------------------------------------------------------------------------------------------- memory

    def look(self) -> None:
        """Take note of every process's peak memory, in megabytes."""
        if self.played.router is None or self.played.router.returncode is not None:
            return
        with contextlib.suppress(OSError):
            for role, peak in self.played.memory().items():
                self.peaks[role] = max(self.peaks.get(role, 0.0), peak)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def quiet_port() -> int:
    """A port below the ephemeral range: who connects again while nobody listens must never meet himself there."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.asynccontextmanager
async def environment(folder: Path, bus: str, *, sealed: bool = False) -> AsyncIterator[Environment]:
    """A site in an empty `folder` on this bus, everything but the router running. sealed: bus, with an archive."""
    async with AsyncExitStack() as stack:
        broker, postgres, keys = await services(stack, folder, bus)
        played = await stack.enter_async_context(
            place(folder / "site", bus=keys, national=True, checked=True, replies=True)
        )
        world = played.world
        assert world is not None
        receiver = await stack.enter_async_context(Hl7Peer(port=played.relay_port))
        own, http = {"relais": quiet_port(), "sil": quiet_port()}, quiet_port()
        targets = {
            "dmp": world.dmp.port, "smtp": world.mssante.smtp_port, "imap": world.mssante.imap_port,
            "receiver": receiver.port, "sender": world.sender.port, **own,
        }  # fmt: skip
        proxies = {name: await stack.enter_async_context(Proxy(port)) for name, port in targets.items()}
        _rewrite(played, proxies, own, http)
        places = (played.folder / "var" / "bus.db", played.folder / "var" / "archive", folder / "kafka")
        seals = Seals.on(played.site, *places) if sealed else None
        made = Environment(
            played, receiver, proxies, {name: proxies[name].port for name in own}, own | {"http": http},
            broker=broker, postgres=postgres, seals=seals,
        )  # fmt: skip
        try:
            yield made
        finally:
            await made.stop()


async def services(
    stack: AsyncExitStack, folder: Path, bus: str
) -> tuple[RestartableBroker | None, PostgresServer | None, dict[str, Any]]:
    if bus == "sqlite":
        return None, None, {}
    broker = RestartableBroker(folder / "kafka", quiet_port())
    stack.push_async_callback(broker.stop)
    await broker.start()
    postgres = PostgresServer()
    stack.callback(postgres.remove)
    postgres.start()
    keys = {
        "bus": {
            "type": "kafka", "servers": broker.servers, "replication_factor": 1, "min_insync_replicas": 1,
            "session_timeout": SESSION_SECONDS,
        },
        "database": {"url": postgres.sqlalchemy_url},
    }  # fmt: skip
    return broker, postgres, keys


def _rewrite(played: Place, proxies: dict[str, Proxy], own: dict[str, int], http: int) -> None:
    """The benchmark's site, with proxies before everything, every way in, reports read, and quick restarts."""
    yaml = YAML()
    site = yaml.load(played.site.read_text())
    sinks = site["sinks"]
    for feed, port in own.items():
        site["feeds"][feed]["mllp"]["port"] = port
    folder = played.folder / "in"
    folder.mkdir()
    site["feeds"]["relais"] |= {"http": True, "folder": {"path": str(folder), "settle": 0, "interval": 0.3}}
    site["http"] = {"port": http, "max_connections": 60}
    url = sinks["dmp.essai"]["url"]
    sinks["dmp.essai"]["url"] = url.replace(f":{proxies['dmp'].target}/", f":{proxies['dmp'].port}/")
    sinks["mssante.essai"] |= {
        "port": proxies["smtp"].port,
        "timeout": 20,
        "data_timeout": 30,
        "imap": {
            "host": "127.0.0.1", "port": proxies["imap"].port, "login": {"auth": "externe"}, "poll_seconds": 0.5,
            "timeout": 10,
        },
    }  # fmt: skip
    sinks["hl7.dpi"]["port"] = proxies["receiver"].port
    sinks["hl7.expediteur"] |= {"port": proxies["sender"].port, "timeout": 5}
    site["limits"] = {"restart_ceiling": 0.5, "drain_seconds": 5}
    with played.site.open("w", encoding="utf-8") as file:
        yaml.dump(site, file)
