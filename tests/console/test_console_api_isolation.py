"""Two hospitals on one site: no operation of the API tells or does for one what is the other's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from router.access.person import EVERY, Role
from router.access.tokens import API_READ
from router.audit.event import Action, AuditEvent
from router.console.api.operation import BASE, Operation, all_operations
from router.console.rates import Rates
from router.exchange import Spoken
from tests.console.console_world import API, EVENT_A, PASSWORD, A, B, Browser, World, problem
from tests.console.sink_worker import dead
from tests.console.worklist_world import everything
from tests.journal.journal_samples import receipt

SINK: Final = "mssante.a"
UNKNOWN: Final = "f" * 32
REASON: Final = {"reason": "failure", "text": "le médecin ne l'a pas reçu"}
#: Operation -> a body that it takes. The others take an empty one.
BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "openMessage": REASON,
    "confirmOrder": {"count": 2},
    "noteCase": {"note": "vu"},
    "decideCase": {"choice": "discard"},
    "noteCause": {"said": "known"},
    "setAccountRights": {"rights": {B: "reader"}},
    "setAccountPassword": {"password": PASSWORD},
    "addAccount": {"name": "nouveau", "password": PASSWORD, "rights": {B: "reader"}},
    "createToken": {"name": "nouveau", "scopes": [API_READ], "rights": {B: "reader"}},
    "saveSearch": {"name": "Jour de B"},
    "findMessages": {"words": "MSGA1"},
    "tryOrder": {"act": "discard", "cause": UNKNOWN},
    "planWithdrawal": {"document": "1.2.3"},
    "withdraw": {"document": "1.2.3", "delivery": UNKNOWN, "reason": "erreur"},
}
#: Operation -> what its address must have.
QUERIES: Final = {"explainDirectory": "?recipient=10000000001", "findMailboxes": "?who=750100125"}
#: Operations that tell hospital A's people something of `MARKS`, so that the test is not fooled by an empty answer.
TELLING: Final = (
    *("accounts", "audit", "deadLetters", "exportAudit", "exportDeadLetters", "exportMessages", "exportTraces"),
    *("findMessages", "handover", "lastDirectoryCheck", "messages", "orders", "pipelines", "searches"),
    *("searchMessages", "state", "tokens", "worklist"),
)
OPERATIONS = pytest.mark.parametrize("one", all_operations(), ids=lambda one: one.name)


@dataclass(frozen=True)
class Site:
    """ids: part of an address -> what there is of hospital A's by this name, for each first word of a path"""

    world: World
    ids: Mapping[str, Mapping[str, str]]
    marks: re.Pattern[str]
    mine: Browser
    other: Browser

    def sent(self, client: Browser, one: Operation, unknown: str = "") -> httpx.Response:
        """The operation on hospital A's; unknown: in the place of the last part of its address."""
        parts = dict(self.ids.get(one.path.split("/")[1], {}))
        if unknown:
            parts[one.in_path[-1]] = unknown
        address = BASE + one.path.format(**parts) + QUERIES.get(one.name, "")
        return client.send(address, BODIES.get(one.name, {})) if one.method == "POST" else client.get(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Hospital A has one of everything; B has a message and an account."""
    world = World(tmp_path_factory.mktemp("site"))
    world.fill()
    held, _doubt, _identity = everything(world)
    dead(world, 2, sink=SINK, structure=A)
    world.write_pipeline()
    for finess, who in ((A, "marie"), (B, "paul")):
        world.services.audit.record(AuditEvent(at=world.clock.at, who=who, action=Action.NOTED, structure=finess))
    said = Spoken(at=world.clock.at, protocol="smtp", server="x:465", author="pfi@a.test", action="RCPT")
    world.services.traces.keep([], [receipt(2, world.clock.at, event_id=EVENT_A, sink=SINK, spoken=(said,))])
    check = [{"place": f"structures.{one}.mailbox", "kind": "type", "text": one} for one in (A, B)]
    kept = {"at": world.clock.at, "compared": 2, "differences": check}
    folder = world.services.site.data / "directory"
    folder.mkdir(exist_ok=True)
    (folder / "check.json").write_text(json.dumps(kept))
    search = world.store.save(world.id_of("marie"), "Nuit de A", "?feed=sil", frozenset({A}), by="marie", shared=True)
    mine, other = world.program({A: Role.ADMINISTRATOR}), world.program({B: Role.ADMINISTRATOR})
    causes = mine.get("/api/dead-letters").json()["causes"]
    cause = next(one["cause"] for one in causes if one["code"] == "MSS-552")
    order = mine.send("/api/orders", {"act": "replay", "cause": cause}).json()["id"]
    assert mine.send(f"/api/orders/{order}/confirm", {"count": 2}).status_code == 200
    token = next(one for one in world.access.tokens.all() if A in one.rights)
    ids = {
        "messages": {"id": EVENT_A},
        "dead-letters": {"cause": cause},
        "orders": {"id": order},
        "worklists": {"list": "waiting", "id": held},
        "pipelines": {"name": "documents"},
        "accounts": {"name": "marie"},
        "tokens": {"id": token.id},
        "searches": {"id": search},
    }
    words = (A, EVENT_A, "MSGA1", "Nuit de A", r"\bsil\b", SINK, r"\bmarie\b", r"\bluc\b", "jeanne", cause, order, held)
    yield Site(world, ids, re.compile("|".join(words)), mine, other)
    world.close()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates are tested elsewhere."""
    monkeypatch.setattr(Rates, "allow", lambda *_: True)


def call(client: Browser, one: Operation, **parts: str) -> httpx.Response:
    """The operation, with its path filled in and no body that means anything."""
    address = BASE + one.path.format(**parts)
    return client.send(address, {}) if one.method == "POST" else client.get(address)


@OPERATIONS
def test_each_operation_wants_a_token_its_scope_and_its_role(site: Site, one: Operation) -> None:
    """Without one, without the scope, or as less than the role: refused before anything is looked at."""
    world = site.world
    parts = dict.fromkeys(one.in_path, "x")
    problem(call(world.client(), one, **parts), 401, "API-LOGIN")
    others = [scope for scope in API if scope != one.scope]
    refused = call(world.program({EVERY: Role.ADMINISTRATOR}, others), one, **parts)
    problem(refused, 403, "API-SCOPE")
    assert f'scope="{one.scope}"' in refused.headers["www-authenticate"]
    problem(call(world.program({}), one, **parts), 403, "API-ROLE")
    if one.role > Role.READER:
        problem(call(world.program({A: Role(one.role - 1)}), one, **parts), 403, "API-ROLE")


@OPERATIONS
def test_no_operation_tells_another_hospital_anything(site: Site, one: Operation) -> None:
    """What is A's answers to B's administrator byte for byte as what does not exist; lists are without it."""
    answer = site.sent(site.other, one)
    if one.in_path and one.in_path != ("list",):
        unknown = site.sent(site.other, one, UNKNOWN)
        assert (answer.status_code, answer.content) == (404, unknown.content)
    else:
        assert answer.status_code in (200, 201, 403, 404, 503), answer.text
        assert not site.marks.search(answer.text)


@pytest.mark.parametrize("name", TELLING)
def test_its_own_people_are_told(site: Site, name: str) -> None:
    """The same questions, asked by A's administrator, are answered with what is A's."""
    one = next(each for each in all_operations() if each.name == name)
    until = time.monotonic() + 20
    while (answer := site.sent(site.mine, one)).status_code == 503 and time.monotonic() < until:
        time.sleep(0.05)  # the first look at the state
    assert answer.status_code in (200, 201), answer.text
    assert site.marks.search(answer.text)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/orders", {"act": "discard", "cause": "{cause}"}, 404),
        ("/api/orders", {"act": "discard", "deliveries": ["{held}"]}, 404),
        ("/api/exports/dead-letters", {"cause": "{cause}"}, 200),
        ("/api/exports/audit", {"structure": A}, 200),
        ("/api/exports/messages", {"feed": "sil"}, 422),
        ("/api/accounts", {"name": "espion", "password": PASSWORD, "rights": {A: "reader"}}, 403),
        ("/api/accounts", {"name": "espion", "password": PASSWORD, "rights": {"*": "reader"}}, 403),
        ("/api/tokens", {"name": "espion", "scopes": [API_READ], "rights": {A: "reader", B: "reader"}}, 403),
        ("/api/withdrawals", {"document": "1.2.3", "delivery": "{held}", "reason": "erreur"}, 404),
        ("/api/audit/verify", {}, 403),
    ],
)
def test_a_body_reaches_nothing_of_another_hospital(
    site: Site, path: str, body: Mapping[str, Any], status: int
) -> None:
    """Ids, filters and rights of A in what B's administrator sends."""
    known = {"cause": site.ids["dead-letters"]["cause"], "held": site.ids["worklists"]["id"]}
    text = re.sub(r"\{(cause|held)\}", lambda found: known[found[1]], json.dumps(body))
    answer = site.other.send(path, json.loads(text))
    assert answer.status_code == status, answer.text
    assert not site.marks.search(answer.text)
    assert site.world.access.accounts.find("espion") is None


def test_what_was_tried_changed_nothing(site: Site) -> None:
    """After every operation of the API: A's accounts, tokens, cases, orders and searches stand as they stood."""
    for one in all_operations():
        if one.method == "POST" and one.in_path:
            site.sent(site.other, one)
    marie = site.world.access.accounts.find("marie")
    assert marie is not None and not marie.locked and marie.rights == {A: Role.OPERATOR}
    for name in ("orders", "searches", "accounts", "tokens"):
        (id_,) = site.ids[name].values()
        assert site.mine.get(f"/api/{name}/{id_}").status_code == 200
    (order,) = site.mine.get("/api/orders").json()["orders"]
    assert order["state"] == "running"
    case = site.mine.get(f"/api/worklists/waiting/{site.ids['worklists']['id']}").json()
    assert case["history"] == [] and case["case"]["decided"] == ""
