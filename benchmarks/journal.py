"""How fast the journal answers, and what it costs to write.

    python -m benchmarks.journal [--events 1000000] [--database sqlite|postgresql|both]

Messages are national ones (DMP and one mail each) of 13 months, of which the newest day is written as the journal's
worker writes it and the others are copies. Each question is asked five times: the median and the slowest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.dead_letters import timed
from benchmarks.journal_lines import (
    DAYS,
    DOCTORS,
    LAST,
    NOW,
    OLD_DAYS,
    SINK,
    event_id,
    fill,
    first_of,
    patient_of,
    structure_of,
    write,
)
from router.contracts import SystemClock
from router.demo.services import PostgresServer
from router.journal.criteria import Criteria
from router.journal.store import Journal
from router.journal.tables import DAY

MONTHS: Final = DAYS * DAY


def questions(count: int) -> dict[str, Callable[[Journal], object]]:
    """What is asked, by the words of the report. count: messages of a day"""
    middle, rare = count // 2, f"dr{DOCTORS - 1}@hopital{(DOCTORS - 1) % 40}.mssante.fr"
    old, oldest = map(first_of, OLD_DAYS)
    event = event_id(old)

    def found(**criteria: Any) -> Callable[[Journal], object]:
        return lambda journal: journal.search(Criteria(**criteria), 20)

    def counted(**criteria: Any) -> Callable[[Journal], object]:
        return lambda journal: journal.counts(Criteria(**criteria))

    def told(any_id: str) -> Callable[[Journal], object]:
        return lambda journal: journal.story(any_id, 5)

    return {
        "explain: MSH-10": told(f"{old:016}0000"),
        "explain: Message-ID of an old day": told(f"<{oldest + 4}@chu.0000>"),
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
        "search: a patient": found(patients=(patient_of(middle),)),
        "search: a sink and a code": found(sink=SINK, code="MSS-552"),
        "search: all conditions": found(
            recipient="NOM12",
            structure="750000012",
            sender="SIL",
            type="11502-2",
            outcome="delivered",
            feed="sil",
            pipeline="circuit-sil",
        ),
        "search: a rare doctor, long ago": found(recipient=rare, until=NOW - MONTHS + 30 * DAY),
        "search: every condition but one meets": found(recipient="NOM12", feed="sil", pipeline="circuit-ris"),
        "search: two common ones that never meet": found(outcome="refused", pipeline="circuit-sil"),
        "search: the two commonest that never meet": found(feed="sil", pipeline="circuit-ris"),
        "search: of one structure, nothing asked": found(within=frozenset({"750000012"})),
        "search: of five structures, failed": found(within=frozenset(map(structure_of, range(5))), outcome="failed"),
        "search: of one structure, another's doctor": found(
            within=frozenset({"750000012"}), recipient="dr1@hopital1.mssante.fr"
        ),
        "search: of a structure that has none": found(within=frozenset({"999999999"})),
        "search: ten years": found(recipient=rare, since=0.0, until=NOW * 2),
        "counts: one day": counted(since=LAST, until=LAST + DAY),
        "counts: a busy doctor": counted(recipient="dr1@hopital1.mssante.fr"),
        "counts: everything": counted(),
    }


@contextmanager
def databases(which: Sequence[str], url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Name -> URL. url: a database that stays, and is filled once; "" for one that goes."""
    with ExitStack() as opened:
        if url:
            yield {url.split(":", maxsplit=1)[0]: url}
            return
        found = {}
        if "sqlite" in which:
            found["sqlite"] = f"sqlite:///{folder / 'journal.db'}"
        if "postgresql" in which:
            server = PostgresServer()
            opened.callback(server.remove)
            server.start()
            found["postgresql"] = server.url
        yield found


def report(name: str, url: str, messages: int) -> None:
    journal = Journal(url, SystemClock())
    empty = timed(lambda: _opened(url))
    print(f"\n## {name}, {messages:,} messages\n\n| what | fastest | median | slowest |\n|---|---|---|---|")
    _tell("opening an empty journal", empty)
    count = messages // DAYS
    if journal.oldest() is None:
        count = fill(journal, url, messages)
        journal = Journal(url, SystemClock())
    _tell("opening it full", timed(lambda: _opened(url)))
    cost = write(journal, 10**7, 20_000, 20_000, LAST + DAY)
    print(f"| write: CPU, ms a message | {cost:.2f} | | |", flush=True)
    for what, ask in questions(count).items():
        _tell(what, timed(lambda ask=ask: ask(journal)))  # type: ignore[misc]
    for number in range(3):
        end = LAST - (DAYS - 2 - number) * DAY
        cpu = time.process_time()
        took, *_ = timed(lambda end=end: journal.prune(end), 1)  # type: ignore[misc]
        used = 1000 * (time.process_time() - cpu)
        print(f"| purge of day {number + 1} | {took:.0f} ms | | CPU of this process {used:.0f} ms |", flush=True)
    journal.close()


def _tell(what: str, took: tuple[float, float, float]) -> None:
    print(f"| {what} | {' | '.join(f'{one:.0f} ms' for one in took)} |", flush=True)


def _opened(url: str) -> None:
    Journal(url, SystemClock()).close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", "--messages", dest="messages", type=int, default=1_000_000)
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
        for name, where in found.items():
            report(name, where, asked.messages)


if __name__ == "__main__":
    main()
