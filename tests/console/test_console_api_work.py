"""The API at work: cases, causes, pipelines, tables to take away, the audit, saved searches, the annuaire."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from router.access.person import EVERY, Role
from router.audit.event import Action, AuditEvent
from router.exchange import Spoken
from tests.console.console_world import EVENT_A, EVENT_B, PIPELINE, A, B, World, problem
from tests.console.sink_worker import dead
from tests.console.worklist_world import KEPT, LATE, SINK, held, moved_identity, silent
from tests.journal.journal_samples import receipt

NAMED = "le patient 2 79 03 51 215 189 89"


def rows(text: str) -> list[dict[str, str]]:
    """Of a CSV."""
    return list(csv.DictReader(io.StringIO(text)))


def test_a_case_is_taken_noted_and_decided_once(world: World) -> None:
    """As on the pages: who comes second is told who has it; the audit has it before."""
    case = f"/api/worklists/identity/{moved_identity(world)}"
    mine = world.program({A: Role.OPERATOR})
    assert [one["open"] for one in mine.get("/api/worklists").json()["lists"]] == [0, 1, 0]
    taken = mine.send(f"{case}/take", {}).json()
    assert (taken["case"]["held_by"], [one["name"] for one in taken["choices"]]) == (
        world.robot,
        ["right", "withdrawn", "told"],
    )
    told = problem(mine.send(f"{case}/note", {"note": NAMED}), 422, "API-NOTE")
    assert [one["pointer"] for one in told["errors"]] == ["/note"]
    assert mine.send(f"{case}/note", {"note": "vu avec le cabinet"}).json()["case"]["note"] == "vu avec le cabinet"
    world.audit_away = True
    problem(mine.send(f"{case}/decide", {"choice": "right"}), 503, "API-AWAY")
    world.audit_away = False
    assert mine.send(f"{case}/decide", {"choice": "right"}).json()["case"]["decided"] == "right"
    problem(mine.send(f"{case}/decide", {"choice": "told"}), 409, "API-TAKEN")
    problem(mine.send(f"{case}/give", {}), 409, "API-TAKEN")
    (line,) = [one for one in world.audit if one.action is Action.DECIDED]
    assert (line.who, line.structure, line.reason) == (world.robot, A, "right")
    (decided,) = mine.get("/api/handover").json()["decided"]
    assert (decided["choice"], decided["by"]) == ("right", world.robot)
    problem(mine.send(f"{case}x/take", {}), 404, "API-UNKNOWN")


def test_the_cases_of_a_list_come_page_by_page(world: World) -> None:
    """The oldest first; a reader looks and does nothing."""
    silent(world)
    client = world.program({A: Role.READER})
    first = client.get("/api/worklists/not-received?per=1").json()
    second = client.get(f"/api/worklists/not-received?per=1&after={first['next']}").json()
    assert [one["id"] for one in (*first["cases"], *second["cases"])] == [LATE, KEPT] and not second["next"]
    assert client.get(f"/api/worklists/not-received/{LATE}").json()["choices"] == []
    problem(client.send(f"/api/worklists/not-received/{LATE}/take", {}), 403, "API-ROLE")
    problem(client.get("/api/worklists/nothing"), 404, "API-UNKNOWN")


def test_a_held_delivery_is_decided_by_an_order_that_was_tried(world: World) -> None:
    """The answer names the dry run, which is confirmed as any other."""
    client = world.program({A: Role.OPERATOR})
    decided = client.send(f"/api/worklists/waiting/{held(world)}/decide", {"choice": "discard"}).json()
    order = client.get(f"/api/orders/{decided['order']}").json()
    assert (order["state"], order["act"], order["to_order"]) == ("planned", "discard", 1)
    assert decided["case"]["decided"] == ""


def test_a_cause_is_muted_and_the_audit_has_it_before(world: World) -> None:
    """Without the line nothing is kept, on the page either; a note names no patient."""
    dead(world, 2, sink=SINK, structure=A)
    client = world.program({A: Role.OPERATOR})
    (cause,) = client.get("/api/dead-letters").json()["causes"]
    address = f"/api/dead-letters/{cause['cause']}/note"
    told = problem(client.send(address, {"said": "muted", "note": NAMED}), 422, "API-NOTE")
    assert {one["pointer"] for one in told["errors"]} == {"/note", "/days"}
    world.audit_away = True
    problem(client.send(address, {"said": "muted", "days": 7}), 503, "API-AWAY")
    assert client.get("/api/dead-letters").json()["causes"][0]["state"] == "new"
    world.audit_away = False
    assert client.send(address, {"said": "muted", "days": 7, "note": "boîte pleine"}).json()["state"] == "muted"
    (line,) = [one for one in world.audit if one.action is Action.NOTED]
    assert (line.object, line.structure, line.detail) == (cause["cause"], A, "muted")


def test_a_pipeline_tells_its_stages_its_examples_and_its_last_reload(world: World) -> None:
    """What is refused is told with its places to whoever sees the site."""
    world.write_pipeline()
    refused = AuditEvent(
        at=world.clock.at, who="system", action=Action.RELOADED, kind="pipeline", object="documents.yaml", refused=True
    )
    client = world.program({EVERY: Role.OPERATOR})
    assert client.get("/api/pipelines/documents").json()["loaded"] is None
    world.services.audit.record(refused)
    found = client.get("/api/pipelines/documents").json()
    assert [one["name"] for one in found["stages"]] == ["feed", "validate", "→ mssante"]
    assert found["loaded"]["refused"] and found["text"] == PIPELINE
    assert "A running router refused this file" in world.client("jeanne").get("/pipelines/documents").text
    played = client.send("/api/pipelines/documents/play", {}).json()
    assert played == {
        "passed": True,
        "examples": [{"example": "illisible", "passed": True, "faults": []}],
        "faults": [],
    }
    path = Path(world.services.config.pipelines) / "documents.yaml"
    path.write_text(PIPELINE.replace("mssante: {}", "mssant: {}"))
    (file,) = client.get("/api/pipelines").json()["refused"]
    assert (file["file"], file["faults"][0]["line"]) == ("documents.yaml", 7)
    mine, other = (world.program({one: Role.READER}).get("/api/pipelines").json() for one in (A, B))
    assert [one["file"] for one in mine["refused"]] == ["documents.yaml"] and not mine["hidden"]
    assert other["refused"] == [] and other["hidden"]


# ------------------------------------------------------------------------------------------------------- exports


def test_messages_are_taken_as_a_table_page_by_page(world: World) -> None:
    """The same lines as CSV and as JSON; the header says where to go on; the audit has each of them."""
    client = world.program({EVERY: Role.READER})
    first = client.send("/api/exports/messages", {"since": "7d", "per": 1, "reason": "bilan de la nuit"})
    assert first.headers["content-type"] == "text/csv; charset=utf-8"
    (one,) = rows(first.text)
    after = first.headers["segur-next"]
    second = client.send("/api/exports/messages", {"since": "7d", "per": 1, "after": after, "format": "jsonl"})
    assert second.headers["content-type"] == "application/jsonl; charset=utf-8" and "segur-next" not in second.headers
    other = json.loads(second.text)
    assert {one["id"], other["id"]} == {EVENT_A, EVENT_B} and one.keys() == other.keys()
    assert [event.reason for event in world.audit if event.action is Action.EXPORTED] == ["bilan de la nuit", ""]
    problem(client.send("/api/exports/messages", {"reason": NAMED}), 422, "API-REASON")
    world.audit_away = True
    problem(client.send("/api/exports/messages", {}), 503, "API-AWAY")


def test_dead_letters_are_taken_as_a_table(world: World) -> None:
    """Those of a cause alone, the newest first."""
    dead(world, 3, sink=SINK, structure=A)
    client = world.program({A: Role.READER})
    (cause,) = client.get("/api/dead-letters").json()["causes"]
    taken = client.send("/api/exports/dead-letters", {"cause": cause["cause"], "per": 2})
    rest = client.send("/api/exports/dead-letters", {"after": taken.headers["segur-next"]})
    found = [*rows(taken.text), *rows(rest.text)]
    assert len({one["delivery"] for one in found}) == 3 and {one["code"] for one in found} == {"MSS-552"}
    assert client.send("/api/exports/dead-letters", {"cause": "x"}).text.count("\n") == 1


def test_the_audit_is_taken_and_walked(world: World) -> None:
    """By whoever administers; the whole chain is walked by who administers the whole site."""
    for who in ("marie", "luc", "paul"):
        event = AuditEvent(at=world.clock.at, who=who, action=Action.NOTED, structure=B if who == "paul" else A)
        world.services.audit.record(event)
    client = world.program({A: Role.ADMINISTRATOR})
    first = client.send("/api/exports/audit", {"per": 1, "action": "noted"})
    rest = client.send("/api/exports/audit", {"after": int(first.headers["segur-next"]), "action": "noted"})
    assert [one["who"] for one in (*rows(first.text), *rows(rest.text))] == ["marie", "luc"]
    problem(client.send("/api/audit/verify", {}), 403, "API-ROLE")
    verdict = world.program({EVERY: Role.ADMINISTRATOR}).send("/api/audit/verify", {}).json()
    assert verdict["whole"] and verdict["rows"] >= 3 and "whole" in verdict["sentence"]
    page = world.client("marie").get("/audit")
    assert page.status_code == 403


def test_traces_are_those_of_one_s_structures(world: World) -> None:
    """By the structure of their message; those of no message, by the mailbox that only one's own structures use."""

    def said(event: str, sink: str, action: str) -> Any:
        one = Spoken(at=world.clock.at, protocol="smtp", server="x:465", author=f"pfi@{sink}", action=action)
        return receipt(2, world.clock.at, event_id=event, sink=sink, delivery_id="", spoken=(one,))

    lines = [said(EVENT_B, "mssante.b", "DATA"), said(EVENT_A, SINK, "DATA"), said("", SINK, "MOVE"), said("", "", "X")]
    world.services.traces.keep([], lines)
    client = world.program({A: Role.ADMINISTRATOR})
    first = client.send("/api/exports/traces", {"per": 1})
    rest = client.send("/api/exports/traces", {"after": int(first.headers["segur-next"])})
    assert [one["action"] for one in (*rows(first.text), *rows(rest.text))] == ["DATA", "MOVE"]
    assert len(rows(world.program({EVERY: Role.ADMINISTRATOR}).send("/api/exports/traces", {}).text)) == 4
    assert {event.kind for event in world.audit} == {"traces"}


