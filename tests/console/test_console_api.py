"""The API of the console: who gets what, how errors are told, and what a program does from search to replay."""

from __future__ import annotations

import base64
import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from router.access.person import EVERY, Role
from router.access.tokens import API_READ, FEED_SEND
from router.audit.event import Action, AuditEvent
from router.cisis import ins
from router.console import ordering
from router.exchange import State
from router.feedback.answers import OVERDUE
from router.sinks.mssante.settings import KEEPS
from tests.console.console_world import EVENT_A, EVENT_B, A, B, World, problem, token
from tests.console.sink_worker import dead, work
from tests.console.worklist_world import silent
from tests.journal.journal_samples import received

EXAMPLE = Path(__file__).parents[2] / "docs/examples/console_api.py"
SINK = "mssante.a"
INS = "1870159123456" + ins.key_of("1870159123456")
REASON = {"reason": "failure", "text": "le médecin ne l'a pas reçu"}
MESSAGE = b"MSH|^~\\&|LABO|A|PFI|A|20261130||ORU^R01|MSGA1|P|2.5\rPID|||1234||MARTIN^ZOE\r"


# -------------------------------------------------------------------------------------------------------- rights


@pytest.mark.parametrize("given", ["Bearer x", "Bearer sgr_00000000_" + "A" * 43, "Basic eDp5", "Bearer"])
def test_a_token_that_is_none_is_refused(world: World, given: str) -> None:
    """Also when a session would have been enough; it is no login."""
    answer = world.client("jeanne").get("/api/state", {"authorization": given})
    problem(answer, 401, "API-TOKEN")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_whoever_guesses_tokens_is_told_to_wait(world: World) -> None:
    """One address of the network may be wrong thirty times a minute."""
    codes = [world.client().get("/api/state", {"authorization": "Bearer x"}).status_code for _ in range(31)]
    assert codes == [401] * 30 + [429]


def test_a_token_of_feeds_opens_nothing(world: World) -> None:
    """What may send a message may not read one."""
    text, _ = world.access.tokens.create(
        "sender", scopes=[FEED_SEND], feeds=["sil"], expires=world.clock.now() + 60, by="test", rights={A: Role.READER}
    )
    problem(world.client().get("/api/messages", {"authorization": f"Bearer {text}"}), 403, "API-SCOPE")


def test_a_session_reads_and_acts_with_its_csrf_header_alone(world: World) -> None:
    """A form of another site has the cookie, and not the header."""
    client = world.client("marie")
    assert client.get("/api/state").status_code == 200
    problem(client.send("/api/messages/search", {}), 403, "API-CSRF")
    kinds = {"content-type": "application/json", "x-csrf-token": token(client.get("/choices"))}
    assert client.request("POST", "/api/messages/search", b"{}", **kinds).status_code == 200
    crossed = client.request("POST", "/api/messages/search", b"{}", **kinds, **{"sec-fetch-site": "cross-site"})
    problem(crossed, 403, "API-CSRF")


# ----------------------------------------------------------------------------------------------------- isolation


def test_another_structure_sees_nothing(world: World) -> None:
    """Lists and orders are without it, whatever they are asked for."""
    ids = dead(world, 2, sink=SINK, structure=A)
    for finess, who in ((A, "marie"), (B, "paul")):
        world.services.audit.record(AuditEvent(at=world.clock.now(), who=who, action=Action.NOTED, structure=finess))
    mine, other = world.program({A: Role.ADMINISTRATOR}), world.program({B: Role.ADMINISTRATOR})
    (cause,) = mine.get("/api/dead-letters").json()["causes"]
    mine.send("/api/orders", {"act": "replay", "cause": cause["cause"]})
    assert [one["id"] for one in other.get("/api/messages").json()["messages"]] == [EVENT_B]
    assert other.get("/api/dead-letters").json() == {"causes": []}
    assert other.get("/api/orders").json()["orders"] == []
    assert [one["who"] for one in other.get("/api/audit").json()["rows"]] == ["paul"]
    assert other.get(f"/api/audit?structure={A}").json()["rows"] == []
    assert {one["name"] for one in other.get("/api/state").json()["feeds"]} == {"labo"}
    problem(other.get("/api/messages?feed=sil"), 422, "SEARCH-NAME")
    for asked in ({"cause": cause["cause"]}, {"deliveries": ids}):
        problem(other.send("/api/orders", {"act": "discard", **asked}), 404, "API-UNKNOWN")
    assert not [event for event in world.audit if event.action in (Action.VIEWED, Action.REPLAYED)]


