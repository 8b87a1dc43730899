"""From what a person knows to the message: the box, the conditions, and addresses that name nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from router.access.person import Role
from router.audit.event import Action
from router.cisis import ins, patient_search
from tests.console.console_world import EVENT_A, A, B, Browser, World, text_of, token
from tests.journal.journal_samples import received

INS = "1870159123456" + ins.key_of("1870159123456")
MAILBOX = f"{INS}@patient.mssante.fr"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The two messages; that of A is about a patient."""
    world = World(tmp_path_factory.mktemp("search"))
    secret = world.services.pseudonyms
    names = patient_search.name_pseudonyms(secret, ["Dupont-Ménard"], ["Marie"], "19500131")
    who = (secret.of("ins", INS), secret.of("ipp", "1.3", "000123"), *names)
    world.fill()
    first = received(EVENT_A, world.clock.at - 3600, feed="sil", control_id="MSGA1", structures=(A,), patients=who)
    world.write([replace(first, warnings=())])
    yield world
    world.close()


def _find(client: Browser, **form: str) -> str:
    answer = client.post("/search", {"_token": token(client.get("/search")), **form})
    assert answer.status_code == 303, text_of(answer)
    return answer.headers["location"]


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        ("adam.hoda@x.mssante.fr", "recipient"),
        ("x.mssante.fr", "recipient"),
        ("10001234567", "recipient"),
        ("HODA", "q"),
        (INS, "patient"),
        (" ".join((INS[0], INS[1:3], INS[3:5], INS[5:7], INS[7:10], INS[10:13], INS[13:])), "patient"),
        (MAILBOX, "patient"),
        ("000123", "patient"),
        ("DUPONT MENARD Marie 31/01/1950", "patient"),
        (A, "structure"),
        ("11502-2", "type"),
        ("MSS-552", "code"),
        ("sil", "feed"),
        ("mssante.a", "sink"),
        ("failed", "outcome"),
    ],
)
def test_what_is_typed_becomes_an_address_that_names_nobody(known: World, words: str, parameter: str) -> None:
    """One condition, by which the message is found; no identity and no name stands in the address."""
    client = known.client("marie")
    address = _find(client, words=words)
    query = parse_qs(urlsplit(address).query)
    assert list(query) == [parameter]
    for secret in (INS, INS[:13], "=000123", "DUPONT", "Dupont", "HODA", "1950"):
        assert secret not in address
    answer = client.get(address)
    assert answer.status_code == 200
    assert "boîte pleine" in answer.text and f'href="/messages/{EVENT_A}"' in answer.text


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ("échec", "outcome=failed"),
        ("Refusée", "outcome=refused"),
        ("en attente", "outcome=waiting"),
        ("552", "code=MSS-552"),
        ("5.2.2", "code=MSS-552"),
        ("552 5.2.2", "code=MSS-552"),
        ("r45", "code=R45"),
    ],
)
def test_the_box_takes_french_outcomes_and_bare_replies(known: World, words: str, query: str) -> None:
    """As the screens say them; the address holds the words of the command line."""
    assert _find(known.client("jeanne"), words=words) == f"/search?{query}"


@pytest.mark.parametrize("words", ["MSGA1", f"{EVENT_A[:8]}", EVENT_A, "a" * 31 + "1", "1.2.250.1.213.1.1.9.1^77"])
def test_an_identifier_leads_to_the_message_itself(known: World, words: str) -> None:
    """MSH-10, event, delivery, document: no list is between."""
    assert _find(known.client("marie"), words=words) == f"/messages/{EVENT_A}"


@pytest.mark.parametrize("words", ["MSGB1", "b" * 64, "b" * 31 + "1"])
def test_a_message_of_another_hospital_is_as_one_that_nobody_sent(known: World, words: str) -> None:
    """By its ids, by its recipient, by its structure: nothing of B is seen from A."""
    client = known.client("marie")
    there = client.get(_find(client, words=words))
    assert "No message meets all of this" in there.text and "/messages/" not in there.text
    for query in ("recipient=adam.hoda@x.mssante.fr", f"structure={B}", "since=all"):
        assert "MSGB1" not in client.get(f"/search?{query}").text
    assert "MSGB1" in known.client("jeanne").get("/search?since=all").text
    assert "MSGB1" not in client.get("/search.csv?since=all").text


def test_the_names_of_another_hospitals_feeds_are_not_offered(known: World) -> None:
    """Neither in the fields nor in a fault."""
    client = known.client("marie")
    for query in ("since=all", "feed=labo", "feed=nothing", "sink=mssante.b"):
        page = client.get(f"/search?{query}")
        assert ">labo<" not in page.text and ">mssante.b<" not in page.text
    assert text_of(client.get("/search?feed=labo")).replace("labo", "") == text_of(
        client.get("/search?feed=xxxx")
    ).replace("xxxx", "")


