"""A gateway whose bus is away must not drown in what senders push: the real process, a real broker that is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks.load import END, START, template
from benchmarks.place import until
from benchmarks.soak.broker import RestartableBroker
from benchmarks.soak.environment import quiet_port

pytestmark = pytest.mark.alone

CONNECTIONS = 100
SIZE = 20_000_000
LIMIT_MB = 600.0
ROOT = Path(__file__).resolve().parents[2]


def _site(folder: Path, servers: str, port: int) -> Path:
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    (pipelines / "relais.yaml").write_text(
        "name: relais\nfeed: relais\nsteps: []\nsinks:\n  hl7.dpi: {}\nexamples: []\n"
    )
    site = folder / "router.yaml"
    with site.open("w") as file:
        YAML().dump(
            {
                "environment": "qualification",
                "data": str(folder / "var"),
                "pipelines": str(pipelines),
                "feeds": {"relais": {"kind": "relay", "mllp": {"port": port, "frame_timeout": 600}}},
                "sinks": {"hl7.dpi": {"type": "hl7", "host": "127.0.0.1", "port": 9}},
                "admin": {"port": 0},
                "bus": {
                    "type": "kafka",
                    "servers": servers,
                    "replication_factor": 1,
                    "min_insync_replicas": 1,
                },
            },
            file,
        )
    return site


@contextlib.asynccontextmanager
async def _gateway(site: Path) -> AsyncIterator[int]:
    """`segur-router run --only gateway`; yields the pid of the worker that holds the sockets."""
    ready = site.parent / "var" / "run" / "gateway-0.json"
    with (site.parent / "router.log").open("ab") as log:
        router = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "router.cli.main", "run", "--only", "gateway", "--site", str(site),
            stdout=log, stderr=log, cwd=ROOT,
        )  # fmt: skip
    try:
        assert await until(ready.exists, 120), (site.parent / "router.log").read_text()[-2000:]
        yield int(json.loads(ready.read_text())["pid"])
    finally:
        router.send_signal(signal.SIGTERM)
        await router.wait()


def _peak(pid: int) -> float:
    """VmHWM in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


class _Sender:
    """Pushes one message and keeps what comes back; bytes the gateway leaves unread stay with us."""

    def __init__(self, message: memoryview) -> None:
        self._message = message
        self.answer = b""

    async def run(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as link:
            link.setblocking(False)
            await loop.sock_connect(link, ("127.0.0.1", port))
            await loop.sock_sendall(link, START)
            await loop.sock_sendall(link, self._message)
            await loop.sock_sendall(link, END)
            while END not in self.answer:
                part = await loop.sock_recv(link, 4096)
                if not part:
                    return
                self.answer += part


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_hundred_large_messages_while_the_broker_is_stopped(tmp_path: Path) -> None:
    """100 connections push 20 MB each at a gateway whose broker is dead: under 600 MB, no AA, and then it works on."""
    asyncio.run(_story(tmp_path))


async def _story(folder: Path) -> None:
    message = memoryview(template(SIZE)(1, "GROS"))
    broker, port = RestartableBroker(folder / "kafka", quiet_port()), quiet_port()
    await broker.start()
    try:
        async with _gateway(_site(folder, broker.servers, port)) as pid:
            small = _Sender(memoryview(template(1_000)(1, "AVANT")))
            await small.run(port)
            assert b"MSA|AA|AVANT" in small.answer
            await broker.kill()
            senders = [_Sender(message) for _ in range(CONNECTIONS)]
            tasks = [asyncio.create_task(sender.run(port)) for sender in senders]
            await _settled(pid)
            assert _peak(pid) < LIMIT_MB
            assert not any(b"MSA|AA" in sender.answer for sender in senders)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await broker.start()
            assert await _accepted(port)
    finally:
        await broker.stop()


async def _settled(pid: int) -> None:
    """Until the gateway's peak has not grown for five seconds, a minute at most: it is as full as it gets."""
    before, still = 0.0, 0
    for _ in range(60):
        await asyncio.sleep(1)
        peak = _peak(pid)
        still = still + 1 if peak - before < 1 else 0
        before = peak
        if still >= 5:
            return


async def _accepted(port: int) -> bool:
    """Whether a new message gets its AA within two minutes of trying."""
    for number in range(60):
        sender = _Sender(memoryview(template(1_000)(1, f"APRES{number}")))
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(sender.run(port), 10)
        if b"MSA|AA" in sender.answer:
            return True
        await asyncio.sleep(2)
    return False
