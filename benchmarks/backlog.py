"""Is the rate flat however long the queue? `python -m benchmarks.backlog [--records 1000000]`.

The same relay twice: once behind a short queue, once behind a long one. The queue is laid on the bus as a gateway
would have laid it (its own judge makes the records), then the router starts and what reaches the receiver is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import track

from benchmarks.load import Tally, serve_sink, template
from benchmarks.place import Place, place, until
from router.config.site import Site
from router.contracts import Bus, Header, Outgoing, SystemClock
from router.gateway.checks import RelayCheck
from router.gateway.received import Feed, Received
from router.gateway.validation import MessageValidator
from router.runtime.site_services import SiteServices

AT_ONCE: Final = 2_000
PATIENTS: Final = 2_000
SHORT: Final = 100_000
"""Long enough that every stage has work as long as we watch."""
WARM_SECONDS: Final = 5.0


def lay(site: Path, count: int, console: Console) -> None:
    """So many accepted messages of 1 KB on `in.relais`."""
    services = SiteServices(Site(site))
    try:
        _write(services.bus, _records(services, count), count, console)
    finally:
        services.close()


def _records(services: SiteServices, count: int) -> Iterator[Outgoing]:
    """The first of each patient by the gateway's own judge; the others differ in MSH-10 and id, as theirs would."""
    clock, make = SystemClock(), template(1_000, PATIENTS)
    validate = MessageValidator(clock, services.pseudonyms, lambda _: None, lambda _: None)
    feed = Feed(name="relais", check=RelayCheck(services.pseudonyms), kind="relay")
    first: list[Outgoing] = []
    for number in range(min(count, PATIENTS)):
        received = Received(data=make(number, _control(number)), source="mllp", at=clock.now())
        first += validate.records(validate.validate(feed, received))
    yield from first
    for number in range(PATIENTS, count):
        like, control = first[number % PATIENTS], _control(number)
        known = like.headers[Header.CONTROL]
        headers = {
            **like.headers,
            Header.CONTROL: control,
            Header.ID: hashlib.sha256(control.encode()).hexdigest()[:32],
        }
        yield Outgoing(like.topic, like.key, like.value.replace(known.encode(), control.encode()), headers)


def _control(number: int) -> str:
    return f"Q{number:09d}"


def _write(bus: Bus, records: Iterable[Outgoing], count: int, console: Console) -> None:
    producer, left = bus.producer("backlog"), iter(records)
    for _ in track(range(0, count, AT_ONCE), f"laying {count:,}", console=console, transient=True):
        producer.publish(list(islice(left, AT_ONCE)))
    producer.close()


@contextlib.asynccontextmanager
async def receiving(played: Place) -> AsyncIterator[Tally]:
    tally = Tally()
    server = await serve_sink(tally, played.relay_port)
    try:
        yield tally
    finally:
        server.close()


async def drained(count: int, seconds: float, console: Console) -> list[float]:
    """Messages per second, second by second, behind a queue of `count`, once the router is warm."""
    with tempfile.TemporaryDirectory(prefix="segur-backlog-") as folder:
        async with place(Path(folder) / "site", national=False) as played, receiving(played) as tally:
            lay(played.site, count, console)
            await played.start()
            if not await until(lambda: tally.arrived, 60):
                raise RuntimeError("nothing arrived")
            await asyncio.sleep(WARM_SECONDS)
            rates, before, at = [], len(tally.arrived), time.perf_counter()
            end = at + seconds
            while at < end and before < count:
                await asyncio.sleep(1)
                now, seen = time.perf_counter(), len(tally.arrived)
                rates.append((seen - before) / (now - at))
                before, at = seen, now
            if tally.repeated:
                raise RuntimeError(f"{tally.repeated} messages came twice")
            return rates


def main() -> int:
    """0 when the long queue is drained at 80 % or more of the short one's rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="length of the long queue")
    parser.add_argument("--seconds", type=float, default=30, help="how long each is watched")
    options = parser.parse_args()
    console = Console()

    def measured(count: int) -> float:
        rates = sorted(uvloop.run(drained(count, options.seconds, console)))
        middle = rates[len(rates) // 2]
        console.print(f"behind {count:>9,} messages: {middle:.0f}/s (median of {len(rates)} seconds)")
        return middle

    short, long = measured(SHORT), measured(options.records)
    console.print(f"long / short: {long / short:.2f}")
    return int(long < 0.8 * short)


if __name__ == "__main__":
    raise SystemExit(main())