@pytest.mark.parametrize("name", ["recipient", "patient"])
def test_an_identity_typed_into_the_address_leaves_it_at_once(known: World, name: str) -> None:
    """Whoever edits the address by hand is sent to the one that names nobody."""
    answer = known.client("marie").get(f"/search?{name}={MAILBOX}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/search?patient=ps_") and INS not in answer.headers["location"]


def test_a_name_of_a_recipient_stays_on_the_server(known: World) -> None:
    """It may be a patient's: the handle is worth something for the person who typed it only."""
    address = _find(known.client("marie"), words="HODA Adam")
    page = known.client("marie").get(address)
    assert "to someone named" in text_of(page) and "HODA" not in page.text.partition("</title>")[0]
    assert "type it again" in text_of(known.client("jeanne").get(address))


def test_the_period_is_always_seen(known: World) -> None:
    """Seven days when none is named; what lies before is told, with a link."""
    client = known.client("marie")
    assert "since " in text_of(client.get("/search")).partition("Conditions")[0]
    none = client.get("/search?since=1m")
    assert "Outside of this period: 1" in none.text and "since=all" in none.text
    other = known.client("luc")
    for query, count in (("since=1m&outcome=failed", 1), ("until=2h", 1), ("since=3d&until=2h", 1)):
        assert f"Outside of this period: {count}." in other.get(f"/search?{query}").text, query
    for query in ("since=1m&outcome=delivered", "until=2h&outcome=waiting", "since=1m&code=R45"):
        assert "Outside of this period" not in other.get(f"/search?{query}").text, query
    assert "at any time" in client.get("/search?since=all").text


def test_a_list_tells_how_many_rows_it_has(known: World) -> None:
    """The number of what is listed, beside that of the other outcomes."""
    client = known.client("jeanne")
    assert "1 message · failed 1 · delivered 1" in text_of(client.get("/search?outcome=failed")).replace(
        "delivered 1 · failed 1", "failed 1 · delivered 1"
    )
    assert "2 messages ·" in text_of(client.get("/search"))


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=demain", "is no time: write today"),
        ("since=today&until=yesterday", "nothing lies between"),
        ("structure=1", "a structure is a FINESS number"),
        ("outcome=perfect", "an outcome is one of"),
        ("code=mailbox full", "a code is one such as MSS-552"),
        ("after=x", "the place to go on from"),
        ("q=nothing", "type it again"),
    ],
)
def test_what_can_t_be_meant_is_told_with_the_forms(known: World, query: str, sentence: str) -> None:
    """And the fields keep what was typed."""
    answer = known.client("marie").get(f"/search?{query}")
    assert answer.status_code == 400 and sentence in text_of(answer)


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", "%", "_", "<script>alert(1)</script>", "\x1b[31m", "\u202eabc", "a" * 5000]
)
def test_hostile_texts_find_nothing_and_stay_text(known: World, text: str) -> None:
    """SQL, LIKE, HTML, terminal escapes, direction marks: a search that finds nothing."""
    client = known.client("marie")
    answer = client.post("/search", {"_token": token(client.get("/search")), "words": text})
    page = client.get(answer.headers["location"]) if answer.status_code == 303 else answer
    assert page.status_code in (200, 400)
    assert "<script>alert" not in page.text and "\x1b" not in page.text and "\u202e" not in page.text
    assert "MSGA1" not in page.text


def test_a_search_is_saved_for_oneself_or_for_everyone(known: World) -> None:
    """Under its name; another person of the hospital sees the shared one, and removes none but her own."""
    known.access.accounts.set_rights("paul", {A: Role.READER})
    client, other = known.client("marie"), known.client("paul")
    form = {"_token": token(client.get("/search")), "outcome": "failed", "since": "today"}
    client.post("/searches", form | {"name": "mine"})
    client.post("/searches", form | {"name": "ours", "shared": "1"})
    assert ">mine</a>" in client.get("/search").text
    page = other.get("/search").text
    assert ">ours</a>" in page and ">mine</a>" not in page
    (shared,) = known.store.searches(known.id_of("paul"), frozenset({A}))
    assert shared.query == "?outcome=failed&since=today"
    assert other.post(f"/searches/{shared.id}/remove", {"_token": token(other.get("/search"))}).status_code == 404
    assert client.post(f"/searches/{shared.id}/remove", {"_token": token(client.get("/search"))}).status_code == 303
    assert not known.store.searches(known.id_of("paul"), frozenset({A}))
    known.access.accounts.set_rights("paul", {B: Role.READER})