# --------------------------------------------------------------------------------------------- searches, annuaire


def test_a_search_is_kept_found_again_and_forgotten(world: World) -> None:
    """Its conditions are those that a list of messages takes; it names no patient."""
    client = world.program({A: Role.READER})
    made = client.send("/api/searches", {"name": "Échecs de la nuit", "outcome": "failed", "since": "7d"})
    assert made.status_code == 201
    found = client.get(made.headers["location"]).json()
    assert found["conditions"] == {"outcome": "failed", "since": "7d"}
    (message,) = client.get("/api/messages?outcome=failed&since=7d").json()["messages"]
    assert message["id"] == EVENT_A
    problem(client.send("/api/searches", {"name": "née le 31/01/1950"}), 422, "API-NOTE")
    problem(client.send("/api/searches", {"name": "x", "recipient": "HODA Adam"}), 422, "SEARCH-POST")
    assert client.send(f"{made.headers['location']}/remove", {}).json()["name"] == "Échecs de la nuit"
    problem(client.send(f"{made.headers['location']}/remove", {}), 404, "API-UNKNOWN")


@pytest.mark.parametrize("words", ["MSGA1", EVENT_A, EVENT_A[:31] + "1"])
def test_a_message_is_found_by_what_one_has_of_it(world: World, words: str) -> None:
    """MSH-10, id of the message or of a delivery."""
    (found,) = world.program({A: Role.READER}).send("/api/messages/find", {"words": words}).json()["messages"]
    assert (found["id"], found["control_id"], found["legs"][0]["code"]) == (EVENT_A, "MSGA1", "MSS-552")


