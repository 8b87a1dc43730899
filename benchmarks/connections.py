"""Do many feeds with many connections cost more than one? `python -m benchmarks.connections [--feeds 50] …`.

The same relay at the same rate twice: one feed with eight connections, then many feeds with many connections each,
all open, taking turns. Counted: processor time a message by role, and of each idle second; memory of a connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from ruamel.yaml import YAML

from benchmarks.costs import Costs, by_role
from benchmarks.load import END, START, Tally, serve_sink, template
from benchmarks.place import Place, free_port, place, until

FEW: Final = 8
WARM: Final = 300
IDLE_SECONDS: Final = 10.0
OPENED_AT_ONCE: Final = 200
ALLOWED: Final = 1.2
"""A message may cost so many times what it costs with one feed of eight connections."""

Sender = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Measured:
    """Processor milliseconds: of a message by role, of an idle second without and with connections."""

    message: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0
    idle_connected: float = 0.0
    kilobytes: float = 0.0
    """Memory that one connection takes in the gateway."""


def many_feeds(site: Place, feeds: int, connections: int) -> list[int]:
    """Give the site so many relay feeds in place of its one; returns their ports."""
    yaml = YAML()
    config = yaml.load(site.site)
    pipeline = (site.folder / "pipelines" / "relais.yaml").read_text()
    (site.folder / "pipelines" / "relais.yaml").unlink()
    ports: list[int] = []
    del config["feeds"]["relais"]
    while len(ports) < feeds:
        if (port := free_port()) in ports:
            continue
        name = f"relais-{len(ports):02d}"
        config["feeds"][name] = {"kind": "relay", "mllp": {"port": port, "max_connections": connections}}
        own = pipeline.replace("name: relais\nfeed: relais", f"name: {name}\nfeed: {name}")
        (site.folder / "pipelines" / f"{name}.yaml").write_text(own)
        ports.append(port)
    with site.site.open("w", encoding="utf-8") as file:
        yaml.dump(config, file)
    return ports


@contextlib.asynccontextmanager
async def connected(ports: Iterable[int], connections: int) -> AsyncIterator[list[Sender]]:
    """So many connections to each port, one of each feed after the other."""
    places = [port for _ in range(connections) for port in ports]
    made: list[Sender] = []
    try:
        for start in range(0, len(places), OPENED_AT_ONCE):
            some = places[start : start + OPENED_AT_ONCE]
            made += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for port in some))
        yield made
    finally:
        for _, writer in made:
            writer.close()


async def drive(senders: list[Sender], tally: Tally, prefix: str, count: int, rate: float) -> None:
    """So many messages at this rate; the connections take turns. Returns when all have arrived, or after 60 s."""
    make, started = template(1_000), time.perf_counter()
    free: asyncio.Queue[Sender] = asyncio.Queue()
    for sender in senders:
        free.put_nowait(sender)
    tally.wanted += count

    async def send(number: int) -> None:
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        reader, writer = await free.get()
        writer.write(START + make(number, f"{prefix}{number:08d}") + END)
        tally.refused += b"MSA|AA" not in await reader.readuntil(END)
        free.put_nowait((reader, writer))

    await asyncio.gather(*map(send, range(count)))
    await until(lambda: len(tally.arrived) >= tally.wanted, 60)


async def measured(feeds: int, connections: int, count: int, rate: float) -> Measured:
    """One router with so many feeds and connections. Raises `RuntimeError` when a message is lost or refused."""
    found = Measured()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segur-connections-")))
        played = await stack.enter_async_context(place(folder / "site", national=False))
        ports, tally = many_feeds(played, feeds, connections), Tally()
        stack.callback((await serve_sink(tally, played.relay_port)).close)
        await played.start()
        workers = played.workers()
        await asyncio.sleep(2)
        found.idle, before = await _idle(workers), _resident(workers)
        senders = await stack.enter_async_context(connected(ports, connections))
        await asyncio.sleep(2)
        found.kilobytes = (_resident(workers) - before) / len(senders)
        found.idle_connected = await _idle(workers)
        await drive(senders, tally, "W", WARM, rate)
        start = by_role(workers)
        await drive(senders, tally, "M", count, rate)
        await asyncio.sleep(1)
        found.message = _milliseconds(start, by_role(workers), count)
    if lost := WARM + count - len(tally.arrived) + tally.refused:
        raise RuntimeError(f"{lost} messages were lost or refused")
    return found


async def _idle(workers: Mapping[int, str]) -> float:
    before = by_role(workers)
    await asyncio.sleep(IDLE_SECONDS)
    return sum(_milliseconds(before, by_role(workers), IDLE_SECONDS).values())


def _milliseconds(before: Mapping[str, Costs], after: Mapping[str, Costs], count: float) -> dict[str, float]:
    return {role: 1000 * (after[role].cpu - before[role].cpu) / count for role in after}


def _resident(workers: Mapping[int, str]) -> int:
    """Kilobytes of the gateway."""
    pid = next(pid for pid, role in workers.items() if role == "gateway")
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def main() -> int:
    """0 when a message costs at most 1.2 times what it costs with one feed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=50)
    parser.add_argument("--connections", type=int, default=200, help="of each feed")
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second, of all feeds together")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console, costs = Console(width=140), []
    for feeds, connections in ((1, FEW), (options.feeds, options.connections)):
        one = uvloop.run(measured(feeds, connections, options.messages, options.rate))
        costs.append(sum(one.message.values()))
        roles = ", ".join(f"{role} {cost:.2f}" for role, cost in one.message.items())
        console.print(f"[bold]{feeds} feeds × {connections} connections[/]: CPU {costs[-1]:.2f} ms a message ({roles})")
        console.print(
            f"  idle: {one.idle:.0f} ms a second, with all connections open {one.idle_connected:.0f}; "
            f"a connection takes {one.kilobytes:.1f} KB"
        )
    console.print(f"many / one: {costs[1] / costs[0]:.2f}")
    return int(costs[1] > ALLOWED * costs[0])


if __name__ == "__main__":
    raise SystemExit(main())
