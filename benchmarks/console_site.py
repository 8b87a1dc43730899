"""A site of three structures, full: what the console's pages are measured on. The router itself does not run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from argon2 import PasswordHasher

from benchmarks import dead_letters
from benchmarks.journal_lines import DAYS, LAST, NOW, SINK, fill, lines, structure_of
from router.access.person import Person, Role
from router.access.store import AccessStore
from router.audit.event import Action, AuditEvent
from router.config.site import Site
from router.console.desk import DeadLetterDesk
from router.console.runner import OrderRunner
from router.console.store import ConsoleStore
from router.console.tools import ConsoleTools
from router.console.watch import StatusWatch
from router.console.worklists import IN_DOUBT
from router.contracts import Row
from router.exchange import Disposition, Receipt, ReceiptKind
from router.feedback.answers import OVERDUE
from router.journal.store import Journal
from router.journal.tables import DAY
from router.register.tables import WORK
from router.runtime.site_services import SiteServices
from router.runtime.status.gather import Gatherer
from router.sinks.mssante.settings import KEEPS

STRUCTURES: Final = 3
MINE: Final = structure_of(0, STRUCTURES)
LOOKED_AT: Final = 85
"""Days of which some mails were heard nothing of."""
OVERDUE_OF_DAY, KEPT_OF_DAY, CASES = 10, 1, 300
_PASSWORD: Final = "quatre-loutres-au-violon"  # noqa: S105  (of nobody)
_FIRST: Final = 2 * 10**8
_BATCH: Final = 1000
_PIPELINE: Final = """\
name: circuit-sil
description: Reports of the laboratory.
feed: sil
steps:
  - validate: {profile: cisis}
sinks:
  mssante: {}
"""


@dataclass
class Still:
    """A clock that stands where the newest messages are."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW


@dataclass(frozen=True, slots=True)
class Sizes:
    messages: int
    dead: int
    audit: int
    accounts: int


def site_file(url: str) -> str:
    """url: of a PostgreSQL database, "" for SQLite files"""
    known = [structure_of(number, STRUCTURES) for number in range(STRUCTURES)]
    lines_ = ["environment: qualification", "data: var", "admin: {port: 0}", "console: {port: 0}", "structures:"]
    for number, finess in enumerate(known):
        lines_.append(
            f'  "{finess}": {{name: Hôpital {number}, source_oid: "1.2.{number}", ipp_oid: "1.3.{number}",'
            f" mailbox: pfi@h{number}.test.mssante.fr, mssante: {SINK}}}"
        )
    lines_.append("feeds:")
    for port, feed in enumerate(("sil", "ris", "dpi"), 2575):
        named = ", ".join(f'"{finess}"' for finess in known)
        lines_.append(f"  {feed}: {{mllp: {{port: {port}}}, rules: {{structures: [{named}]}}}}")
    lines_ += [
        "sinks:",
        f"  {SINK}: {{type: mssante, host: 127.0.0.1, mode: plain, imap: {{host: 127.0.0.1, mode: plain}}}}",
    ]
    lines_ += ["directory: {liste_blanche: {source: liste.xml}}", *([f"database: {{url: '{url}'}}"] if url else [])]
    return "\n".join(lines_) + "\n"


@contextmanager
def full_site(folder: Path, url: str, sizes: Sizes) -> Iterator[ConsoleTools]:
    """The console's tools on a site that is filled where it is empty."""
    path = folder / "router.yaml"
    path.write_text(site_file(url), encoding="utf-8")
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / "circuit-sil.yaml").write_text(_PIPELINE, encoding="utf-8")
    with closing(SiteServices(Site(path), clock=Still(), upgrade=True)) as services:
        with closing(Journal(services.url("journal"), Still())) as journal:
            empty = journal.oldest() is None
        if empty:
            _fill(services, sizes)
        yield from _tools(services, path)


def _fill(services: SiteServices, sizes: Sizes) -> None:
    for what, step in (("journal", _messages), ("dead letters", _dead), ("work-lists", _cases), ("audit", _audit)):
        print(f"filling: {what}", file=sys.stderr, flush=True)
        step(services, sizes)
    store = AccessStore(services.url("access"), Still(), hasher=PasswordHasher(1, 8, 1))
    with closing(store):
        for number in range(sizes.accounts):
            store.accounts.add(f"p{number}", _PASSWORD, {MINE: Role.READER}, shown=f"Personne {number}")


