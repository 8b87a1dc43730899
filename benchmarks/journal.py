"""How fast the journal answers and what it costs to write, and how fast dead letters are listed.

    python -m benchmarks.journal [--events 1000000] [--dead 100000] [--database sqlite|postgresql|both]

Messages are national ones (DMP and one mail each) of 13 months, of which the newest day is written as the journal's
worker writes it and the others are copies; dead letters are rows of a ledger and records of a bus. Each question is
asked five times: the median and the slowest.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.journal_lines import BATCH, DAYS, DOCTORS, FEEDS, LAST, NOW, SINK, event_id, fill, write
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Row, SystemClock, TopicPlan, dlq_topic
from router.demo.services import PostgresServer
from router.engine.dead_letters import listing
from router.exchange import Delivery, Origin, State
from router.journal.criteria import Criteria
from router.journal.store import Journal
from router.journal.tables import DAY
from router.ledger.store import SqlLedger
from router.wire import delivery_record

MONTHS: Final = DAYS * DAY


def questions(count: int) -> dict[str, Callable[[Journal], object]]:
    """What is asked, by the words of the report. count: messages of a day"""
    middle, rare = count // 2, f"dr{DOCTORS - 1}@hopital{(DOCTORS - 1) % 40}.mssante.fr"
    back = DAYS // 2
    event = event_id(middle, back)

    def found(**criteria: Any) -> Callable[[Journal], object]:
        return lambda journal: journal.search(Criteria(**criteria), 20)

    def counted(**criteria: Any) -> Callable[[Journal], object]:
        return lambda journal: journal.counts(Criteria(**criteria))

    def told(any_id: str) -> Callable[[Journal], object]:
        return lambda journal: journal.story(any_id, 5)

    return {
        "explain: MSH-10": told(f"{middle:016}{back:04x}"),
        "explain: Message-ID of the oldest day": told(f"<{middle}@chu.{DAYS - 1:04x}>"),
        "explain: event id": told(event),
        "explain: first 8 digits": told(event[:8]),
        "explain: unknown id": told("no-such-id-anywhere"),
        "explain: unknown digits": told("ffffffff00"),
        "search: nothing asked": found(),
        "search: a busy doctor": found(recipient="dr1@hopital1.mssante.fr"),
        "search: a rare doctor": found(recipient=rare),
        "search: nobody": found(recipient="nobody@nowhere.mssante.fr"),
        "search: name and type": found(recipient="NOM12", type="11502-2"),
        "search: failed, one feed": found(outcome="failed", feed="ris"),
        "search: failed mails of a doctor": found(recipient="dr7@hopital7.mssante.fr", outcome="failed"),
        "search: waiting": found(outcome="waiting"),
        "search: a code long ago": found(code="R45", until=NOW - MONTHS + 30 * DAY),
        "search: a structure, a sender, a day": found(
            structure="750000012", sender="SIL", since=NOW - 100 * DAY, until=NOW - 99 * DAY
        ),
        "search: a patient": found(patients=(f"patient-a{middle:023x}0007",)),
        "search: a sink and a code": found(sink=SINK, code="MSS-552"),
        "search: all conditions": found(
            recipient="NOM12",
            structure="750000012",
            sender="SIL",
            type="11502-2",
            outcome="delivered",
            feed="sil",
            pipeline="circuit-sil",
            sink=SINK,
        ),
        "search: a rare doctor, long ago": found(recipient=rare, until=NOW - MONTHS + 30 * DAY),
        "search: every condition but one meets": found(recipient="NOM12", feed="sil", pipeline="circuit-ris"),
        "search: two common ones that never meet": found(outcome="refused", pipeline="circuit-sil"),
        "search: the two commonest that never meet": found(feed="sil", pipeline="circuit-ris"),
        "search: of one structure, nothing asked": found(within=frozenset({"750000012"})),
        "search: of five structures, failed": found(
            within=frozenset(f"7500000{n:02}" for n in range(5)), outcome="failed"
        ),
        "search: of one structure, another's doctor": found(
            within=frozenset({"750000012"}), recipient="dr1@hopital1.mssante.fr"
        ),
        "search: of a structure that has none": found(within=frozenset({"999999999"})),
        "search: ten years": found(recipient=rare, since=0.0, until=NOW * 2),
        "counts: one day": counted(since=LAST, until=LAST + DAY),
        "counts: a busy doctor": counted(recipient="dr1@hopital1.mssante.fr"),
        "counts: everything": counted(),
    }


def dead_letters(ledger: SqlLedger, bus: SqliteBus, count: int) -> None:
    """Rows and records of dead deliveries, of five causes; a record has 2 KB."""
    bus.create([TopicPlan(dlq_topic(one), 4, None, 2**20) for one in (SINK, "intake", "pipeline")])
    producer = bus.producer("bench")
    for start in range(0, count, BATCH):
        rows = []
        for number in range(start, min(start + BATCH, count)):
            made = Delivery(
                id=f"{number:032x}", event_id=f"{number:064x}", sink=SINK, destination="mss:1", key=f"{number:032x}",
                lane=f"{number:032x}", payload=bytes(2000), origin=Origin("in.sil", 0, number), feed=FEEDS[number % 3],
                pipeline="lettres", label="dr1@hopital1.mssante.fr", created=NOW,
            )  # fmt: skip
            evidence = {"place": "RCPT", "cause": f"cause{number % 5:07}"}
            rows.append(
                Row(delivery=made, partition=0, sequence=number, bytes_at=made.origin, state=State.DEAD, attempts=3,
                    code=f"MSS-55{number % 5}", text="boîte pleine", evidence=evidence, first_try=NOW, updated=NOW)
            )  # fmt: skip
        producer.publish([delivery_record(row.delivery, dlq_topic(SINK)) for row in rows])
        ledger.open([replace(row, delivery=replace(row.delivery, payload=b"")) for row in rows])


def timed(call: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """(median, slowest) in ms."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took), max(took)


