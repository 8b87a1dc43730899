"""How long the console's pages take on a site that has run for a year, and what they cost.

    python -m benchmarks.console [--messages 1000000] [--database sqlite|postgresql|both] [--only search]

One person administers one structure of three. Each page is asked three times: processor time of console and database
server together (the least), the time on the clock (the fastest), and the statements that were sent to a database. What
waits for a person is counted anew for each: an open page counts it every five seconds. `--folder` keeps the site.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from sqlalchemy import Engine, event

from benchmarks.console_site import MINE, STRUCTURES, Sizes, cookie, full_site
from benchmarks.journal_lines import DAYS, LAST, SINK, event_id, lines, patient_of
from router.console.app import console_app
from router.console.fresh import Fresh
from router.console.tools import FRESH, ConsoleTools
from router.demo.services import PostgresServer
from router.engine.dead_letters.listing import Filter
from router.journal.tables import DAY

TIMES: Final = 3


@dataclass(frozen=True, slots=True)
class Took:
    """cpu, wall: ms;  statements: of one asking;  status: of HTTP;  cut: whether a search was"""

    cpu: float
    wall: float
    statements: int
    status: int
    cut: bool


class Server:
    """The processor time of the sessions of a PostgreSQL server on this machine, in ms. url: "" for none"""

    def __init__(self, url: str) -> None:
        self._session = psycopg.connect(url, autocommit=True) if url else None

    def cpu(self) -> float:
        if self._session is None:
            return 0.0
        sessions = self._session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        return sum(_run(pid) for (pid,) in sessions if pid != self._session.info.backend_pid)


def _run(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    except FileNotFoundError:
        return 0.0


class Asker:
    """Asks the console's application itself, as one browser does; every page with its rates forgotten."""

    def __init__(self, tools: ConsoleTools, server: Server) -> None:
        self._tools, self._server, self._cookie = tools, server, cookie(tools)
        self._statements = 0
        event.listen(Engine, "before_cursor_execute", self._heard)

    def _heard(self, *_: Any) -> None:
        self._statements += 1

    def ask(self, path: str) -> Took:
        """The least of `TIMES`."""
        took = [self._once(path) for _ in range(TIMES)]
        least = min(took, key=lambda one: one.cpu)
        return replace(least, wall=min(one.wall for one in took))

    def _once(self, path: str) -> Took:
        tools = replace(self._tools, waits=Fresh(FRESH))
        transport = httpx.ASGITransport(app=console_app(tools), raise_app_exceptions=False)
        self._statements = 0
        cpu, began = time.process_time() * 1000 + self._server.cpu(), time.perf_counter()
        answer = asyncio.run(_get(transport, path, self._cookie))
        wall = 1000 * (time.perf_counter() - began)
        cpu = time.process_time() * 1000 + self._server.cpu() - cpu
        return Took(cpu, wall, self._statements, answer.status_code, "Cut after 5 s" in answer.text)


async def _get(transport: httpx.ASGITransport, path: str, secret: str) -> httpx.Response:
    cookies = {"segur": secret}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", cookies=cookies) as client:
        return await client.get(path, headers={"accept-language": "en"})


