"""A load generator: MLLP in, MLLP out, on loopback. Closed loop, or open loop with latency from the due time.

The source sends messages made from one template, each with its own MSH-10; the sink notes when each arrives. What
is counted is counted here, by nobody of the router: lost, repeated, out of order.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

START, END = b"\x0b", b"\x1c\r"
LIMIT = 64 * 2**20


def template(size: int, patients: int = 200) -> Callable[[int, str], bytes]:
    """A maker of ORU^R01 of about `size` bytes for a relay: message number and control id -> bytes.

    Patients alternate, so that ordering keys spread as in a hospital; the payload is fixed random base64.
    """
    rng = random.Random(7)
    filler = base64.b64encode(rng.randbytes(max(0, (size - 620) * 3 // 4))).decode() if size > 4000 else ""

    def make(number: int, control: str) -> bytes:
        lines = [
            f"MSH|^~\\&|LABO|CHU|ROUTEUR|DPI|20260105093000||ORU^R01^ORU_R01|{control}|P|2.5|||||FRA|UNICODE UTF-8",
            f"PID|1||{100000 + number % patients}^^^CHU&1.2.250.1.213.1.4.99.1&ISO^PI||TEST^PATIENT^^^^^L||19800101|F",
            "PV1|1|I|CARDIO^12^A",
            f"ORC|NW|P{control}|F{control}||CM",
            f"OBR|1|P{control}|F{control}|24331-1^Bilan lipidique^LN|||20260105093000",
        ]
        if filler:
            lines.append(f"OBX|1|ED|11502-2^Compte rendu^LN||^TEXT^XML^Base64^{filler}||||||F")
        else:
            room, rank = size - sum(map(len, lines)) - len(lines), 1
            while room > 70:
                lines.append(f"OBX|{rank}|NM|2093-3^Cholestérol^LN||{100 + rank}|mg/dL|0-200|N|||F|||2026010509")
                room -= len(lines[-1]) + 1
                rank += 1
        return ("\r".join(lines) + "\r").encode()

    return make


@dataclass
class Tally:
    """What was sent, answered and received; times are `time.perf_counter` seconds."""

    sent: dict[str, float] = field(default_factory=dict)
    acked: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    arrived: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    order: dict[str, list[int]] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0

    def arrive(self, control: str) -> None:
        if control in self.arrived:
            self.repeated += 1
            return
        self.arrived[control] = time.perf_counter()
        if len(self.arrived) >= self.wanted:
            self.done.set()


async def serve_sink(tally: Tally, port: int) -> asyncio.Server:
    """An MLLP peer that answers AA at once."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                received = await reader.readuntil(END)
                header = received[: received.index(b"\r")].split(b"|")
                control = header[9]
                tally.arrive(control.decode())
                ack = b"MSH|^~\\&|DPI|CHU|ROUTEUR|CHU|20260105||ACK^R01^ACK|A" + control + b"|P|2.5\rMSA|AA|" + control
                writer.write(START + ack + b"\r" + END)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", port, limit=LIMIT)


async def drive(
    make: Callable[[int, str], bytes],
    tally: Tally,
    *,
    port: int,
    count: int,
    connections: int,
    rate: float = 0.0,
    prefix: str = "B",
) -> float:
    """Send `count` messages over so many connections, one in flight on each; `rate` per second, 0 = as fast as ACKs.

    In the open loop a message's time runs from when it was *due*. Returns the seconds until the last ACK.
    """
    tally.wanted += count
    numbers: Iterator[int] = iter(range(count))
    gate = asyncio.Event()
    started = 0.0

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
        await gate.wait()
        for number in numbers:
            control = f"{prefix}{number:08d}"
            data = START + make(number, control) + END
            due = started + number / rate if rate else time.perf_counter()
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tally.sent[control] = due if rate else time.perf_counter()
            writer.write(data)
            await writer.drain()
            ack = await reader.readuntil(END)
            tally.acked[control] = time.perf_counter()
            if b"MSA|AA" not in ack:
                tally.refused += 1
        writer.close()

    tasks = [asyncio.create_task(connection()) for _ in range(connections)]
    await asyncio.sleep(0.3)
    started = time.perf_counter()
    gate.set()
    await asyncio.gather(*tasks)
    return time.perf_counter() - started


def percentile(values: list[float], share: float) -> float:
    """In milliseconds; values in seconds, any order."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)


def latencies(tally: Tally) -> list[float]:
    """Seconds from (due) sending to arrival, of what arrived."""
    return [tally.arrived[control] - at for control, at in tally.sent.items() if control in tally.arrived]
