"""How fast, and at what cost: `python -m benchmarks.run [--quick] [--bus …] [--only …]`. See README.md.

Sender, router and receivers share the machine, as in a small hospital. Every count is made here, from what was
sent, answered and received; nothing is asked of the router but its work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.load import Tally, drive, latencies, percentile, serve_sink, template
from benchmarks.place import CLIENTS, Place, place, until
from router.simulators.sender.maker import Maker

RESULTS: Final = Path(__file__).with_name("results.json")
SETTLE: Final = 60.0
"""Seconds we wait, after the last acknowledgement, for what was acknowledged to arrive."""
STEADY, BEFORE = 12.0, 4.0
"""Seconds of small messages in `mixed`, and of them those before the large ones."""


@dataclass(frozen=True)
class Run:
    """One measure to make. `rate` 0 is a closed loop; else messages per second, latency from the due time."""

    scenario: str
    size: int
    count: int
    connections: int
    rate: float = 0.0
    patients: int = 200
    """Of a relay: they take turns."""


@dataclass(frozen=True)
class Result:
    """One measure made: per second, milliseconds, megabytes. `rate` runs from the first sending to the last arrival."""

    scenario: str
    bus: str
    cores: int
    size: int
    connections: int
    offered: float
    rate: float
    ack_p50: float
    ack_p99: float
    p50: float
    p99: float
    cpu_own_ms: float
    cpu_bus_ms: float | None
    cpu_ms: dict[str, float]
    memory_mb: dict[str, float]
    lost: int
    repeated: int
    inverted: int | None
    refused: int


RELAY: Final = (
    Run("relay", 1_000, 3_000, 8),
    Run("relay", 1_000, 6_000, 32),
    Run("one patient", 1_000, 3_000, 32, patients=1),
    Run("relay", 1_000, 1_500, 8, 100),
    Run("relay", 100_000, 1_000, 8),
    Run("relay", 100_000, 1_000, 32),
    Run("relay", 100_000, 1_000, 8, 100),
)
NATIONAL: Final = (Run("national", 100_000, 600, 16), Run("national", 290_000, 300, 16))


class Recorder:
    """What the national receivers got, read from the simulators: uid -> times at the DMP, at the operator."""

    def __init__(self, played: Place) -> None:
        assert played.world is not None
        self._world = played.world
        self._dmp, self._mails = len(self._world.dmp.received), len(self._world.mssante.mails)

    def deposits(self) -> list[tuple[str, float]]:
        calls = self._world.dmp.received[self._dmp :]
        return [(uid, call.at) for call in calls if call.transaction == "TD2.1" and call.ok for uid in call.documents]

    def mails(self) -> list[tuple[str, float]]:
        return [(mail.envelope.recipient, mail.at) for mail in self._world.mssante.mails[self._mails :]]


async def relay(played: Place, run: Run, bus: str, tally: Tally, number: int) -> Result:
    """MLLP in, one field set, MLLP out."""
    # the sink's tally lives as long as the place: a new prefix and cleared books for each run
    for book in (tally.sent, tally.acked, tally.arrived):
        book.clear()
    tally.repeated = tally.refused = tally.wanted = 0
    tally.done.clear()
    prefix, patients = f"R{number}X", run.patients
    make = template(run.size, patients)
    before, started = played.cpu(), time.perf_counter()
    await drive(
        make, tally, port=played.ports["relais"], count=run.count, connections=run.connections, rate=run.rate,
        prefix=prefix,
    )  # fmt: skip
    await until(lambda: len(tally.arrived) >= len(tally.acked), SETTLE)
    cpu = _spent(before, played.cpu(), run.count)
    last = max(tally.arrived.values(), default=started)
    inverted = 0
    for one in range(run.count - patients):
        first, second = f"{prefix}{one:08d}", f"{prefix}{one + patients:08d}"
        known = all(control in tally.arrived for control in (first, second)) and first in tally.acked
        if known and tally.acked[first] < tally.sent[second] and tally.arrived[first] > tally.arrived[second]:
            inverted += 1
    acks = [tally.acked[control] - tally.sent[control] for control in tally.acked]
    return _result(
        run, bus, len(tally.arrived) / (last - min(tally.sent.values())), acks, latencies(tally), cpu, played,
        lost=len(tally.acked.keys() - tally.arrived.keys()), repeated=tally.repeated, inverted=inverted,
        refused=tally.refused,
    )  # fmt: skip


async def national(played: Place, run: Run, bus: str, number: int) -> Result:
    """An ORU with its CDA, to the DMP and to one doctor's mailbox each."""
    maker = Maker(1_000 + number)
    made = []
    for _ in range(run.count):
        document, doctor = maker.document("biology", maker.patient(), size=run.size), maker.recipient()
        made.append((document.uid, doctor.address, maker.message(document, recipients=[doctor])))
    recorder, tally = Recorder(played), Tally()
    before, zero, wall = played.cpu(), time.perf_counter(), time.time()
    messages = [message for *_, message in made]
    await drive(
        _maker(messages), tally, port=played.ports["sil"], count=run.count, connections=run.connections, rate=run.rate,
        prefix="N",
    )  # fmt: skip
    taken = len(tally.acked) - tally.refused
    await until(lambda: len(recorder.deposits()) >= taken and len(recorder.mails()) >= taken, SETTLE)
    cpu = _spent(before, played.cpu(), run.count)
    deposits, mails = recorder.deposits(), recorder.mails()
    at_dmp = {uid: at - wall + zero for uid, at in deposits}
    at_mail = {address: at - wall + zero for address, at in mails}
    sent = [tally.sent[f"N{rank:08d}"] for rank in range(run.count)]
    ends = [
        max(at_dmp[uid], at_mail[address]) - due
        for (uid, address, _), due in zip(made, sent, strict=True)
        if uid in at_dmp and address in at_mail
    ]
    last = max([*at_dmp.values(), *at_mail.values()], default=zero + 1)
    acks = [tally.acked[control] - tally.sent[control] for control in tally.acked]
    return _result(
        run, bus, len(ends) / (last - min(sent)), acks, ends, cpu, played,
        lost=taken - len(ends), repeated=len(deposits) - len(at_dmp) + len(mails) - len(at_mail), inverted=None,
        refused=tally.refused,
    )  # fmt: skip