def pages(tools: ConsoleTools, sizes: Sizes) -> Iterator[tuple[str, str]]:
    """(in words, address)"""
    per_day = max(1, sizes.messages // DAYS)
    number = next(
        n for n in range(per_day // 2, per_day)
        if n % 500 and lines(n, per_day + 1, structures=STRUCTURES)[0][0].structures == (MINE,)
    )  # fmt: skip
    message = f"/messages/{event_id(number)}"
    search: Mapping[str, str] = {
        "nothing asked, 7 days": "",
        "nothing asked, at any time": "since=all",
        "a busy doctor": "recipient=dr3@hopital3.mssante.fr",
        "a busy doctor, at any time": "since=all&recipient=dr3@hopital3.mssante.fr",
        "a rare doctor, at any time": "since=all&recipient=dr2997@hopital37.mssante.fr",
        "another structure's doctor, at any time": "since=all&recipient=dr1@hopital1.mssante.fr",
        "nobody": "recipient=nobody@nowhere.mssante.fr",
        "a domain": "recipient=hopital3.mssante.fr",
        "a sender": "sender=SIL",
        "a type": "type=11502-2",
        "failed": "outcome=failed",
        "waiting": "outcome=waiting",
        "refused, at any time": "since=all&outcome=refused",
        "a code, long ago": "code=R45&since=300d&until=270d",
        "a feed": "feed=sil",
        "a pipeline": "pipeline=circuit-sil",
        "a sink": f"sink={SINK}",
        "a patient, at any time": f"since=all&patient=ps_{patient_of(number)}",
        "failed mails of a doctor, at any time": "since=all&outcome=failed&recipient=dr3@hopital3.mssante.fr",
        "a sink and a code": f"sink={SINK}&code=MSS-552",
        "four conditions": "sender=SIL&type=11502-2&outcome=delivered&feed=sil",
        "seven conditions, at any time": "since=all&recipient=dr3@hopital3.mssante.fr&sender=SIL&type=11502-2"
        "&outcome=delivered&feed=sil&pipeline=circuit-sil&sink=" + SINK,
        "two that never meet, at any time": "since=all&feed=sil&pipeline=circuit-ris",
        "the fifth page of it": f"since=all&after={LAST - 100 * DAY!r}_0",
    }
    yield "state", "/"
    yield from ((f"search: {what}", f"/search?{query}") for what, query in search.items())
    yield "message", message
    yield from ((f"message: {view}", f"{message}?view={view}") for view in ("rules", "decisions", "mail"))
    yield "message by its MSH-10", f"/messages/{number:016}0000"
    yield "message: unknown", "/messages/no-such-id-anywhere"
    yield "dead letters", "/dead-letters"
    groups = tools.desk.groups(Filter(within=frozenset({MINE})))
    for stage in ("sink", "intake"):
        yield f"dead letters: a cause, {stage}", f"/dead-letters/{next(g.cause for g in groups if g.stage == stage)}"
    yield from ((f"work-list: {name}", f"/worklists/{name}") for name in ("waiting", "identity", "not-received"))
    yield "work-lists: handover", "/worklists/handover"
    yield "audit", "/audit"
    for query in (
        "who=p3",
        "action=viewed",
        "object=" + "0" * 64,
        "refused=1",
        "since=200d&until=199d",
        "action=purged",
    ):
        yield f"audit: {query[:20]}", f"/audit?{query}"
    yield "pipelines", "/pipelines"
    yield "pipeline", "/pipelines/circuit-sil"
    yield from ((one, f"/{one}") for one in ("orders", "directory", "account"))
    yield from ((f"api: {one}", f"/api/{one}") for one in OPERATIONS)
    yield "api: a message", f"/api{message}"


OPERATIONS: Final = (
    "me",
    "state",
    "messages",
    "messages?feed=sil&outcome=failed",
    "dead-letters",
    "worklists",
    "worklists/not-received",
    "handover",
    "audit",
    "orders",
    "pipelines",
    "searches",
)


def report(name: str, folder: Path, url: str, sizes: Sizes, only: str) -> None:
    with full_site(folder, url, sizes) as tools:
        asker = Asker(tools, Server(url))
        tools.watch.latest(patience=60)
        print(f"\n## {name}: {sizes}\n\n| page | CPU, ms | clock, ms | statements | |\n|---|---|---|---|---|")
        for what, path in pages(tools, sizes):
            if only in what:
                took = asker.ask(path)
                said = ("cut" if took.cut else "") if took.status == 200 else f"{took.status}"
                print(f"| {what} | {took.cpu:.0f} | {took.wall:.0f} | {took.statements} | {said} |", flush=True)


@contextmanager
def places(which: str, folder: str) -> Iterator[Mapping[str, tuple[Path, str]]]:
    """Database -> (folder of the site, URL: "" for files)."""
    with ExitStack() as opened:
        at = Path(folder or opened.enter_context(tempfile.TemporaryDirectory(prefix="segur-console-")))
        found = {}
        for name in ("sqlite", "postgresql"):
            if which in (name, "both"):
                url = ""
                if name == "postgresql":
                    server = PostgresServer()
                    opened.callback(server.remove)
                    server.start()
                    url = server.url
                (at / name).mkdir(parents=True, exist_ok=True)
                found[name] = (at / name, url)
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("messages", 1_000_000), ("dead", 100_000), ("audit", 1_000_000), ("accounts", 1000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--folder", default="", help="a site that stays: filled once, asked again (SQLite)")
    parser.add_argument("--url", default="", help="of a PostgreSQL database that stays, with `--folder`")
    parser.add_argument("--only", default="", help="pages whose name holds these words")
    asked = parser.parse_args()
    sizes = Sizes(asked.messages, asked.dead, asked.audit, asked.accounts)
    if asked.url:
        place = Path(asked.folder) / "kept"
        place.mkdir(parents=True, exist_ok=True)
        report("postgresql", place, asked.url, sizes, asked.only)
        return
    with places(asked.database, asked.folder) as found:
        for name, (place, url) in found.items():
            report(name, place, url, sizes, asked.only)


if __name__ == "__main__":
    main()
