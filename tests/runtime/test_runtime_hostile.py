"""A real gateway process under attack on every way in: a good sender's answers stay under two seconds throughout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.gateway.gateway_parts import Client, hl7
from tests.runtime.hostile_peers import (
    DOCUMENT,
    Attack,
    half_closes,
    half_frames,
    idle,
    nothing,
    slow_bodies,
    trickles,
)

pytestmark = pytest.mark.alone

LIMIT = 2.0
"""Seconds within which a good sender must have its answer."""


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[tuple[dict[str, int], int]]:
    """A gateway in a process of its own; its ports and its pid."""
    (folder / "pipelines").mkdir()
    (folder / "in").mkdir()
    content = {
        "environment": "qualification",
        "admin": {"port": 0},
        "http": {"port": 0, "max_connections": 60},
        "feeds": {
            "sil": {"kind": "relay", "mllp": {"port": 0, "max_connections": 250}},
            "ris": {"kind": "relay", "mllp": {"port": 0}, "http": True},
            "drop": {"kind": "relay", "folder": {"path": "in", "settle": 0, "interval": 0.2}},
        },
        "sinks": {"hl7.sil": {"type": "hl7", "host": "127.0.0.1", "port": 9}},
    }
    with (folder / "router.yaml").open("w") as file:
        YAML().dump(content, file)
    worker = f'{sys.executable} -m router.runtime.process "{folder / "router.yaml"}" gateway 0'
    command = ["/bin/sh", "-c", f"ulimit -S -n 512; exec {worker}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  # nothing else runs yet
    try:
        said = folder / "var/run/gateway-0.json"
        for _ in range(600):
            if said.exists():
                break
            assert process.poll() is None, (folder / "log").read_text()
            await asyncio.sleep(0.05)
        yield json.loads(said.read_text())["ports"], process.pid
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


# ------------------------------------------------------------------------------------------ the good sender


async def asked(client: Client, name: str) -> float:
    started = time.monotonic()
    assert (await client.ask(hl7(name, DOCUMENT)))[1] == f"MSA|AA|{name}"
    return time.monotonic() - started


async def anew(port: int, name: str) -> float:
    """A sender that connects for each message; refused, it tries again, and its time goes on."""
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError):
            client = await Client.connect(port)
            assert (await client.ask(hl7(name)))[1] == f"MSA|AA|{name}"
            client.close()
            return time.monotonic() - started


async def posted(port: int, name: str) -> float:
    """One request of its own connection, likewise."""
    message = hl7(name, DOCUMENT)
    head = f"POST /feeds/ris HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {len(message)}\r\n\r\n"
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode() + message)
            line = await asyncio.wait_for(reader.readline(), 20)
            writer.close()
            if b" 200 " in line:
                return time.monotonic() - started
        await asyncio.sleep(0.05)


async def laid(folder: Path, name: str) -> float:
    """A file, until it is answered."""
    started = time.monotonic()
    (folder / f"{name}.tmp").write_bytes(hl7(name))
    (folder / f"{name}.tmp").rename(folder / f"{name}.hl7")
    while not (folder / "done" / f"{name}.hl7.ack").exists():
        await asyncio.sleep(0.02)
        assert time.monotonic() - started < 20
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_good_sender_is_answered_whatever_the_others_do(tmp_path: Path) -> None:
    """Each attack, then all at once, from other addresses: known connections, new ones, HTTP and the folder go on."""

    async def story() -> None:
        async with gateway(tmp_path) as (ports, pid):
            known = {feed: await Client.connect(ports[feed]) for feed in ("sil", "ris")}
            count = 0
            os.mkfifo(tmp_path / "in/pipe.hl7")
            (tmp_path / "in" / ("n" * 250 + ".hl7")).write_bytes(hl7("long"))
            (tmp_path / "in/link.hl7").symlink_to("/etc/passwd")
            every: list[tuple[Attack, ...]] = [(nothing,), (half_frames,), (idle,), (slow_bodies,)]
            every += [(half_closes,), (trickles,), (half_frames, idle, slow_bodies, half_closes, trickles)]
            for attacks in every:
                running = [asyncio.create_task(attack(ports, f"127.0.0.{7 + n}")) for n, attack in enumerate(attacks)]
                worst: dict[str, float] = {}
                until = time.monotonic() + (8 if len(attacks) > 1 else 3)
                while time.monotonic() < until:
                    count += 1
                    for what, work in (
                        ("known sil", asked(known["sil"], f"s{count}")),
                        ("known ris", asked(known["ris"], f"r{count}")),
                        ("new sil", anew(ports["sil"], f"n{count}")),
                        ("new ris", anew(ports["ris"], f"m{count}")),
                        ("http", posted(ports["http"], f"h{count}")),
                        ("folder", laid(tmp_path / "in", f"f{count}")),
                    ):
                        worst[what] = max(worst.get(what, 0.0), await work)
                    await asyncio.sleep(0.1)
                for task in running:
                    if task.done():
                        task.result()
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                names = ", ".join(attack.__name__ for attack in attacks)
                assert max(worst.values()) < LIMIT, (names, worst)
                assert resident(pid) < 600_000_000, names

    asyncio.run(story())
    assert "DUPONT" not in (tmp_path / "log").read_text()


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()