@contextmanager
def databases(which: Sequence[str], url: str, folder: Path) -> Iterator[dict[str, dict[str, str]]]:
    """Name -> URLs of a journal and a ledger. url: a database that stays, and is filled once; "" for one that goes."""
    with ExitStack() as opened:
        found = {}
        if "sqlite" in which:
            found["sqlite"] = {name: f"sqlite:///{folder / name}.db" for name in ("journal", "ledger")}
        if "postgresql" in which:
            server = PostgresServer()
            opened.callback(server.remove)
            server.start()
            found["postgresql"] = dict.fromkeys(("journal", "ledger"), server.url)
        for urls in found.values():
            urls["journal"] = url or urls["journal"]
        yield found


def report(name: str, urls: dict[str, str], folder: Path, messages: int, dead: int) -> None:
    journal = Journal(urls["journal"], SystemClock())
    took, _ = timed(lambda: _opened(urls["journal"]))
    print(f"\n## {name}, {messages:,} messages, {dead:,} dead letters\n\n| what | median | slowest |\n|---|---|---|")
    print(f"| opening an empty journal | {took:.0f} ms | |", flush=True)
    count = fill(journal, urls["journal"], messages) if journal.oldest() is None else messages // DAYS
    middle, slowest = timed(lambda: _opened(urls["journal"]))
    print(f"| opening it full | {middle:.0f} ms | {slowest:.0f} ms |", flush=True)
    cost = write(journal, 10**7, 20_000, 20_000, LAST + DAY)
    print(f"| write: CPU, ms a message | {cost:.2f} | |", flush=True)
    for what, ask in questions(count).items():
        middle, slowest = timed(lambda ask=ask: ask(journal))  # type: ignore[misc]
        print(f"| {what} | {middle:.0f} ms | {slowest:.0f} ms |", flush=True)
    for number in range(3):
        end = LAST - (DAYS - 2 - number) * DAY
        took, _ = timed(lambda end=end: journal.prune(end), 1)  # type: ignore[misc]
        print(f"| purge of day {number + 1} | {took:.0f} ms | |", flush=True)
    journal.close()
    ledger, bus = SqlLedger(urls["ledger"]), SqliteBus(folder / f"bus-{name}.db")
    dead_letters(ledger, bus, dead)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    middle, slowest = timed(lambda: listing.groups(bus, ledger, sinks=[SINK]))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"| dlq ls | {middle:.0f} ms | {slowest:.0f} ms, {grown:.0f} MB more |", flush=True)
    bus.close()
    ledger.close()


def _opened(url: str) -> None:
    Journal(url, SystemClock()).close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", "--messages", dest="messages", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--url", default="", help="a database that stays: filled once, asked again")
    parser.add_argument("--only-fill", action="store_true")
    asked = parser.parse_args()
    if asked.only_fill:
        with closing(Journal(asked.url, SystemClock())) as journal:
            fill(journal, asked.url, asked.messages)
        return
    which = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    with (
        tempfile.TemporaryDirectory(prefix="segur-journal-") as place,
        databases(which, asked.url, Path(place)) as found,
    ):
        for name, urls in found.items():
            report(name, urls, Path(place), asked.messages, asked.dead)


if __name__ == "__main__":
    main()
