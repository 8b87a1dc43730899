"""How fast dead letters are listed, on both buses.

    python -m benchmarks.dead_letters [--dead 100000] [--bus sqlite|kafka|both]

Half of them are deliveries, rows of the ledger and records of a sink's topic, half were refused by the gateway: records
of `dlq.intake` alone. On Kafka the ledger stands on PostgreSQL, as in production.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.journal_lines import STRUCTURES, structure_of
from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Bus, Header, Ledger, Outgoing, Row, TopicPlan, dlq_topic
from router.demo.services import PostgresServer, running_broker
from router.engine.dead_letters import listing, paging
from router.exchange import Delivery, Origin, State
from router.ledger.store import SqlLedger
from router.wire import delivery_record

NOW: Final = 1_796_040_000.0
BATCH: Final = 1000
FEEDS: Final = ("sil", "ris", "dpi")
SINK: Final = "mssante.chu"


def made(ledger: Ledger, bus: Bus, count: int, structures: int = STRUCTURES) -> None:
    """Rows and records, of five causes each; a record has 2 KB. Their topics are there."""
    with closing(bus.producer("bench")) as producer:
        for start in range(0, count // 2, BATCH):
            numbers = range(start, min(start + BATCH, count // 2))
            rows = [row(number, structures) for number in numbers]
            producer.publish([delivery_record(row.delivery, dlq_topic(SINK)) for row in rows])
            producer.publish([_refused(number, structures) for number in numbers])
            ledger.open([replace(row, delivery=replace(row.delivery, payload=b"")) for row in rows])


def row(number: int, structures: int) -> Row:
    delivery = Delivery(
        id=f"{number:032x}", event_id=f"{number:064x}", sink=SINK, destination="mss:1", key=f"{number:032x}",
        lane=f"{number:032x}", payload=bytes(2000), origin=Origin("in.sil", 0, number), feed=FEEDS[number % 3],
        pipeline="lettres", label="dr1@hopital1.mssante.fr", created=NOW, structure=structure_of(number, structures),
    )  # fmt: skip
    evidence = {"place": "RCPT", "cause": f"cause{number % 5:07}"}
    return Row(
        delivery=delivery, partition=0, sequence=number, bytes_at=delivery.origin, state=State.DEAD, attempts=3,
        code=f"MSS-55{number % 5}", text="boîte pleine", evidence=evidence, first_try=NOW, updated=NOW,
    )  # fmt: skip


def _refused(number: int, structures: int) -> Outgoing:
    code = f"R4{number % 5}"
    headers = {
        Header.ID: f"{number:064x}", Header.FEED: FEEDS[number % 3], Header.CODE: code, Header.PLACE: "PID-32",
        Header.TEXT: "identité non qualifiée", Header.CAUSE: f"refus{number % 15:07}", Header.STAGE: "intake",
        Header.CONTROL: f"{number:020}", Header.FIRST: f"{NOW}", Header.LAST: f"{NOW}", Header.ATTEMPTS: "1",
        Header.STRUCTURE: structure_of(number, structures),
    }  # fmt: skip
    return Outgoing(dlq_topic("intake"), f"{number:064x}", bytes(2000), headers)


@contextmanager
def places(kind: str, folder: Path) -> Iterator[tuple[SqlLedger, Bus]]:
    """A ledger and a bus of this kind."""
    with ExitStack() as opened:
        if kind == "sqlite":
            ledger = SqlLedger(f"sqlite:///{folder / 'ledger.db'}")
            bus: Bus = SqliteBus(folder / "bus.db")
        else:
            server = PostgresServer()
            opened.callback(server.remove)
            server.start()
            broker = opened.enter_context(running_broker())
            ledger = SqlLedger(server.url)
            bus = KafkaBus(KafkaConfig(servers=broker.servers, replication_factor=1, min_insync_replicas=1))
        opened.callback(bus.close)
        bus.create([TopicPlan(dlq_topic(one), 4, None, 2**20) for one in (SINK, "intake", "pipeline")])
        opened.callback(ledger.close)
        yield ledger, bus


def timed(call: Callable[[], object], times: int = 5) -> tuple[float, float, float]:
    """(fastest, median, slowest) in ms: on a machine that others use, the fastest says most."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - start))
    return min(took), statistics.median(took), max(took)


def report(kind: str, folder: Path, count: int) -> None:
    with places(kind, folder) as (ledger, bus):
        made(ledger, bus, count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sinks = [SINK]
        mine = listing.Filter(within=frozenset({"750000012"}))
        first, *_ = timed(lambda: listing.groups(bus, ledger, sinks=sinks), 1)
        found = listing.groups(bus, ledger, sinks=sinks)
        total = sum(one.count for one in found)
        rows, letters = (next(one.cause for one in found if one.stage == stage) for stage in ("sink", "intake"))
        page = paging.page(bus, ledger, listing.Filter(cause=rows), limit=50, sinks=sinks)
        questions: dict[str, Callable[[], object]] = {
            "dlq ls": lambda: listing.groups(bus, ledger, sinks=sinks),
            "dlq ls of one structure": lambda: listing.groups(bus, ledger, mine, sinks=sinks),
            "a page of a cause, deliveries": lambda: paging.page(
                bus, ledger, listing.Filter(cause=rows), limit=50, sinks=sinks
            ),
            "the page behind it": lambda: paging.page(
                bus, ledger, listing.Filter(cause=rows), limit=50, after=page.next, sinks=sinks
            ),
            "a page of a cause, refused": lambda: paging.page(
                bus, ledger, listing.Filter(cause=letters), limit=50, sinks=sinks
            ),
            "a page of all": lambda: paging.page(bus, ledger, limit=50, sinks=sinks),
            "dlq show of an event": lambda: paging.letters(bus, ledger, listing.Filter(id=f"{7:064x}"), sinks=sinks),
        }
        print(f"\n## {kind}, {total:,} dead letters\n\n| what | fastest | median | slowest |\n|---|---|---|---|")
        print(f"| dlq ls, the first time ever | {first:.0f} ms | | |")
        for what, ask in questions.items():
            print(f"| {what} | {' | '.join(f'{one:.0f} ms' for one in timed(ask))} |", flush=True)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"| memory that all this took | {grown:.0f} MB | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--bus", choices=("sqlite", "kafka", "both"), default="both")
    asked = parser.parse_args()
    for kind in ("sqlite", "kafka") if asked.bus == "both" else (asked.bus,):
        with tempfile.TemporaryDirectory(prefix="segur-dead-") as folder:
            report(kind, Path(folder), asked.dead)


if __name__ == "__main__":
    main()
