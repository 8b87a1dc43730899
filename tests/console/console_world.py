"""A site of two hospitals with a console: people of each, messages of each, and a clock that is moved."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from argon2 import PasswordHasher
from starlette.types import ASGIApp

from router.access.person import EVERY, Person, Role
from router.access.store import AccessStore
from router.access.tokens import API_ACT, API_ADMINISTER, API_CONTENT, API_READ
from router.audit.event import AuditEvent
from router.config.site import Site
from router.console.app import console_app
from router.console.desk import DeadLetterDesk
from router.console.runner import OrderRunner
from router.console.store import ConsoleStore
from router.console.tools import ConsoleTools
from router.console.watch import StatusWatch
from router.errors import Unavailable
from router.exchange import Disposition, Event, JournalEntry, Receipt, State
from router.runtime.site_services import SiteServices
from router.runtime.status.gather import Gatherer
from router.wire import event_record
from tests.journal.journal_samples import decided, receipt, received

A, B = "750100125", "750100208"
#: A hash that costs a millisecond: its strength is tested elsewhere.
CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD: Final = "quatre-loutres-au-violon"
SITE: Final = f"""\
environment: qualification
data: var
admin: {{port: 0}}
structures:
  "{A}": {{name: Hôpital A, source_oid: "1.2", ipp_oid: "1.3", mailbox: pfi@a.test.mssante.fr, mssante: mssante.a}}
  "{B}": {{name: Hôpital B, source_oid: "1.4", ipp_oid: "1.5", mailbox: pfi@b.test.mssante.fr, mssante: mssante.b}}
feeds:
  sil: {{mllp: {{port: 2575}}, rules: {{structures: ["{A}"]}}}}
  labo: {{mllp: {{port: 2576}}, rules: {{structures: ["{B}"]}}}}
sinks:
  mssante.a: {{type: mssante, host: 127.0.0.1, mode: plain, imap: {{host: 127.0.0.1, mode: plain}}}}
  mssante.b: {{type: mssante, host: 127.0.0.1, mode: plain, imap: {{host: 127.0.0.1, mode: plain}}}}
directory: {{liste_blanche: {{source: liste.xml}}}}
"""
PIPELINE: Final = """\
name: documents
description: Les comptes rendus du labo.
feed: sil
steps:
  - validate: {profile: cisis}
sinks:
  mssante: {}
examples:
  - {name: illisible, message: broken.hl7, expect: {ack: AE, fault: R01}}