def test_the_annuaire_is_asked_and_compared(world: World) -> None:
    """Each question is audited; the mailbox of a patient stands in no address; differences are of one's own."""
    client = world.program({A: Role.ADMINISTRATOR})
    for who in ("10000000001", A, "pfi@a.test.mssante.fr"):
        assert client.get(f"/api/directory/mailboxes?who={who}").status_code == 200
    assert [event.object for event in world.audit] == ["10000000001", A, "pfi@a.test.mssante.fr"]
    for who in ("MARTIN", "187015912345678@patient.mssante.fr", "2790351215189%4089"):
        problem(client.get(f"/api/directory/mailboxes?who={who}"), 422, "API-VALUES")
    problem(client.get("/api/directory/check"), 404, "API-UNKNOWN")
    assert {one["place"] for one in client.send("/api/directory/check", {}).json()["differences"]} == {
        f"structures.{A}.mailbox"
    }
    everything = world.program({EVERY: Role.ADMINISTRATOR}).get("/api/directory/check").json()
    assert {one["place"] for one in everything["differences"]} == {f"structures.{one}.mailbox" for one in (A, B)}


def test_who_asks_is_told_what_it_may(world: World) -> None:
    """A program has scopes, a person has sessions."""
    told = world.program({A: Role.READER}, ["api:read"]).get("/api/me").json()
    assert (told["name"], told["rights"], told["scopes"]) == (world.robot, {A: "reader"}, ["api:read"])
    person = world.client("marie").get("/api/me").json()
    assert (person["scopes"], len(person["sessions"])) == (None, 1)
