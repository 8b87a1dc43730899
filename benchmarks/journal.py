"""How fast the journal answers and what it costs to write, and how fast dead letters are listed.

    python -m benchmarks.journal [--messages 1000000] [--dead 100000] [--database sqlite|postgresql|both]

Messages are national ones (DMP and one mail each) of 13 months, written as the journal's worker writes them; dead
letters are rows of a ledger and records of a bus. Each question is asked five times: the median and the slowest.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Row, SystemClock, TopicPlan, dlq_topic
from router.demo.services import PostgresServer
from router.engine.dead_letters import listing
from router.exchange import Delivery, Disposition, JournalEntry, Origin, Receipt, ReceiptKind, State
from router.journal.criteria import Criteria
from router.journal.store import Journal
from router.ledger.store import SqlLedger
from router.wire import delivery_record

DAY: Final = 86_400.0
MONTHS: Final = 395 * DAY
NOW: Final = 1_796_040_000.0
BATCH: Final = 1000
DOCTORS: Final = 3000
PATIENTS: Final = 200_000
TYPES: Final = ("11502-2", "18842-5", "34112-3", "57833-6", "11490-0")
FEEDS: Final = ("sil", "ris", "dpi")
SINK: Final = "mssante.chu"


def lines(number: int, of: int) -> tuple[list[JournalEntry], list[Receipt]]:
    """One message: two of a thousand are refused, one of two hundred mails fails, one of a thousand still waits."""
    dice = random.Random(number)
    event, at = f"{number * 2654435761 % 2**64:016x}{number:016x}", NOW - MONTHS + MONTHS * number / of
    doctor = min(int(dice.expovariate(1 / 300)), DOCTORS - 1)
    address, feed = f"dr{doctor}@hopital{doctor % 40}.mssante.fr", dice.choice(FEEDS)
    patient = f"{dice.randrange(PATIENTS):032x}"
    read = JournalEntry(
        event_id=event, kind="refused" if number % 500 == 0 else "received", at=at, feed=feed,
        control_id=f"{number:020}", sender=f"{feed.upper()}|LABO", source="mllp", dialect="2.1", action="initial",
        asked=("dmp", "mssante"), documents=(f"1.2.250.1.213.{number}",), lineage=f"{number:032x}",
        patients=(patient, f"a{patient[1:]}", f"b{patient[1:]}"), ack="AA", size=100_000,
        code="R45" if number % 500 == 0 else "", document_type=dice.choice(TYPES), level=3, qualified=True,
        structures=(f"7500000{doctor % 40:02}",), recipients=((address, f"81000{doctor:07}", f"NOM{doctor} Anne"),),
    )  # fmt: skip
    if read.kind == "refused":
        return [read], []
    dmp, mail = f"{number:030x}d1", f"{number:030x}d2"
    made = JournalEntry(
        event_id=event, kind="decided", at=at + 0.1, feed=feed, pipeline=f"circuit-{feed}",
        deliveries=((dmp, "dmp.chu", "DMP"), (mail, SINK, address)),
    )  # fmt: skip
    end: dict[str, Any] = {
        "event_id": event,
        "feed": feed,
        "pipeline": made.pipeline,
        "attempt": 1,
        "kind": ReceiptKind.DELIVERY,
    }
    good: dict[str, Any] = {"ok": True, "disposition": Disposition.DELIVERED, "state": State.DONE}
    bad: dict[str, Any] = {
        "ok": False,
        "disposition": Disposition.DEAD_LETTERED,
        "state": State.DEAD,
        "code": "MSS-552",
    }
    ends = [
        Receipt(delivery_id=dmp, sink="dmp.chu", label="DMP", at=at + 1, evidence={"submission_set": f"2.25.{number}"},
                **end, **good),
    ]  # fmt: skip
    if number % 1000 != 1:
        how = bad if number % 200 == 3 else good
        proof = {"message_id": f"<{number}@chu>"}
        ends.append(Receipt(delivery_id=mail, sink=SINK, label=address, at=at + 2, evidence=proof, **end, **how))
    return [read, made], ends


def fill(journal: Journal, count: int) -> dict[str, float]:
    """Write them all; CPU of this process and wall time, both in ms a message, of the last tenth."""
    marks: list[tuple[float, float]] = []
    for start in range(0, count, BATCH):
        some = [lines(number, count) for number in range(start, min(start + BATCH, count))]
        entries, receipts = [e for one, _ in some for e in one], [r for _, two in some for r in two]
        cpu, wall = time.process_time(), time.perf_counter()
        journal.write(entries, receipts, seen=NOW)
        marks.append((time.process_time() - cpu, time.perf_counter() - wall))
    last = marks[-max(1, len(marks) // 10) :]
    return {
        name: 1000 * statistics.mean(mark[place] for mark in last) / BATCH
        for place, name in enumerate(("write: CPU, ms a message", "write: wall, ms a message"))
    }


def questions(count: int) -> dict[str, Callable[[Journal], object]]:
    """What is asked, by the words of the report."""
    middle, rare = count // 2, f"dr{DOCTORS - 1}@hopital{(DOCTORS - 1) % 40}.mssante.fr"
    event = lines(middle, count)[0][0].event_id

    def found(**criteria: Any) -> Callable[[Journal], object]:
        return lambda journal: journal.search(Criteria(**criteria), 20)

    def told(any_id: str) -> Callable[[Journal], object]:
        return lambda journal: journal.story(any_id, 5)

    return {
        "explain: MSH-10": told(f"{middle:020}"),
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
        "search: a patient": found(patients=(f"{12:032x}",)),
        "search: two common ones that never meet": found(outcome="refused", pipeline="circuit-sil"),
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
def databases(which: Sequence[str], folder: Path) -> Iterator[dict[str, dict[str, str]]]:
    """Name -> URLs of a journal and a ledger."""
    with ExitStack() as opened:
        found = {}
        if "sqlite" in which:
            found["sqlite"] = {name: f"sqlite:///{folder / name}.db" for name in ("journal", "ledger")}
        if "postgresql" in which:
            server = PostgresServer()
            opened.callback(server.remove)
            server.start()
            found["postgresql"] = dict.fromkeys(("journal", "ledger"), server.url)
        yield found


def report(name: str, urls: dict[str, str], folder: Path, messages: int, dead: int) -> None:
    journal = Journal(urls["journal"], SystemClock())
    print(f"\n## {name}, {messages:,} messages, {dead:,} dead letters\n\n| what | median | slowest |\n|---|---|---|")
    for what, cost in fill(journal, messages).items():
        print(f"| {what} | {cost:.2f} | |", flush=True)
    for what, ask in questions(messages).items():
        middle, slowest = timed(lambda ask=ask: ask(journal))  # type: ignore[misc]
        print(f"| {what} | {middle:.0f} ms | {slowest:.0f} ms |", flush=True)
    took, _ = timed(lambda: journal.prune(NOW - MONTHS + DAY), 1)
    print(f"| purge of the oldest day | {took:.0f} ms | |", flush=True)
    journal.close()
    ledger, bus = SqlLedger(urls["ledger"]), SqliteBus(folder / f"bus-{name}.db")
    dead_letters(ledger, bus, dead)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    middle, slowest = timed(lambda: listing.groups(bus, ledger, sinks=[SINK]))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"| dlq ls | {middle:.0f} ms | {slowest:.0f} ms, {grown:.0f} MB more |", flush=True)
    bus.close()
    ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    asked = parser.parse_args()
    which = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    with tempfile.TemporaryDirectory(prefix="segur-journal-") as place, databases(which, Path(place)) as found:
        for name, urls in found.items():
            report(name, urls, Path(place), asked.messages, asked.dead)


if __name__ == "__main__":
    main()
