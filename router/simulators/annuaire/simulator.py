"""The simulated server: key, pages, rate limit, errors, and what a server may do wrong (mssante §5.1).

It knows the search parameters that the national server has deployed, and refuses the others as that one does. A
red-listed mailbox is not shown, unless `show_red_listed`: a server that forgot.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit

from router.simulators.annuaire import resources as make
from router.simulators.annuaire.people import ORGANISATIONS, PEOPLE, Organisation, Person
from router.simulators.annuaire.resources import Resource
from router.simulators.control import Command, control_server
from router.simulators.http import HttpServer, Request, Response

BASE: Final = "/fhir/v2"
KEY: Final = "demo-key"
PAGE: Final = 50
_JSON: Final = "application/fhir+json;charset=UTF-8"
_CONTROLS: Final = frozenset({"_count", "_total", "_elements", "_lastUpdated"})
_KNOWN: Final = {
    "Practitioner": {"identifier", "_id", "mailbox-mss", "mailbox-mss:exact", "_revinclude"},
    "PractitionerRole": {"_id", "mailbox-mss", "mailbox-mss:exact", "_include"},
    "Organization": {"identifier", "_id", "mailbox-mss", "mailbox-mss:exact"},
}

Wrong = Literal["", "loop", "elsewhere", "html", "cut", "list", "endless"]
"""What the server does wrong: a next page that is the same one, that is on another server, an answer of a proxy, a body
that is cut, JSON that is no Bundle, pages that never end."""


@dataclass(frozen=True, slots=True)
class AnnuaireConfig:
    """rate: calls a second, for all; `page`: resources on a page when the caller does not say."""

    key: str = field(default=KEY, repr=False)
    port: int = 0
    control_port: int | None = 0
    rate: int = 17
    page: int = PAGE
    show_red_listed: bool = False
    people: tuple[Person, ...] = PEOPLE
    organisations: tuple[Organisation, ...] = ORGANISATIONS


class AnnuaireSimulator:
    """An annuaire on the loopback; `async with` starts and stops it."""

    def __init__(self, config: AnnuaireConfig | None = None) -> None:
        self._config = config or AnnuaireConfig()
        self._server = HttpServer(self._handle, port=self._config.port, context=None)
        commands: dict[str, Command] = {
            "fail": self.fail,
            "slow": self.slow,
            "wrong": self.misbehave,
            "asked": lambda: self.asked,
        }
        control = self._config.control_port
        self._control = control_server(commands, control) if control is not None else None
        self.asked: list[str] = []
        """Every search, without its base: `Practitioner?identifier=…`."""
        self._calls: list[float] = []
        self._failures: list[tuple[int, int | None]] = []
        self._delay = 0.0
        self._wrong: Wrong = ""
        self._found: dict[str, list[Resource]] = {}
        self.fill(self._config.people, self._config.organisations)

    async def __aenter__(self) -> Self:
        await self._server.start()
        if self._control is not None:
            await self._control.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        if self._control is not None:
            await self._control.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}{BASE}"

    @property
    def control_port(self) -> int:
        return self._control.port if self._control is not None else 0

    # ------------------------------------------------------------------------------------------ commands

    def fill(self, people: Iterable[Person], organisations: Iterable[Organisation]) -> None:
        """Who is in it from now on."""
        people, organisations = tuple(people), tuple(organisations)
        self._resources: dict[str, list[Resource]] = {
            "Practitioner": [make.practitioner(one) for one in people],
            "PractitionerRole": [
                make.role(one, rank, place) for one in people for rank, place in enumerate(one.practices)
            ],
            "Organization": [make.organization(one) for one in organisations],
        }

    def fail(self, status: int, count: int = 1, retry_after: int | None = None) -> None:
        """Answer the next calls with this status; status 0 cuts the connection."""
        self._failures += [(status, retry_after)] * count

    def slow(self, seconds: float) -> None:
        """Wait so long before each answer."""
        self._delay = seconds

    def misbehave(self, how: Wrong = "") -> None:
        """Do this wrong from now on; "" stops it."""
        self._wrong = how

    # ------------------------------------------------------------------------------------------- answers

    async def _handle(self, request: Request) -> Response | None:
        place = urlsplit(request.path)
        self.asked.append(request.path.removeprefix(f"{BASE}/"))
        if self._delay:
            await asyncio.sleep(self._delay)
        if request.headers.get("esante-api-key") != self._config.key:
            return _outcome(401, "security", "Unauthorized")
        if not self._turn():
            return _outcome(429, "throttled", "Rate limit exceeded", retry_after=1)
        if self._failures:
            status, wait = self._failures.pop(0)
            return _outcome(status, "exception", "simulated", retry_after=wait) if status else None
        return self._broken(self._search(place.path, dict(parse_qsl(place.query, keep_blank_values=True))))

    def _turn(self) -> bool:
        """Whether another call is allowed in this second."""
        now = time.monotonic()
        self._calls = [at for at in self._calls if now - at < 1]
        if len(self._calls) >= self._config.rate:
            return False
        self._calls.append(now)
        return True

    def _search(self, path: str, query: dict[str, str]) -> Response:
        if path == BASE and "_getpages" in query:
            found = self._found.get(query["_getpages"])
            if found is None:
                return _outcome(410, "not-found", "Unknown search")
            return self._page(query["_getpages"], found, int(query.get("_getpagesoffset", "0")), int(query["_count"]))
        kind = path.removeprefix(f"{BASE}/")
        if kind not in _KNOWN:
            return _outcome(404, "not-found", "Unknown resource type")
        for name in query:
            if name not in _KNOWN[kind] | _CONTROLS:
                return _outcome(400, "invalid", f"Parameter {name} not found")
        token = str(len(self._found))
        self._found[token] = self._matches(kind, query)
        return self._page(token, self._found[token], 0, int(query.get("_count", self._config.page)))

    def _matches(self, kind: str, query: dict[str, str]) -> list[Resource]:
        found = [one for one in self._resources[kind] if _matches(one, query)]
        ids = {f"{kind}/{one['id']}" for one in found}
        if query.get("_revinclude") == "PractitionerRole:practitioner":
            found = found + [
                one for one in self._resources["PractitionerRole"] if one["practitioner"]["reference"] in ids
            ]
        if query.get("_include") == "PractitionerRole:practitioner":
            wanted = {one["practitioner"]["reference"] for one in found}
            found = found + [one for one in self._resources["Practitioner"] if f"Practitioner/{one['id']}" in wanted]
        return [self._shown(one) for one in found]

    def _shown(self, resource: Resource) -> Resource:
        if self._config.show_red_listed:
            return resource
        kept = [one for one in resource["telecom"] if not make.red_listed(one)]
        return resource | {"telecom": kept}

    def _page(self, token: str, found: list[Resource], offset: int, count: int) -> Response:
        shown = found[offset : offset + count]
        end = offset + len(shown)
        links = [{"relation": "self", "url": f"{self.url}?_getpages={token}"}]
        target = ""
        if self._wrong == "loop":
            target = self._address(token, 0, count)
        elif self._wrong == "endless":
            target = self._address(token, end + 1, count)
        elif self._wrong == "elsewhere":
            target = f"http://127.0.0.2:9/fhir?_getpages={token}"
        elif end < len(found):
            target = self._address(token, end, count)
        if target:
            links.append({"relation": "next", "url": target})
        bundle: dict[str, Any] = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(found),
            "link": links,
            "entry": [{"resource": one, "search": {"mode": "match"}} for one in shown],
        }
        return Response(200, json.dumps(bundle, ensure_ascii=False).encode(), _JSON)

    def _address(self, token: str, offset: int, count: int) -> str:
        return f"{self.url}?_getpages={quote(token)}&_getpagesoffset={offset}&_count={count}"

    def _broken(self, response: Response) -> Response:
        if self._wrong == "html":
            return Response(200, b"<html><body>Proxy</body></html>", "text/html")
        if self._wrong == "cut":
            return Response(200, response.body[: len(response.body) // 2], _JSON)
        if self._wrong == "list":
            return Response(200, b"[]", _JSON)
        return response


def _matches(resource: Resource, query: dict[str, str]) -> bool:
    if "identifier" in query:
        wanted = query["identifier"].rpartition("|")[2]
        if wanted not in {one["value"] for one in resource.get("identifier", ())}:
            return False
    if "_id" in query and resource["id"] not in query["_id"].split(","):
        return False
    wanted = query.get("mailbox-mss:exact") or query.get("mailbox-mss") or ""
    return not wanted or wanted.lower() in make.addresses(resource)


def _outcome(status: int, code: str, text: str, *, retry_after: int | None = None) -> Response:
    issue = {"severity": "error", "code": code, "diagnostics": text}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Response(status, json.dumps(body).encode(), _JSON, headers)
