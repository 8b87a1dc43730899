"""Work-lists: every case stands in its list, is taken by one person, decided once, audited, and hidden from others."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy import create_engine

from router.access.person import Role
from router.audit.event import Action
from router.console.worklists import Case, Worklists
from router.exchange import ReceiptKind
from router.register.tables import WORK
from tests.console.console_world import EVENT_A, EVENT_B, A, B, Browser, World, text_of, token
from tests.console.worklist_world import KEPT, LATE, SINK, everything, held, moved_identity, silent
from tests.journal.journal_samples import receipt


def act(client: Browser, address: str, do: str, **fields: str) -> int:
    page = client.get("/choices")
    return client.post(address, {"_token": token(page), "do": do, **fields}).status_code


def test_each_case_stands_in_its_list_and_in_no_other_hospital_s(world: World) -> None:
    """What is held, in doubt, of a changed identity, without news, kept: to A's people, with its message, alone."""
    held_, doubt, identity = everything(world)
    mine, other = world.client("marie"), world.client("paul")
    for name, ids in (("waiting", (held_, doubt)), ("identity", (identity,)), ("not-received", (LATE, KEPT))):
        page = mine.get(f"/worklists/{name}")
        for id_ in ids:
            assert f"/worklists/{name}/{id_}" in page.text
            assert mine.get(f"/worklists/{name}/{id_}").status_code == 200
            hidden = other.get(f"/worklists/{name}/{id_}")
            assert hidden.status_code == 404
            assert act(other, f"/worklists/{name}/{id_}", "take") in (403, 404)
        assert "Nothing waits for a decision here" in text_of(other.get(f"/worklists/{name}"))
    assert f"/messages/{EVENT_A}" in mine.get("/worklists/identity").text
    sheet = text_of(mine.get("/worklists/handover"))
    assert "MSGA1" in sheet and "Waiting for a person (2)" in sheet
    assert "MSGA1" not in text_of(other.get("/worklists/handover"))


def test_a_report_that_comes_late_ends_the_case(world: World) -> None:
    """A mail without news is in the list until its DSN, or until somebody has read it."""
    silent(world)
    client = world.client("marie")
    assert LATE in client.get("/worklists/not-received").text
    dsn = receipt(2, world.clock.at - 5, ReceiptKind.DSN, delivery_id=LATE, event_id=EVENT_A, sink=SINK)
    world.write([], [dsn])
    page = client.get("/worklists/not-received").text
    assert LATE not in page and KEPT in page


def test_a_case_is_held_by_one_person_for_half_an_hour(world: World) -> None:
    """Who comes second is told who has it, and changes nothing; it is given back by hand, or by the clock."""
    silent(world)
    case = f"/worklists/not-received/{LATE}"
    marie, luc = world.client("marie"), world.client("luc")
    assert act(marie, case, "take") == 303
    assert act(luc, case, "take") == act(luc, case, "arrived") == act(luc, case, "give") == 409
    assert "marie has taken this" in text_of(luc.post(case, {"_token": token(luc.get("/choices")), "do": "take"}))
    assert LATE in marie.get("/worklists/not-received?mine=1").text
    assert LATE not in luc.get("/worklists/not-received?mine=1").text
    world.clock.at += 29 * 60
    assert act(luc, case, "take") == 409
    world.clock.at += 2 * 60
    assert act(world.client("luc"), case, "take") == 303
    assert act(world.client("luc"), case, "give") == 303
    assert act(world.client("marie"), case, "take") == 303


def test_a_decision_is_audited_before_it_is_kept_and_made_once(world: World) -> None:
    """The second sees who decided what; without the audit nothing is decided; the handover tells it."""
    case = f"/worklists/identity/{moved_identity(world)}"
    marie, luc = world.client("marie"), world.client("luc")
    world.audit_away = True
    assert act(marie, case, "right") == 503
    world.audit_away = False
    assert len(world.services.register.work()) == 1
    assert act(marie, case, "right") == 303
    assert world.services.register.work() == []
    (line,) = [one for one in world.audit if one.action is Action.DECIDED]
    assert (line.who, line.structure, line.reason) == ("marie", A, "right")
    assert act(luc, case, "withdrawn") == 409
    assert "marie" in text_of(luc.get(case)) and "It is under the right patient" in text_of(luc.get(case))
    assert world.client("paul").get(case).status_code == 404
    assert "It is under the right patient" in text_of(luc.get("/worklists/handover"))
    assert "right patient" not in text_of(world.client("paul").get("/worklists/handover"))