def test_who_reads_one_and_acts_in_another_orders_there_alone(world: World) -> None:
    """A dry run takes dead letters of the structures where one is an operator."""
    dead(world, 2, sink=SINK, structure=A)
    dead(world, 3, sink="mssante.b", structure=B, start=10)
    client = world.program({A: Role.READER, B: Role.OPERATOR})
    found = {one["where"]: one["cause"] for one in client.get("/api/dead-letters").json()["causes"]}
    problem(client.send("/api/orders", {"act": "replay", "cause": found[SINK]}), 404, "API-UNKNOWN")
    assert client.send("/api/orders", {"act": "replay", "cause": found["mssante.b"]}).json()["to_order"] == 3


# -------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("GET", "/api/nothing", b"", "", 404, "API-UNKNOWN"),
        ("GET", "/api/", b"", "", 404, "API-UNKNOWN"),
        ("DELETE", "/api/orders", b"", "", 405, "API-METHOD"),
        ("POST", "/api/orders", b"{", "application/json", 400, "API-REQUEST"),
        ("POST", "/api/orders", b"[" * 60_000, "application/json", 400, "API-REQUEST"),
        ("POST", "/api/orders", b"[1]", "application/json", 400, "API-REQUEST"),
        ("POST", "/api/orders", b"\xff", "application/json", 400, "API-REQUEST"),
        ("POST", "/api/orders", b'{"act": "\\ud800"}', "application/json", 422, "API-VALUES"),
        ("POST", "/api/orders", b"act=replay", "application/x-www-form-urlencoded", 415, "API-KIND"),
        ("POST", "/api/orders", b" " * 70_000, "application/json", 413, "API-SIZE"),
        ("POST", "/api/orders?act=replay", b"{}", "application/json", 422, "API-VALUES"),
        ("POST", "/api/orders/x/stop", b'{"id": "y"}', "application/json", 422, "API-VALUES"),
        ("GET", "/api/messages?per=1&per=2", b"", "", 422, "API-VALUES"),
        ("GET", "/api/messages?per=0", b"", "", 422, "API-VALUES"),
        ("GET", "/api/messages?after=x", b"", "", 422, "SEARCH-AFTER"),
        ("GET", "/api/messages?since=x", b"", "", 422, "SEARCH-PERIOD"),
        ("GET", "/api/messages/%00", b"", "", 404, "API-UNKNOWN"),
        ("GET", "/api/directory?recipient=1", b"", "", 422, "API-VALUES"),
    ],
)
def test_every_error_is_a_problem(
    world: World, method: str, path: str, body: bytes, kind: str, status: int, code: str
) -> None:
    """Whatever is wrong is told in one form (RFC 9457), with a stable code."""
    client = world.program({EVERY: Role.ADMINISTRATOR})
    answer = client.request(method, path, body, **({"content-type": kind} if kind else {}))
    problem(answer, status, code)
    assert status != 405 or {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_a_wrong_value_is_named_by_its_place_and_not_quoted(world: World) -> None:
    """All of them at once, in the language of who asks."""
    client = world.program({EVERY: Role.ADMINISTRATOR}, language="fr")
    body = {"act": INS, "first": INS, "MARTIN": 1}
    told = problem(client.send("/api/orders", body), 422, "API-VALUES")
    assert {one["pointer"] for one in told["errors"]} == {"/act", "/first", "/MARTIN"}
    assert INS not in str(told)
    assert told["detail"] == "des valeurs ne peuvent pas être là où elles sont"


def test_too_many_requests_are_told_when_to_come_back(world: World) -> None:
    """Each operation has its own rate; a second token does not share it."""
    client = world.program({A: Role.READER})
    codes = [client.get("/api/orders").status_code for _ in range(31)]
    assert codes == [200] * 30 + [429]
    answer = client.get("/api/orders")
    problem(answer, 429, "API-RATE")
    assert answer.headers["retry-after"] == "60"
    assert client.get("/api/state").status_code == 200


def test_what_nobody_foresaw_has_a_reference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says nothing else; the log has it under the reference."""

    def broken(*_: object) -> None:
        raise RuntimeError(INS)

    monkeypatch.setattr(type(world.desk), "groups", broken)
    answer = world.program({A: Role.READER}).get("/api/dead-letters")
    assert re.fullmatch(r"[0-9a-f]{8}", problem(answer, 500, "API-BUG")["reference"])
    assert INS not in answer.text


# -------------------------------------------------------------------------------------------------------- search


def test_search_has_the_names_of_the_command_line_and_goes_on_by_a_cursor(world: World) -> None:
    """Each page begins behind the last row of the one before; the last one says so."""
    client = world.program({EVERY: Role.READER})
    first = client.get("/api/messages?recipient=adam.hoda@x.mssante.fr&since=7d&per=1").json()
    assert [one["id"] for one in first["messages"]] and first["next"]
    second = client.get(f"/api/messages?per=1&since=7d&after={first['next']}").json()
    assert {first["messages"][0]["id"], second["messages"][0]["id"]} == {EVENT_A, EVENT_B}
    (failed,) = client.get("/api/messages?outcome=failed").json()["messages"]
    assert (failed["control_id"], failed["structure"], failed["legs"][0]["code"]) == ("MSGA1", A, "MSS-552")


@pytest.mark.parametrize(
    "query",
    [
        f"recipient={INS}@patient.mssante.fr",
        f"recipient={INS}",
        "recipient=HODA%20Adam",
        f"sender={INS}",
        f"code={INS}",
    ],
)
def test_no_identity_and_no_name_stands_in_an_address(world: World, query: str) -> None:
    """The answer says to send it by POST; nothing is looked for."""
    problem(world.program({A: Role.READER}).get(f"/api/messages?{query}"), 422, "SEARCH-POST")
    problem(world.program({A: Role.READER}).get(f"/api/messages?patient={INS}"), 422, "API-VALUES")
    assert not world.audit


def test_a_patient_is_searched_by_post_and_audited_under_a_pseudonym(world: World) -> None:
    """The pseudonym may then stand in an address; while the audit is away, nothing is told."""
    client = world.program({A: Role.READER})
    found = client.send("/api/messages/search", {"patient": INS}).json()
    assert re.fullmatch(r"ps_[0-9a-f]{32}(-[0-9a-f]{32})*", found["patient"])
    assert [(event.who, event.object) for event in world.audit] == [(world.robot, found["patient"])]
    assert client.get(f"/api/messages?patient={found['patient']}").json()["patient"] == found["patient"]
    world.audit_away = True
    answer = client.send("/api/messages/search", {"patient": INS})
    assert problem(answer, 503, "API-AWAY")["reference"] == "AUDIT-AWAY"
    assert answer.headers["retry-after"] == "60"


def test_a_name_is_searched_by_post_and_kept_nowhere(world: World) -> None:
    """The recipient as the sender wrote it."""
    found = world.program({A: Role.READER}).send("/api/messages/search", {"recipient": "HODA Adam"}).json()
    assert [one["id"] for one in found["messages"]] == [EVENT_A]


# ------------------------------------------------------------------------------------------------------- message


def test_a_story_names_nobody_and_the_content_has_its_reason_first(world: World) -> None:
    """Bytes as they came, after a line of the audit; without the line, or without a reason, none."""
    world.receive(MESSAGE)
    client = world.program({A: Role.READER})
    story = client.get(f"/api/messages/{EVENT_A}").json()
    assert story["deliveries"] and story["timeline"] and "MARTIN" not in str(story)
    told = problem(client.send(f"/api/messages/{EVENT_A}/content", {"reason": "call", "text": "x"}), 422, "API-REASON")
    assert [one["pointer"] for one in told["errors"]] == ["/text"]
    assert not world.audit
    world.audit_away = True
    refused = client.send(f"/api/messages/{EVENT_A}/content", REASON)
    assert problem(refused, 503, "API-AWAY") and "parts" not in refused.text
    world.audit_away = False
    (part,) = client.send(f"/api/messages/{EVENT_A}/content", REASON).json()["parts"]
    assert base64.b64decode(part["data"]) == MESSAGE
    (event,) = world.audit
    assert (event.action, event.object, event.structure, event.reason[:8]) == (Action.VIEWED, EVENT_A, A, "failure:")


# -------------------------------------------------------------------------------------------------------- orders


def test_a_program_replays_what_it_tried_by_its_number(world: World) -> None:
    """A wrong number is refused; a second confirmation tells what the first began; then each goes out."""
    ids = dead(world, 3, sink=SINK, structure=A)
    client = world.program({A: Role.OPERATOR})
    (cause,) = client.get("/api/dead-letters").json()["causes"]
    listed = client.get(f"/api/dead-letters/{cause['cause']}?per=2").json()
    rest = client.get(f"/api/dead-letters/{cause['cause']}?per=2&after={listed['next']}").json()
    assert {one["delivery"] for one in (*listed["dead_letters"], *rest["dead_letters"])} == {*ids}
    assert rest["next"] == ""
    made = client.send("/api/orders", {"act": "replay", "cause": cause["cause"]})
    address = made.headers["location"]
    assert (made.status_code, made.json()["state"], made.json()["to_order"]) == (201, "planned", 3)
    problem(client.send(f"{address}/stop", {}), 409, "API-CONFLICT")
    problem(client.send(f"{address}/confirm", {"count": 2}), 422, "API-CONFIRM")
    assert not world.runner.step()
    states = [client.send(f"{address}/confirm", {"count": 3, "reason": "boîte vidée"}).json()["state"] for _ in "ab"]
    assert states == ["running", "running"]
    assert client.send(f"{address}/stop", {}).json()["state"] == "stopped"
    assert client.send(f"{address}/resume", {}).json()["state"] == "running"
    while world.runner.step():
        pass
    work(world, SINK, ids, State.DONE)
    done = client.get(address).json()
    assert (done["state"], done["ordered"], done["became"]["delivered"]) == ("done", 3, 3)
    page = client.get(f"{address}/items?per=2").json()
    assert [one["state"] for one in page["items"]] == ["ordered", "ordered"] and page["next"] == 1
    assert len(client.get(f"{address}/items?after={page['next']}").json()["items"]) == 1
    ordered = [event for event in world.audit if event.action is Action.REPLAYED and event.reason]
    assert {(event.who, event.structure, event.reason) for event in ordered} == {(world.robot, A, "boîte vidée")}
    assert [event.detail.split()[-1] for event in ordered][1:] == ["stop", "resume"]


def test_one_is_confirmed_by_its_number_too_and_many_by_a_person(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that counts wrong orders nothing; above the limit the page asks for the password."""
    (id_,) = dead(world, 1, sink=SINK, structure=A)
    client = world.program({A: Role.OPERATOR})
    address = client.send("/api/orders", {"act": "replay", "deliveries": [id_]}).headers["location"]
    problem(client.send(f"{address}/confirm", {"count": 7}), 422, "API-CONFIRM")
    monkeypatch.setattr(ordering, "AGAIN_ABOVE", 0)
    problem(client.send(f"{address}/confirm", {"count": 1}), 403, "API-MANY")
    world.clock.at += 3000
    problem(client.send(f"{address}/confirm", {"count": 1}), 409, "API-STALE")
    assert not world.runner.step()


# ---------------------------------------------------------------------------------------------------- the example


def test_the_example_of_the_documentation_runs(world: World, tmp_path: Path) -> None:
    """It prints the leg that failed and what waits, and writes a table; without a token that counts, it says why."""
    silent(world)
    world.write([received("c" * 64, world.clock.at - 50, feed="sil", control_id="MSGA3", structures=(A,))])
    text, _ = world.access.tokens.create(
        "report", scopes=[API_READ], expires=world.clock.now() + 60, by="test", rights={A: Role.READER}
    )
    with world.served() as address:
        ran, refused = (
            subprocess.run(
                [sys.executable, str(EXAMPLE), address, "7d", str(tmp_path / "table.csv")],
                env={**os.environ, "SEGUR_TOKEN": given},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            for given in (text, "x")
        )
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert ["MSGA1", SINK, "MSS-552"] in [line[1:4] for line in lines], ran.stderr
    assert [line[3] for line in lines if line[2] == "not-received"] == [OVERDUE, KEEPS]
    table = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))
    assert {one["MSH-10"] for one in table} == {"MSGA1", "MSGA3"}
    assert refused.returncode == 1 and refused.stderr.startswith("401 API-TOKEN: ")
