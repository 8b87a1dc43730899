"""Millions of messages in a journal: one day written as the journal's worker writes it, the others copied from it."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg
from sqlalchemy import make_url

from router.contracts import SystemClock
from router.exchange import Disposition, JournalEntry, Receipt, ReceiptKind, State
from router.journal.numbers import of_text
from router.journal.rows import named
from router.journal.store import Journal
from router.journal.tables import BY_DAY, DAY, EVENTS, TERMS, day_of
from router.journal.terms import terms_of

DAYS: Final = 395
NOW: Final = 1_796_040_000.0
LAST: Final = (day_of(NOW) - 1) * float(DAY)
"""Begin of the newest day that is full."""
BATCH: Final = 1000
DOCTORS: Final = 3000
TYPES: Final = ("11502-2", "18842-5", "34112-3", "57833-6", "11490-0")
FEEDS: Final = ("sil", "ris", "dpi")
SINK: Final = "mssante.chu"
PATIENT_OF: Final = 32
"""A patient has a message on one day of so many."""
STRUCTURES: Final = 40


def structure_of(number: int, of: int = STRUCTURES) -> str:
    """FINESS of one of so many structures."""
    return f"7500000{12 + number % of:02}"


def patient_of(number: int, kind: str = "a") -> str:
    """Pseudonym of the patient of a message of the newest day. kind: of which of the patient's identifiers"""
    return f"{kind}{number:027x}0000"


def event_id(number: int, day: int = 0) -> str:
    """Of the message with this number, so many days before the newest; the order of ids says nothing of time."""
    return f"{number * 2654435761 % 2**64:016x}{number:044x}{day:04x}"


def lines(
    number: int, of: int, begin: float = LAST, structures: int = STRUCTURES
) -> tuple[list[JournalEntry], list[Receipt]]:
    """One message: two of a thousand are refused, one of two hundred mails fails, one of a thousand still waits."""
    dice = random.Random(number)
    event, at = event_id(number), begin + DAY * (number % of) / of
    doctor = min(int(dice.expovariate(1 / 300)), DOCTORS - 1)
    address, feed = f"dr{doctor}@hopital{doctor % 40}.mssante.fr", dice.choice(FEEDS)
    refused, structure = number % 500 == 0, structure_of(doctor, structures)
    read = JournalEntry(
        event_id=event, kind="refused" if refused else "received", at=at, feed=feed,
        control_id=f"{number:016}0000", sender=f"{feed.upper()}|LABO", source="mllp", dialect="2.1", action="initial",
        asked=("dmp", "mssante"), documents=(f"1.2.250.1.213.{number}0000",), lineage=f"{number:028x}0000",
        patients=tuple(patient_of(number, kind) for kind in "abc"), ack="AE" if refused else "AA",
        size=100_000, code="R45" if refused else "", document_type=dice.choice(TYPES), level=3, qualified=True,
        structures=(structure,), speaks_for=structure,
        recipients=((address, f"81000{doctor:07}", f"NOM{doctor} Anne"),),
    )  # fmt: skip
    if refused:
        return [read], []
    dmp, mail = f"{number:026x}d10000", f"{number:026x}d20000"
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
        Receipt(delivery_id=dmp, sink="dmp.chu", label="DMP", at=at + 1,
                evidence={"submission_set": f"2.25.{number}0000"}, **end, **good),
    ]  # fmt: skip
    if number % 1000 != 1:
        how = bad if number % 200 == 3 else good
        proof = {"message_id": f"<{number}@chu.0000>"}
        ends.append(Receipt(delivery_id=mail, sink=SINK, label=address, at=at + 2, evidence=proof, **end, **how))
    return [read, made], ends


def write(journal: Journal, first: int, count: int, of: int, begin: float, structures: int = STRUCTURES) -> float:
    """Write so many messages as the worker does; returns this process's CPU, ms a message."""
    cpu = 0.0
    for start in range(first, first + count, BATCH):
        some = [lines(number, of, begin, structures) for number in range(start, min(start + BATCH, first + count))]
        entries, receipts = [e for one, _ in some for e in one], [r for _, two in some for r in two]
        before = time.process_time()
        journal.write(entries, receipts, seen=NOW)
        cpu += time.process_time() - before
    return 1000 * cpu / count