"""
PEOPLE: Final[Mapping[str, Mapping[str, Role]]] = {
    "marie": {A: Role.OPERATOR},
    "luc": {A: Role.OPERATOR},
    "paul": {B: Role.READER},
    "jeanne": {EVERY: Role.ADMINISTRATOR},
}
API: Final = (API_READ, API_CONTENT, API_ACT, API_ADMINISTER)
EVENT_A, EVENT_B = "a" * 64, "b" * 64


@dataclass
class MovedClock:
    """Stands still until it is moved."""

    at: float = field(default_factory=time.time)

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Browser:
    """Sends requests to the application itself, with the cookies that it was given; follows no redirection."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def get(self, address: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._client.get(address, headers=headers))

    def post(
        self, address: str, data: Mapping[str, str | Sequence[str]], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A form as a browser sends it."""
        return asyncio.run(self._client.post(address, data=data, headers=headers))

    def send(self, address: str, body: Mapping[str, object]) -> httpx.Response:
        """JSON as a program sends it."""
        return asyncio.run(self._client.post(address, json=body))

    def request(self, method: str, address: str, content: bytes = b"", **headers: str) -> httpx.Response:
        return asyncio.run(self._client.request(method, address, content=content, headers=headers))


class World:
    """The site and its console. `audit`: what was recorded; `audit_away`: whether recording fails.

    robot: name of the token that was made last, as the audit says it
    """

    def __init__(self, folder: Path, site: str = SITE) -> None:
        path = folder / "router.yaml"
        path.write_text(site, encoding="utf-8")
        self.clock = MovedClock()
        self.services = SiteServices(Site(path), clock=self.clock)
        self.access = AccessStore(self.services.url("access"), self.clock, hasher=CHEAP)
        for name, rights in PEOPLE.items():
            self.access.accounts.add(name, PASSWORD, rights, shown=name.capitalize())
        self.audit: list[AuditEvent] = []
        self.audit_away = False
        self.robot = ""
        self.secrets: list[str] = []
        self.store = ConsoleStore(self.services.url("console"), self.clock)
        self.watch = StatusWatch(lambda: Gatherer(Site(path), by_hour=True), every=0.2)
        self.desk = DeadLetterDesk(self.services)
        self.runner = OrderRunner(self.store.orders, self.desk, self.access.ordered, self.clock)
        self.tools = ConsoleTools(
            site=self.services.site,
            services=self.services,
            access=self.access,
            record=self._record,
            store=self.store,
            watch=self.watch,
            desk=self.desk,
            runner=self.runner,
            clock=self.clock,
        )
        self.app = console_app(self.tools)

    def _record(self, event: AuditEvent) -> None:
        if self.audit_away:
            raise Unavailable("AUDIT-AWAY", "database", "away")
        self.audit.append(event)

    def close(self) -> None:
        self.watch.close()
        self.store.close()
        self.access.close()
        self.services.close()

    # ------------------------------------------------------------------------------------------------ people

    def client(self, name: str = "", *, language: str = "en") -> Browser:
        """A browser in which this person has logged in; nobody, when no name is given."""
        client = Browser(self.app, {"accept-language": language, "sec-fetch-site": "same-origin"})
        if name:
            person = Person(name=name, shown=name.capitalize(), rights=PEOPLE[name])
            client.cookies.set("segur", self.access.begin(person, "127.0.0.1"), domain="testserver.local")
        return client

    def id_of(self, name: str) -> str:
        """`Person.id` of a local account."""
        found = self.access.accounts.find(name)
        assert found is not None
        return found.id

    def program(self, rights: Mapping[str, Role], scopes: Sequence[str] = API, *, language: str = "en") -> Browser:
        """A program with a token of these rights and scopes."""
        ends = self.clock.now() + 3600
        text, kept = self.access.tokens.create("robot", scopes=scopes, expires=ends, by="test", rights=rights)
        self.robot = kept.person.name
        return Browser(self.app, {"authorization": f"Bearer {text}", "accept-language": language})

    @contextmanager
    def served(self) -> Iterator[str]:
        """The console on a real port: its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = uvicorn.Config(self.app, host="127.0.0.1", port=port, log_config=None, lifespan="off",
                                timeout_graceful_shutdown=1)  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)

    # ---------------------------------------------------------------------------------------------- messages

    def write(self, entries: Sequence[JournalEntry], receipts: Sequence[Receipt] = ()) -> None:
        self.services.journal.write(entries, receipts)

    def fill(self) -> None:
        """One message of each hospital: A's mail was refused, B's was delivered."""
        now = self.clock.at
        for event, finess, feed, control, ok in (
            (EVENT_A, A, "sil", "MSGA1", False),
            (EVENT_B, B, "labo", "MSGB1", True),
        ):
            sink = "mssante.a" if finess == A else "mssante.b"
            delivery = event[:31] + "1"
            first = received(
                event, now - 3600, feed=feed, control_id=control, structures=(finess,), document_type="11502-2",
                recipients=(("adam.hoda@x.mssante.fr", "810001234567", "HODA Adam"),), asked=("mssante",),
            )  # fmt: skip
            second = replace(
                decided(event, now - 3599), feed=feed, deliveries=((delivery, sink, "adam.hoda@x.mssante.fr"),)
            )
            end = receipt(
                2, now - 3500, delivery_id=delivery, event_id=event, sink=sink, feed=feed, ok=ok,
                disposition=Disposition.DELIVERED if ok else Disposition.DEAD_LETTERED,
                state=State.DONE if ok else State.DEAD, code="" if ok else "MSS-552",
                text="" if ok else "boîte pleine", evidence={"message_id": f"<{control}@segur>"} if ok else {},
            )  # fmt: skip
            self.write([first, second], [end])

    def write_pipeline(self) -> None:
        """`PIPELINE`, of hospital A, and its example."""
        folder = Path(self.services.config.pipelines)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "documents.yaml").write_text(PIPELINE, encoding="utf-8")
        (folder / "broken.hl7").write_bytes(b"MSH|^~\\&|LABO\r")

    def receive(self, message: bytes, event: str = EVENT_A, *, structure: str = A, feed: str = "sil") -> None:
        """An accepted message on the bus, and the line of the journal that says where it stands."""
        producer = self.services.bus.producer("test")
        (place,) = producer.publish([event_record(Event(event, feed, "key", message))])
        producer.close()
        line = received(event, self.clock.at - 7200, feed=feed, control_id="MSGA1", structures=(structure,))
        self.write([replace(line, origin=str(place))])


def token(answer: httpx.Response) -> str:
    """Of the forms of a page."""
    found = re.search(r'name="_token" value="([0-9a-f]+)"', answer.text)
    assert found, answer.text
    return found[1]


def text_of(answer: httpx.Response) -> str:
    """The words of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text))


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error of the API, which is in its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["type"], body["status"], body["code"]) == ("about:blank", status, code)
    assert body["title"] and body["detail"]
    return body
