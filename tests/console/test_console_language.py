"""Every page in one language: no text and no word of the other one, whoever looks and whatever is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from router.audit.event import Action, AuditEvent
from router.audit.wording import KINDS
from router.console.hl7_names import NAMES
from router.console.hl7_tree import tree
from router.hl7.message import Message
from router.language import in_language
from tests.console.console_world import A, World
from tests.console.sink_worker import dead
from tests.vocabulary import Spoken, foreign_texts, strangers

#: Names and values of this world, and words that both languages have but only one catalogue.
VALUES = frozenset(
    {"marie", "luc", "paul", "jeanne", "labo", "sil", "documents", "hoda", "adam", "les", "comptes", "rendus", "robot"}
    | {"adresse", "donnée", "par", "émetteur", "examens", "hors", "jeu", "valeur", "profile"}
    | {"boîte", "pleine", "hôpital", "qualification", "mssante", "paris", "illisible", "console", "test", "csv"}
)
_SKIPPED = re.compile(r"/(assets|logout|login|api|events|live)\b|\.csv|\.json|/raw|/parts/")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Messages, dead letters, a pipeline, and a row of the audit for each action and each kind of object."""
    world = World(tmp_path_factory.mktemp("language"))
    world.fill()
    world.write_pipeline()
    dead(world, 2, sink="mssante.a", structure=A)
    kinds = [*KINDS, *[""] * len(Action)]
    for number, action in enumerate([*Action, *[Action.DECIDED] * len(KINDS)]):
        world.services.audit.record(
            AuditEvent(
                at=world.clock.at - number, who="marie", action=action, kind=kinds[number], object="x",
                structure=A, source="127.0.0.1", role="operator", detail="known", refused=number % 2 == 0,
            )
        )  # fmt: skip
    yield world
    world.close()


def _pages(world: World, language: str) -> Iterator[tuple[str, str]]:
    """Every page that links lead to; of pages of one kind the first two."""
    client = world.client("jeanne", language=language)
    found, seen, kinds = ["/"], {"/"}, dict[str, int]()
    while found and len(seen) < 120:
        address = found.pop(0)
        answer = client.get(address)
        if answer.status_code in (302, 303):
            links = [answer.headers["location"]]
        else:
            if answer.status_code == 405:
                continue  # of a form
            assert answer.status_code in (200, 400, 404), (address, answer.status_code)
            yield address, answer.text
            links = re.findall(r'href="(/[^"#]*)', answer.text)
        for link in (one.replace("&amp;", "&") for one in links):
            kind = re.sub(r"[0-9a-f]{6,}|(?<==)[^&]*", "*", link)
            if link not in seen and not _SKIPPED.search(link) and kinds.get(kind, 0) < 2:
                kinds[kind] = kinds.get(kind, 0) + 1
                seen.add(link)
                found.append(link)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_page_shows_the_other_language(full: World, language: str) -> None:
    """Texts, names of columns, labels that are read aloud, words of the audit."""
    wrong, count = set[tuple[str, str, str]](), 0
    for address, page in _pages(full, language):
        count += 1
        spoken = Spoken(language)
        spoken.feed(page)
        for text in spoken.texts:
            bare = text.strip(" :·,.–()")
            if bare in foreign_texts(language) and bare not in VALUES:
                wrong.add((address.partition("?")[0], "text", bare))
            if words := strangers(text, language) - VALUES:
                wrong.add((address.partition("?")[0], " ".join(sorted(words)), text[:100]))
    assert count > 20
    assert sorted(wrong) == []


def test_the_fields_of_a_message_have_their_names_in_french() -> None:
    """Those of the segments in which documents and identities come; the others say that they are English."""
    head = b"MSH|^~\\&|LABO|CHU|||20260101||ORU^R01^ORU_R01|M1|P|2.5|||||FRA|UNICODE UTF-8\r"
    message = Message.parse(head + b"PID|1||1^^^A^PI\rOBX|1|ED|11502-2||x\rTXA|1|CR\rAL1|1||x\r")
    names = {field.place: field for branch in tree(message) for field in branch.fields}
    assert all(names[place].known for place in ("MSH-3", "PID-3", "OBX-3", "TXA-2")) and not names["AL1-3"].known
    with in_language("fr"):
        from router.language import _

        assert _(names["PID-3"].name) == "Identifiants du patient"
        assert all(_(name) != name or name in {"Date", "Handicap", "Religion"} for name in NAMES)
