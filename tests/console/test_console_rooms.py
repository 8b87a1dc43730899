"""Pages of audit, directory and pipelines: what they tell, to whom, and what they do with nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.access.person import Role
from router.audit.event import Action, AuditEvent
from router.audit.wording import action as done
from router.console.free_text import named_person
from tests.console.console_world import PIPELINE, A, B, World, text_of, token


@pytest.fixture
def rooms(world: World) -> World:
    """With two rows of each hospital in the audit, and a pipeline of hospital A."""
    for finess, who in ((A, "marie"), (B, "paul")):
        for action in (Action.VIEWED, Action.REPLAYED):
            world.services.audit.record(
                AuditEvent(
                    at=world.clock.now(), who=who, action=action, structure=finess, kind="event", object="e" * 64
                )
            )
    world.write_pipeline()
    return world


def test_the_audit_is_for_administrators(rooms: World) -> None:
    """Readers and operators are told so; the rows are the newest first."""
    assert rooms.client("marie").get("/audit").status_code == 403
    page = text_of(rooms.client("jeanne").get("/audit"))
    assert page.index("paul") < page.index("marie")


def test_the_audit_of_one_hospital_is_not_another_ones(rooms: World) -> None:
    """Who administers B sees B's rows, also by name."""
    rooms.access.accounts.set_rights("paul", {B: Role.ADMINISTRATOR})
    client = rooms.client("paul")
    for query in ("who=marie", f"structure={A}"):
        assert "No row of the audit answers to this." in text_of(client.get(f"/audit?{query}"))
    assert "replayed" in text_of(client.get("/audit?action=replayed"))


def test_the_trail_is_walked_and_taken_as_csv(rooms: World) -> None:
    """It is whole; that somebody took the rows stands in the audit."""
    client = rooms.client("jeanne")
    form = {"_token": token(client.get("/audit"))}
    assert "The trail is whole" in client.post("/audit", form | {"do": "verify"}).text
    taken = client.post("/audit", form | {"do": "export"})
    assert taken.headers["content-type"].startswith("text/csv") and taken.text.count("\n") == 5
    assert [event.kind for event in rooms.audit if event.action is Action.EXPORTED] == ["audit"]


@pytest.mark.parametrize("query", ["since=32/13/2026", "before=x", "action=nonsense", "structure=%27--", "who=%00"])
def test_nonsense_in_the_audit_is_answered(rooms: World, query: str) -> None:
    """With a sentence or with nothing found, never with an error of ours."""
    assert rooms.client("jeanne").get(f"/audit?{query}").status_code in (200, 422)


def test_a_period_that_is_none_exports_nothing(rooms: World) -> None:
    """It is answered with a sentence, and the audit has no line of it."""
    client = rooms.client("jeanne")
    form = {"_token": token(client.get("/audit")), "do": "export", "since": "32/13/2026"}
    assert client.post("/audit", form).status_code == 422
    assert not [event for event in rooms.audit if event.action is Action.EXPORTED]


@pytest.mark.parametrize(
    "text",
    [
        "2-69-05-49-588-157-80",
        "２６９０５４９５８８１５７８０",
        "2 69 05 49 588 157 80",
        "1300000003",
        "0612345678",
        "06.12.34.56.78",
    ],
)
def test_a_number_of_a_patient_is_seen_however_it_is_written(text: str) -> None:
    """With hyphens, blanks, or the wide digits of another keyboard; an IPP and a telephone number too."""
    assert named_person(f"appel pour {text}")


def test_the_directory_tells_why(rooms: World) -> None:
    """Each source, and the reason when there is no mailbox; the question is audited, nothing is sent."""
    client = rooms.client("marie")
    page = text_of(client.get("/directory?recipient=10000000001"))
    assert "No mailbox" in page and "Nothing was sent." in page
    assert [event.object for event in rooms.audit if event.action is Action.SEARCHED] == ["10000000001"]
    for query in ("recipient=martin", "recipient=10000000001&structure=zz"):
        assert client.get(f"/directory?{query}").status_code == 422


def test_a_pipeline_shows_what_it_does_and_plays_its_examples(rooms: World) -> None:
    """In order, with the lines of the file; another hospital does not see it."""
    client = rooms.client("marie")
    assert "documents" in client.get("/pipelines").text
    page = client.get("/pipelines/documents")
    assert "profile: cisis" in text_of(page) and 'id="L6"' in page.text
    played = client.post("/pipelines/documents", {"_token": token(page)})
    assert "passes" in text_of(played), text_of(played)
    other = rooms.client("paul")
    assert other.get("/pipelines/documents").status_code == other.get("/pipelines/unknown").status_code == 404


def test_a_refused_file_is_told_with_its_places(rooms: World) -> None:
    """Every fault at once, with line and column."""
    path = Path(rooms.services.config.pipelines) / "documents.yaml"
    path.write_text(PIPELINE.replace("mssante: {}", "mssant: {}").replace("feed: sil", "feed: sill"))
    page = text_of(rooms.client("jeanne").get("/pipelines"))
    assert "documents.yaml is refused as it is now" in page and "line 3, column" in page and "line 7, column" in page


@pytest.mark.parametrize("name", ["jeanne", "marie"])
def test_a_refused_pipeline_stays_in_the_list_and_has_its_page(rooms: World, name: str) -> None:
    """Whoever sees its feed sees why it is refused, where, and which version a running router goes on with."""
    path = Path(rooms.services.config.pipelines) / "documents.yaml"
    path.write_text(PIPELINE.replace("mssante: {}", "mssant: {}"))
    client = rooms.client(name)
    assert 'href="/pipelines/documents"' in client.get("/pipelines").text
    page = client.get("/pipelines/documents")
    assert page.status_code == 200 and "documents.yaml, line 7, column" in text_of(page)
    assert "goes on with the version of before" in text_of(page)
    assert rooms.client("paul").get("/pipelines/documents").status_code == 404


def test_the_audit_says_that_a_professional_was_tested(rooms: World) -> None:
    """A test of the directory with an RPPS is no search for a patient."""
    assert done(Action.SEARCHED, "directory") == "tested a professional in the directory"
    assert done(Action.SEARCHED, "patient") == "searched for a patient"
    assert rooms.client("jeanne").get("/audit").status_code == 200
