"""What waits for a person is said to everyone whose structures it is of: in the page, in its head, to programs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from router.access.person import Role
from router.access.tokens import API_READ
from router.console import waits
from router.console.worklists import LISTS
from router.contracts import Row
from router.engine.delivery.supersession_rules import HELD
from router.errors import Unavailable
from router.exchange import Origin, State
from tests.console.console_world import SITE, A, B, World, text_of
from tests.console.sink_worker import publish
from tests.console.worklist_world import in_doubt, many, moved_identity, reports, silent
from tests.engine.sinks import delivery

#: Work-list -> how the head tells of it.
HEADS = {"not-received": "may not have been received", "identity": "left under an identity"}


def _everything(world: World) -> None:
    world.fill()
    in_doubt(world)
    silent(world)


@pytest.mark.parametrize("name", ["marie", "jeanne"])
def test_failures_and_cases_are_counted_for_whoever_sees_their_structure(world: World, name: str) -> None:
    """The page says what waits and leads to it, and so does its head; for one structure as for all."""
    _everything(world)
    page = world.client(name).get("/")
    assert "1 dead letter is not resolved" in text_of(page) and 'href="/dead-letters">' in page.text
    assert "2 documents may not have been received" in text_of(page)
    assert 'href="/worklists/not-received"' in page.text
    assert "Nothing waits" not in page.text and "nothing to look at" not in page.text
    assert "nothing to look at" not in world.client(name).get("/search").text


@pytest.mark.parametrize("name", ["marie", "jeanne", "paul"])
def test_the_head_counts_what_the_work_lists_show(world: World, name: str) -> None:
    """Silent, answered, kept, decided: the number in the head is that of the rows, for each who looks."""
    world.fill()
    moved_identity(world)
    silent(world)
    reports(world)
    client = world.client(name)
    world.store.cases.decide("not-received", many(3), "luc", "told", structure=A, name="MSGA1")
    rows = {
        list_: len(set(re.findall(rf'href="/worklists/{list_}/([^"?]+)"', client.get(f"/worklists/{list_}").text)))
        for list_ in ("not-received", "identity")
    }
    head = text_of(client.get("/"))
    told = {list_: sum(map(int, re.findall(rf"(\d+) documents? {words}", head))) for list_, words in HEADS.items()}
    assert told == rows == {"not-received": {"marie": 5, "jeanne": 6, "paul": 1}[name], "identity": name != "paul"}


def test_a_list_is_counted_in_its_tab_as_it_is_in_its_page(world: World) -> None:
    """Number and age of a tab are the same from each of the lists, and for programs."""
    _everything(world)
    moved_identity(world)
    reports(world)
    client = world.client("marie")
    tabs = {re.search(r'<ul>(.*?)</ul></nav>\s*<p class="row', client.get(f"/worklists/{one}").text, re.S)[1]  # type: ignore[index]
            for one in LISTS}  # fmt: skip
    assert len({re.sub(' aria-current="page"', "", one) for one in tabs}) == 1
    program = world.program({A: Role.READER}, [API_READ])
    for one in program.get("/api/worklists").json()["lists"]:
        rows = program.get(f"/api/worklists/{one['name']}").json()["cases"]
        assert (one["open"], one["oldest"]) == (len(rows), rows[0]["since"] if rows else None)


def test_another_structure_is_told_nothing_of_them(world: World) -> None:
    """They are counted for nobody of the other hospital."""
    _everything(world)
    page = text_of(world.client("paul").get("/"))
    assert "not resolved" not in page and "may not have been received" not in page


def test_a_program_of_one_structure_reads_what_waits(world: World) -> None:
    """`/api/state` says of the failures of its structure what the page says."""
    _everything(world)
    told = {finess: world.program({finess: Role.READER}, [API_READ]).get("/api/state").json() for finess in (A, B)}
    kinds = {finess: {one["what"] for one in state["attention"]} for finess, state in told.items()}
    assert {"dead letters", waits.NOT_RECEIVED} <= kinds[A] and not {"dead letters", waits.NOT_RECEIVED} & kinds[B]
    assert "Nothing waits" not in told[A]["sentence"]


def test_what_can_not_be_counted_is_not_called_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger is away, the page says so, and does not claim that nothing waits."""

    def away(*_: object) -> None:
        raise Unavailable("LEDGER-AWAY", "database", "away")

    monkeypatch.setattr(world.desk, "groups", away)
    page = text_of(world.client("marie").get("/"))
    assert "LEDGER-AWAY" in page and "Nothing waits" not in page


def test_what_waits_at_a_sink_that_two_hospitals_share_is_counted_for_each(tmp_path: Path) -> None:
    """What is held and what waits of one of them: the other one is told neither how many, nor why, nor since when."""
    world = World(tmp_path, SITE.replace("mssante: mssante.b", "mssante: mssante.a"))
    world.fill()
    held = {A: 1, B: 2}
    rows = [
        Row(
            delivery=replace(delivery(n, f"shared-{n}", sink="mssante.a", payload=b""), structure=structure),
            partition=0,
            sequence=10 + n,
            bytes_at=Origin("held.mssante.a", 0, n),
            state=State.PARKED,
            code=HELD,
        )
        for n, structure in enumerate(one for one, count in held.items() for _ in range(count))
    ]
    late = replace(rows[1].delivery, id="late", lane="late", created=1.0)
    rows.append(replace(rows[1], delivery=late, sequence=20, state=State.WAITING, code="MSS-452"))
    ledger = world.services.ledger()
    ledger.open(rows)
    ledger.close()
    for name, count in (("marie", 1), ("paul", 2), ("jeanne", 3)):
        page = text_of(world.client(name).get("/"))
        words = "delivery of unknown outcome is held" if count == 1 else "deliveries of unknown outcome are held"
        assert f"{count} {words}" in page, name
        assert ("MSS-452" in page) is (name != "marie"), name
    told = {finess: world.program({finess: Role.READER}, [API_READ]).get("/api/state").json() for finess in (A, B)}
    shown = {finess: [(one["name"], one["waiting"], one["parked"]) for one in told[finess]["sinks"]] for finess in told}
    assert shown == {A: [("mssante.a", 1, 1)], B: [("mssante.a", 3, 2)]}
    assert told[A]["sinks"][0]["oldest"] != told[B]["sinks"][0]["oldest"]
    world.close()


def test_a_sink_of_one_hospital_is_told_to_it_whole(world: World) -> None:
    """What is on the bus and has no row yet counts too, and what an older version wrote for no structure."""
    world.services.ledger().close()  # it is there once a worker has begun
    publish(world, 2, sink="mssante.a", structure="")
    (told,) = world.program({A: Role.READER}, [API_READ]).get("/api/state").json()["sinks"]
    assert (told["name"], told["waiting"]) == ("mssante.a", 2)
