"""Two hospitals on one site: what one of them has, says and names is neither seen nor decided by the other."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from router.access.person import Role
from router.console import words
from router.runtime.status.gather import Gatherer
from router.runtime.status.views import Attention, CertificateView
from tests.console.console_world import A, B, World, text_of, token
from tests.console.sink_worker import dead

SINK = "mssante.a"
MUTED = {"said": "muted", "days": "30", "note": "vu avec Brigitte"}


@pytest.mark.parametrize("name", ["labo", "mssante.b"])
def test_the_filters_name_nothing_of_another_hospital(world: World, name: str) -> None:
    """Of the dead letters; who sees all is offered all."""
    assert name not in world.client("marie").get("/dead-letters").text
    assert name in world.client("jeanne").get("/dead-letters").text


def _cause(world: World) -> str:
    """A cause of both hospitals: their dead letters are of one destination, for one reason."""
    dead(world, 2, sink=SINK, structure=A)
    dead(world, 1, sink=SINK, structure=B, start=10)
    found = re.search(r'href="/dead-letters/([^"?]+)"', world.client("marie").get("/dead-letters").text)
    assert found
    return found[1]


def test_what_one_hospital_says_of_a_cause_hides_nothing_from_another(world: World) -> None:
    """B's operator mutes the cause: A's dead letters of it stay new, and A reads nothing of B's note."""
    cause = _cause(world)
    world.access.accounts.set_rights("paul", {B: Role.OPERATOR})
    theirs, mine = world.client("paul"), world.client("marie")
    form = {"_token": token(theirs.get(f"/dead-letters/{cause}")), **MUTED}
    assert theirs.post(f"/dead-letters/{cause}", form).status_code == 303
    assert "1 muted cause" in text_of(theirs.get("/dead-letters"))
    for page in (mine.get("/dead-letters"), mine.get(f"/dead-letters/{cause}")):
        assert "Brigitte" not in page.text and "▲ new" in text_of(page)
    everyone = world.client("jeanne").get("/dead-letters")
    assert "3 dead letters, 1 cause, 1 new" in text_of(everyone) and "Brigitte" in everyone.text


def test_a_cause_is_noted_by_an_operator_of_its_dead_letters(world: World) -> None:
    """To be operator in A gives no word about B's."""
    cause = _cause(world)
    dead(world, 1, sink="mssante.b", structure=B, start=20)
    client = world.client("marie")
    world.access.accounts.set_rights("marie", {A: Role.OPERATOR, B: Role.READER})
    page = client.get("/dead-letters").text
    (other,) = {one for one in re.findall(r'href="/dead-letters/([^"?]+)"', page) if one != cause}
    form = {"_token": token(client.get("/choices")), **MUTED}
    assert client.post(f"/dead-letters/{other}", form).status_code == 403


def test_an_answer_for_all_structures_is_everyones(world: World) -> None:
    """Who operates all of them mutes it for all; a hospital takes it back for itself alone."""
    cause = _cause(world)
    all_of_them, mine = world.client("jeanne"), world.client("marie")
    for client, form in ((all_of_them, MUTED), (mine, {"said": "new", "note": ""})):
        assert "1 muted cause" in text_of(mine.get("/dead-letters")) or client is all_of_them
        sent = client.post(f"/dead-letters/{cause}", {"_token": token(client.get("/choices")), **form})
        assert sent.status_code == 303
    assert "2 dead letters, 1 cause, 1 new" in text_of(mine.get("/dead-letters"))


@pytest.mark.parametrize(
    ("owner", "query"),
    [("paul", {"type": "11502-2"}), ("jeanne", {"feed": "labo"}), ("jeanne", {"structure": B})],
)
def test_a_shared_search_is_not_another_hospitals(world: World, owner: str, query: dict[str, str]) -> None:
    """Neither its name nor its owner nor what it looks for; who sees all sees it."""
    client = world.client(owner)
    form = {"_token": token(client.get("/search")), "name": "Nuit du labo", "shared": "1", **query}
    assert client.post("/searches", form).status_code == 303
    assert "Nuit du labo" not in world.client("marie").get("/search").text
    assert "Nuit du labo" in world.client("jeanne").get("/search").text


def test_a_saved_search_names_no_patient(world: World) -> None:
    """Neither by its name, nor by an address that its form was given."""
    client = world.client("marie")
    form = {"_token": token(client.get("/search")), "name": "née le 31/01/1950", "shared": "1"}
    assert client.post("/searches", form).status_code == 400
    mailbox = "187015912345678@patient.mssante.fr"
    answer = client.post("/searches", {**form, "name": "x", "recipient": mailbox})
    assert answer.status_code in (303, 400) and "187015912345678" not in answer.headers.get("location", "")
    assert not world.store.searches(world.id_of("marie"), None)


def test_the_state_counts_and_names_nothing_of_another_hospital(world: World) -> None:
    """Not its dead letters, not its certificates; the machine's own are everybody's."""
    config = world.services.config
    gatherer = Gatherer(world.services.site)
    found = gatherer.gather()
    gatherer.close()
    names = ("mssante.b/tls", "feed labo/mllp/tls", "mssante.a/tls", "console/tls")
    found = replace(
        found,
        certificates=tuple(CertificateView(name=name, ends=0.0) for name in names),
        attention=(
            Attention("dead letters", "", "3 dead letters are not resolved"),
            *(Attention("certificate", name, "has ended") for name in names),
        ),
    )
    mine = frozenset({A})
    seen = ["mssante.a/tls", "console/tls"]
    assert [one.subject for one in words.attention(found, config, mine)] == seen
    assert [one.name for one in words.certificates(found, config, mine)] == seen
    assert len(words.attention(found, config, None)) == 5 and len(words.certificates(found, config, None)) == 4