def test_an_export_is_audited_and_holds_no_identity(known: World) -> None:
    """Cells that a spreadsheet would compute are text; the audit knows how many rows left."""
    answer = known.client("marie").get("/search.csv?since=all")
    assert answer.headers["content-type"].startswith("text/csv") and "MSGA1" in answer.text and INS not in answer.text
    assert (known.audit[-1].action, known.audit[-1].detail) == (Action.EXPORTED, "1")


def test_a_search_by_a_patient_is_audited_under_the_pseudonym(known: World) -> None:
    """Who looked for whom is known, and the identity is not."""
    client = known.client("marie")
    client.get(_find(client, words=INS))
    assert known.audit[-1].action == Action.SEARCHED and known.audit[-1].object.startswith("ps_")


def test_a_list_goes_on_behind_its_last_row(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fifty rows a page; each message stands on one page."""
    world = World(tmp_path_factory.mktemp("pages"))
    at = world.clock.at
    made = [received(f"{n:064x}", at - n, feed="sil", control_id=f"M{n:03}", structures=(A,)) for n in range(1, 121)]
    world.write(made)
    client, seen, address = world.client("marie"), [], "/search"
    while address:
        page = client.get(address).text
        seen += re.findall(r">(M\d{3})<", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = following[1].replace("&amp;", "&") if following else ""
    world.close()
    assert seen == [f"M{n:03}" for n in range(1, 121)]


def test_the_address_of_a_message_takes_what_a_person_has_of_it(world: World) -> None:
    """An MSH-10 or a delivery leads to its message, under the same tab; several of one MSH-10 are listed."""
    marie, paul = world.client("marie"), world.client("paul")
    for name in ("MSGA1", EVENT_A[:31] + "1", EVENT_A[:8]):
        there = marie.get(f"/messages/{name}?view=rules")
        assert (there.status_code, there.headers["location"]) == (303, f"/messages/{EVENT_A}?view=rules")
        assert paul.get(f"/messages/{name}").status_code == 404
    for event, finess, feed in (("c" * 64, A, "sil"), ("d" * 64, B, "labo")):
        world.write([received(event, world.clock.at, feed=feed, control_id="MSGA1", structures=(finess,))])
    page = marie.get("/messages/MSGA1")
    listed = re.findall(r'href="/messages/([a-f]{64})"', page.text)
    assert (page.status_code, listed) == (200, ["c" * 64, EVENT_A])
    assert "Messages called MSGA1" in text_of(page) and "segur-router explain MSGA1" in page.text
    assert paul.get("/messages/MSGA1").headers["location"] == f"/messages/{'d' * 64}"
    assert marie.get("/messages/MSGA2").status_code == marie.get(f"/messages/{INS}").status_code == 404


def test_a_patient_s_pseudonym_names_no_message(known: World) -> None:
    """It is a search, which is audited: neither the address of a message nor the box lists his messages by it."""
    client = known.client("luc")
    pseudonym = known.services.pseudonyms.of("ins", INS)
    for name in (pseudonym, f"ps_{pseudonym}", pseudonym.upper()):
        assert client.get(f"/messages/{name}").status_code == 404
        assert f"/messages/{EVENT_A}" not in _find(client, words=name)


def test_whether_a_number_is_a_patients_is_told_to_nobody_unseen(known: World) -> None:
    """What may be an IPP leads to a search for a patient, known or not; the audit has it before anybody looks."""
    client = known.client("luc")
    form = {"_token": token(client.get("/search"))}
    for words in ("000123", "000124", "A-4711"):
        known.audit.clear()
        answer = client.post("/search", form | {"words": words})
        assert answer.status_code == 303, text_of(answer)
        assert answer.headers["location"].startswith("/search?patient=ps_"), words
        assert [(one.action, one.kind, one.structure) for one in known.audit] == [(Action.SEARCHED, "patient", A)]
        known.audit_away = True
        assert client.post("/search", form | {"words": words}).status_code == 503
        assert client.get(answer.headers["location"]).status_code == 503
        known.audit_away = False
    assert "q=" in _find(client, words="HODA")


def test_an_export_has_a_line_for_each_structure_of_its_rows(known: World) -> None:
    """Whoever administers one reads of it there; an export of nothing is a line of what the person sees."""
    known.client("jeanne").get("/search.csv?since=all")
    assert {one.structure: one.detail for one in known.audit[-2:]} == {A: "1", B: "1"}
    known.client("marie").get("/search.csv?since=all&code=MSS-999")
    last = known.audit[-1]
    assert (last.action, last.structure, last.role, last.detail) == (Action.EXPORTED, A, "operator", "0")