def test_the_audit_says_whose_decision_came_too_late(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Luc decides between Marie's line in the audit and her decision: a second line says that hers was refused."""
    id_ = moved_identity(world)
    decided = world.store.cases.decide

    def meanwhile(list_: str, id_: str, person: str, choice: str, **more: str) -> bool:
        decided(list_, id_, "luc", "withdrawn", **more)
        return decided(list_, id_, person, choice, **more)

    monkeypatch.setattr(world.store.cases, "decide", meanwhile)
    assert act(world.client("marie"), f"/worklists/identity/{id_}", "right") == 409
    lines = [(one.reason, one.refused, one.detail) for one in world.audit if one.action is Action.DECIDED]
    assert [(reason, refused) for reason, refused, _ in lines] == [("right", False), ("right", True)]
    assert lines[1][2].endswith("too-late")


def test_a_held_delivery_is_decided_by_an_order(world: World) -> None:
    """A dry run of this one delivery; when somebody else has taken it, none is made."""
    case = f"/worklists/waiting/{held(world)}"
    marie, luc = world.client("marie"), world.client("luc")
    assert act(luc, case, "take") == 303
    assert act(marie, case, "replay") == 409
    answer = luc.post(case, {"_token": token(luc.get(case)), "do": "discard"})
    assert answer.status_code == 303 and answer.headers["location"].startswith("/orders/")
    assert "1 of 1 would be ordered" in text_of(luc.get(answer.headers["location"]))


@pytest.mark.parametrize("note", ["le patient 2 79 03 51 215 189 89", "née le 28/03/1979", ""])
def test_a_note_names_no_patient(world: World, note: str) -> None:
    """A number or a date of birth is refused, with the text kept; what is fine stands in the list, escaped."""
    silent(world)
    client, case = world.client("marie"), f"/worklists/not-received/{KEPT}"
    assert act(client, case, "note", note=note) == 422
    assert act(client, case, "note", note="vu <b>avec</b> le cabinet") == 303
    page = client.get("/worklists/not-received")
    assert "vu &lt;b&gt;avec" in page.text and "patient&#39;s mailbox" in page.text


def test_a_reader_sees_cases_and_decides_none(world: World) -> None:
    """No button, and the form is refused."""
    silent(world)
    world.access.accounts.set_rights("marie", {A: Role.READER})
    client = world.client("marie")
    case = f"/worklists/not-received/{LATE}"
    assert 'value="arrived"' not in client.get(case).text
    assert act(client, case, "arrived") == 403


def test_the_changed_identities_of_a_hospital_are_all_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many older ones others have, and though no version before said whose an entry is."""
    monkeypatch.setattr("router.console.worklists._ENTRIES", 3)
    world.fill()
    mine = moved_identity(world)
    rows = [(f"x{n}", EVENT_B[:31] + "1", 7) for n in range(8)] + [(f"y{n}", EVENT_A[:31] + "1", 9) for n in range(7)]
    rows += [("gone", "no-such-delivery", 5)]
    more = [
        {"id": id_, "alias": "a", "event_id": "e", "kind": "A40", "delivery_id": delivery, "document": f"1.{id_}",
         "sink": SINK, "left": at, "opened": at}
        for id_, delivery, at in rows
    ]  # fmt: skip
    engine = create_engine(world.services.url("register"))
    with engine.begin() as connection:
        connection.execute(WORK.insert(), more)
    engine.dispose()

    def seen(structure: str | None) -> list[str]:
        within = None if structure is None else frozenset({structure})
        return [case.id for case in Worklists(world.tools, within).cases("identity")]

    assert sorted(seen(A)) == sorted([mine, *(f"y{n}" for n in range(7))])
    assert sorted(seen(B)) == [f"x{n}" for n in range(8)]
    assert len(seen(None)) == len(rows) + 1
    assert world.services.register.open_work() == len(rows) + 1
    assert world.services.register.unowned() == []
    world.services.register.settle(["y0", "x0"], by="marie", outcome="right")
    assert len(seen(A)) == 7 and len(seen(B)) == 7


def test_a_long_list_goes_on_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, each case on one page, for people and for programs; one that is decided moves no other."""
    count, at = 120, world.clock.at
    one = Case(list="waiting", id="", ask="?", since=0.0, code="X", structure=A)
    made = [replace(one, id=f"c{n:03}", since=at - 1000 + n // 3) for n in range(count)]
    monkeypatch.setattr(Worklists, "_waiting", lambda _self: iter(made))
    client, seen, address, pages = world.client("marie"), [], "/worklists/waiting", 0
    while address:
        page = client.get(address).text
        seen += re.findall(r'<a href="/worklists/waiting/(c\d+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address, pages = following[1].replace("&amp;", "&") if following else "", pages + 1
        if pages == 1:
            made.pop(0)
    assert (seen, pages) == ([f"c{n:03}" for n in range(count)], 3)
    assert client.get("/worklists/waiting?per=200").text.count("data-row") == count - 1
    program, told, after = world.program({A: Role.READER}), list[str](), ""
    while not told or after:
        body = program.get(f"/api/worklists/waiting?after={after}").json()
        told += [case["id"] for case in body["cases"]]
        after = body["next"]
    assert told == seen[1:]