def fill(journal: Journal, url: str, messages: int, structures: int = STRUCTURES) -> int:
    """Fill 13 months, and close the journal; returns how many messages a day has.

    The newest day is written, the others are copies of it under other numbers; some messages of old days are written
    too, so that they can be asked for by their ids.
    """
    per_day = max(1, messages // DAYS)
    write(journal, 1, per_day, per_day + 1, LAST, structures)
    journal.close()  # the database is ours alone meanwhile
    began = time.monotonic()
    copies = (_sqlite if url.startswith("sqlite") else _postgresql)(url, _kinds(per_day, structures))
    for number in copies:
        if number % 20 == 0:
            print(f"{number} of {DAYS} days, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    with closing(Journal(url, SystemClock())) as again:
        for back in OLD_DAYS:
            write(again, first_of(back), 20, per_day + 1, LAST - back * DAY, structures)
    return per_day


OLD_DAYS: Final = (DAYS // 2, DAYS - 10)
"""So many days before the newest: there a few messages are written."""


def first_of(back: int) -> int:
    """Number of the first message that is written of an old day."""
    return 10**8 + back * 1000 + 1


def _kinds(per_day: int, structures: int) -> list[tuple[int, str]]:
    """(term, kind) of a day's terms that are the same on other days, and of those that patients have."""
    common: set[int] = set()
    patients: set[int] = set()
    for number in range(1, per_day + 1):
        for entry in lines(number, per_day + 1, structures=structures)[0]:
            common.update(map(of_text, terms_of(entry)))
            patients.update(of_text(named(patient)) for patient in entry.patients)
    return [*((term, "same") for term in common), *((term, "patient") for term in patients)]


_KINDS: Final = "bench_kinds (term BIGINT PRIMARY KEY, kind VARCHAR)"


def _exchanged(column: str, mask: str) -> str:
    """Exclusive or, as both databases know it."""
    number = of_text(f"day {mask}")
    return f"(({column} | ({number})) - ({column} & ({number})))"


def _changed(back: int, name: str) -> str:
    """The expression for a column of a copy that stands so many days back."""
    if name == "day":
        return f"day - {back}"
    if name in ("at", "received", "touched"):
        return f"CASE WHEN {name} = 0 THEN 0 ELSE {name} - {back * DAY} END"
    if name == "event":
        return _exchanged("x.event", str(back))
    if name in ("event_id", "delivery_id", "control_id"):
        return f"substr({name}, 1, length({name}) - 4) || '{back:04x}'"
    if name == "term":
        patient = _exchanged("x.term", f"{back % PATIENT_OF} of a month")
        other = _exchanged("x.term", str(back))
        return f"CASE k.kind WHEN 'same' THEN x.term WHEN 'patient' THEN {patient} ELSE {other} END"
    return name


def _copied(table: Any, back: int, into: str, source: str) -> str:
    names = [column.name for column in table.c]
    asked = ", ".join(_changed(back, name) for name in names)
    last = day_of(LAST)
    where = f"x.day = {last}" if "day" in names else f"received >= {last * DAY} AND received < {(last + 1) * DAY}"
    kinds = "LEFT JOIN bench_kinds k ON k.term = x.term" if table is TERMS else ""
    return f"INSERT INTO {into} ({', '.join(names)}) SELECT {asked} FROM {source} x {kinds} WHERE {where}"  # noqa: S608


def _sqlite(url: str, kinds: list[tuple[int, str]]) -> Iterator[int]:
    connection = sqlite3.connect(make_url(url).database or "", isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-1500000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(f"CREATE TEMPORARY TABLE {_KINDS}")
    connection.executemany("INSERT INTO bench_kinds VALUES (?, ?)", kinds)
    for back in range(DAYS - 1, 0, -1):
        connection.execute("BEGIN IMMEDIATE")
        for table in (*BY_DAY, EVENTS):
            connection.execute(_copied(table, back, table.name, table.name))
        connection.execute("COMMIT")
        yield DAYS - back
    connection.close()


def _postgresql(url: str, kinds: list[tuple[int, str]]) -> Iterator[int]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {_KINDS}")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO bench_kinds VALUES (%s, %s)", kinds)
        connection.execute("ANALYZE bench_kinds")
        for back in range(DAYS - 1, 0, -1):
            copy_day(connection, back)
            yield DAYS - back
        connection.execute("DROP TABLE bench_kinds")
        connection.execute(f"ANALYZE {EVENTS.name}")


def copy_day(connection: psycopg.Connection[Any], back: int) -> None:
    """One day of PostgreSQL's: its partitions get their indexes when they are full."""
    day = day_of(LAST) - back
    with connection.transaction():
        for table in BY_DAY:
            name, source = f"{table.name}_d{day}", f"{table.name}_d{day_of(LAST)}"
            connection.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS)")
            connection.execute(_copied(table, back, name, source))
            connection.execute(f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES IN ({day})")
        connection.execute(_copied(EVENTS, back, EVENTS.name, EVENTS.name))