async def mixed(played: Place, run: Run, bus: str, number: int) -> Result:
    """Large national documents all at once among small relays: the latencies are those of the small ones.

    The small ones have a process of their own (`benchmarks.steady`) and `run.rate`; rate and CPU are those of the
    `run.count` documents, which leave after `BEFORE` seconds.
    """
    small = int(run.rate * STEADY)
    words = (played.ports["relais"], played.relay_port, run.rate, small, f"S{number}X")
    beside = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.steady", *map(str, words), stdout=asyncio.subprocess.PIPE
    )
    await asyncio.sleep(BEFORE)
    large = await national(played, replace(run, rate=0.0), bus, number)
    told = json.loads((await beside.communicate())[0])
    seconds: list[float] = told["seconds"]
    return replace(
        large,
        offered=run.rate,
        p50=percentile(seconds, 0.5),
        p99=percentile(seconds, 0.99),
        lost=large.lost + small - len(seconds),
        repeated=large.repeated + told["repeated"],
        refused=large.refused + told["refused"],
    )


def _maker(messages: list[bytes]) -> Callable[[int, str], bytes]:
    return lambda number, _control: messages[number]


def _spent(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """Milliseconds per message, by role; a process that fell meanwhile would make it negative, so it is left out."""
    return {role: round((after[role] - before.get(role, 0.0)) * 1000 / count, 3) for role in after}


def _result(
    run: Run, bus: str, rate: float, acks: list[float], ends: list[float], cpu: dict[str, float], played: Place,
    *, lost: int, repeated: int, inverted: int | None, refused: int,
) -> Result:  # fmt: skip
    clients = cpu.pop(CLIENTS)
    return Result(
        run.scenario, bus, len(os.sched_getaffinity(0)), run.size, run.connections, run.rate, round(rate, 1),
        percentile(acks, 0.5), percentile(acks, 0.99), percentile(ends, 0.5), percentile(ends, 0.99),
        round(sum(cpu.values()) - clients, 3), clients or None, cpu, played.memory(), lost, repeated, inverted, refused,
    )  # fmt: skip


@contextlib.contextmanager
def bus_keys(name: str) -> Iterator[dict[str, Any] | None]:
    """Keys of the site file for this bus, None for the embedded one; on Kafka as `docs/kafka.md` advises."""
    from router.demo.backends import backend

    with backend(name) as keys:
        yield None if keys is None else keys | {"roles": {"sinks": 2}}


async def measure(
    bus: str, only: str, quick: bool, tell: Callable[[Result], None], keys: dict[str, Any] | None
) -> None:
    """Every run of one bus, on one router that keeps running."""
    with tempfile.TemporaryDirectory(prefix="segur-bench-") as folder:
        async with place(Path(folder) / "site", bus=keys, national=only != "relay") as played:
            tally = Tally()
            sink = await serve_sink(tally, played.relay_port)
            await played.start()
            if only != "national":
                await relay(played, Run("relay", 1_000, 300, 8), bus, tally, 99)  # warm
                for number, run in enumerate(RELAY):
                    tell(await relay(played, _shorter(run, quick), bus, tally, number))
            if only != "relay":
                await national(played, Run("national", 100_000, 30, 8), bus, 99)  # warm
                for number, run in enumerate(NATIONAL):
                    tell(await national(played, _shorter(run, quick), bus, number))
            sink.close()


def _shorter(run: Run, quick: bool) -> Run:
    return replace(run, count=max(100, run.count // 5)) if quick else run


def table(results: list[Result]) -> Table:
    """The results, one line each."""
    shown = Table(box=None)
    columns = (
        "scenario", "bus", "size", "conns", "offered/s", "e2e/s", "ACK p50/p99", "e2e p50/p99 ms", "CPU ms/msg",
        "peak MB", "lost", "rep.", "inv.",
    )  # fmt: skip
    for column in columns:
        shown.add_column(column, justify="right" if column not in ("scenario", "bus") else "left", no_wrap=True)
    for one in results:
        shown.add_row(
            one.scenario, one.bus, f"{one.size // 1000} KB", str(one.connections), f"{one.offered:g}" if one.offered
            else "max", f"{one.rate:g}", f"{one.ack_p50:.0f}/{one.ack_p99:.0f}", f"{one.p50:.0f}/{one.p99:.0f}",
            _cpu(one), f"{max(one.memory_mb.values()):.0f}", str(one.lost), str(one.repeated),
            "-" if one.inverted is None else str(one.inverted),
        )  # fmt: skip
    return shown


def _cpu(one: Result) -> str:
    """Our own work, then that of the bus clients where it can be told apart."""
    return f"{one.cpu_own_ms:.2f}" + (f"+{one.cpu_bus_ms:.2f}" if one.cpu_bus_ms else "")


def main() -> int:
    """0 when nothing was lost, repeated or inverted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the messages")
    parser.add_argument("--bus", choices=("sqlite", "kafka", "both"), default="both")
    parser.add_argument("--cores", type=int, default=0, help="only so many of the machine's, for all that takes part")
    parser.add_argument("--only", choices=("relay", "national"), default="")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    console, results = Console(width=140), list[Result]()

    def tell(one: Result) -> None:
        results.append(one)
        costs = " ".join(f"{role} {ms:.2f}" for role, ms in one.cpu_ms.items())
        console.print(f"[dim]{one.scenario} {one.size} ×{one.connections}: {one.rate}/s; ms CPU: {costs}[/]")

    for bus in ("sqlite", "kafka") if options.bus == "both" else (options.bus,):
        try:
            with bus_keys(bus) as keys:
                uvloop.run(measure(bus, options.only, options.quick, tell, keys))
        except ImportError as missing:
            console.print(f"[yellow]{bus} is not measured:[/] {missing}")
    RESULTS.write_text(json.dumps([asdict(one) for one in results], indent=1) + "\n")
    console.print(table(results))
    bad = sum(one.lost + one.repeated + (one.inverted or 0) + one.refused for one in results)
    return int(bad > 0 or not results)


if __name__ == "__main__":
    raise SystemExit(main())