def _messages(services: SiteServices, sizes: Sizes) -> None:
    url = services.url("journal")
    fill(Journal(url, Still()), url, sizes.messages, STRUCTURES)
    per_day = max(1, sizes.messages // DAYS)
    with closing(Journal(url, Still())) as journal:
        for back in range(1, LOOKED_AT + 1):
            begin = LAST - back * DAY
            for number in range(OVERDUE_OF_DAY + KEPT_OF_DAY):
                entries, ends = lines(_FIRST + back * 1000 + 10 + number, per_day + 1, begin, STRUCTURES)
                journal.write(entries, [*ends, _unheard(ends[-1], kept=number >= OVERDUE_OF_DAY)], seen=NOW)


def _unheard(sent: Receipt, *, kept: bool) -> Receipt:
    """What is said of a mail that nothing was heard of; or of one whose recipient keeps an older version."""
    if kept:
        return replace(sent, at=sent.at + 1, ok=False, code=KEEPS, disposition=Disposition.FILTERED, evidence={})
    late = replace(sent, at=sent.at + DAY, ok=False, code=OVERDUE, disposition=None, state=None, evidence={})
    return replace(late, kind=ReceiptKind.DSN)


def _dead(services: SiteServices, sizes: Sizes) -> None:
    ledger = services.ledger()
    dead_letters.made(ledger, services.bus, sizes.dead, STRUCTURES)
    rows = [dead_letters.row(number, STRUCTURES) for number in range(10**7, 10**7 + CASES)]
    ledger.open([_in_doubt(row) for row in rows])


def _in_doubt(row: Row) -> Row:
    return replace(row, delivery=replace(row.delivery, payload=b""), code=IN_DOUBT, evidence={"cause": "doute"})


def _cases(services: SiteServices, sizes: Sizes) -> None:
    """Identities that changed after sending; of the deliveries of the newest days."""
    assert services.register.open_work() == 0  # its tables are there now
    engine = sa.create_engine(services.url("register").replace("postgresql:", "postgresql+psycopg:"))
    rows = [
        {
            "id": f"{number:064x}",
            "alias": "a" * 32,
            "event_id": f"e{number}",
            "kind": "A40",
            "delivery_id": f"{number + 1:026x}d20000",
            "document": f"1.2.{number}",
            "sink": SINK,
            "left": LAST + number,
            "opened": NOW - number,
            "structure": structure_of(number, STRUCTURES),
        }
        for number in range(STRUCTURES * CASES)
    ]
    with engine.begin() as connection:
        connection.execute(WORK.insert(), rows)
    engine.dispose()


def _audit(services: SiteServices, sizes: Sizes) -> None:
    actions = (Action.LOGIN, Action.SEARCHED, Action.VIEWED, Action.EXPORTED)
    for start in range(0, sizes.audit, _BATCH):
        services.audit.record_all(
            AuditEvent(
                at=NOW - (sizes.audit - number) * 20.0,
                who=f"p{number % 1000}",
                action=actions[number % len(actions)],
                role="reader",
                kind="message",
                object=f"{number % 200_000:064x}",
                structure=structure_of(number, STRUCTURES),
                source="10.0.0.1",
            )
            for number in range(start, min(start + _BATCH, sizes.audit))
        )


def _tools(services: SiteServices, path: Path) -> Iterator[ConsoleTools]:
    store, desk = ConsoleStore(services.url("console"), Still()), DeadLetterDesk(services)
    watch = StatusWatch(lambda: Gatherer(Site(path), by_hour=True))

    def record(event: AuditEvent) -> None:
        services.audit.record(event)

    with closing(store), closing(watch):
        yield ConsoleTools(
            site=services.site,
            services=services,
            access=services.access,
            record=record,
            store=store,
            watch=watch,
            desk=desk,
            runner=OrderRunner(store.orders, desk, services.access.ordered, Still()),
            clock=Still(),
        )


def cookie(tools: ConsoleTools) -> str:
    """Of a session of somebody who administers one structure of the three."""
    rights, accounts = {MINE: Role.ADMINISTRATOR}, tools.access.accounts
    if accounts.find("administrator") is None:
        accounts.add("administrator", _PASSWORD, rights, shown="Administrator")
    return tools.access.begin(Person(name="administrator", shown="Administrator", rights=rights), "127.0.0.1")
