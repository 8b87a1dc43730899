"""The API against its own OpenAPI document: schemathesis sends what it allows and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from router.access.person import EVERY, Role
from router.access.tokens import API_ACT, API_ADMINISTER, API_CONTENT, API_READ
from router.console.api import document, operation
from router.console.rates import Rates
from router.engine.dead_letters.listing import ALL
from tests.console.console_world import EVENT_A, A, World
from tests.console.sink_worker import dead
from tests.console.worklist_world import LATE, silent

EXAMPLES: Final = 2
LANGUAGES = ("fr", "en")
#: What a document can't say: a moment in words, a count that fits, an id that exists.
LEFT_OUT = ("positive_data_acceptance", "ignored_auth")


def test_the_document_is_made_of_the_declarations() -> None:
    """Each operation stands in it once, in both languages, with its scope, its role and every problem."""
    french, english = (document.document(one) for one in LANGUAGES)
    assert french["openapi"] == "3.1.0" and french["paths"].keys() == english["paths"].keys()
    assert french != english
    told = {one["operationId"] for path in french["paths"].values() for one in path.values()}
    assert told == {one.name for one in operation.all_operations()}
    for path in french["paths"].values():
        for one in path.values():
            assert {"401", "403", "404", "405", "422", "429", "500", "503"} <= one["responses"].keys()


class Asked(operation.Input):
    """As the audit's model of this name."""


class Rows(operation.Output):
    """Another one of the audit's names."""

    other: int


def test_two_models_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one would stand in the document as the other."""
    known = operation.all_operations()
    twin = operation.Operation(
        name="twin", path="/twin", does="", run=lambda *_: Rows(other=1), takes=Asked, gives=Rows, scope=API_READ
    )
    monkeypatch.setattr(document, "all_operations", lambda: (*known, twin))
    with pytest.raises(ValueError, match="Rows"):
        document._Document().made()


def test_every_text_of_the_document_is_in_french() -> None:
    """Descriptions of parameters and answers too."""

    def texts(part: Any) -> Iterator[str]:
        for name, value in part.items() if isinstance(part, dict) else enumerate(part):
            if name in ("description", "summary", "x-scope-gives") and isinstance(value, str):
                yield value
            elif isinstance(value, dict | list):
                yield from texts(value)

    phrases = {"OK", "Created", "MSH-10"}
    same = set(texts(document.document("fr"))) & set(texts(document.document("en")))
    assert same <= phrases


@pytest.mark.filterwarnings("ignore")
def test_whatever_is_sent_is_answered_as_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right and wrong values: never a 500, each answer in the form that is declared, nothing wrong is taken."""
    monkeypatch.setattr(Rates, "allow", lambda *_: True)
    world = World(tmp_path)
    world.fill()
    dead(world, 2, sink="mssante.a", structure=A)
    text, kept = world.access.tokens.create(
        "fuzz",
        scopes=[API_READ, API_CONTENT, API_ACT, API_ADMINISTER],
        expires=world.clock.now() + 86_400,
        by="test",
        rights={EVERY: Role.ADMINISTRATOR},
    )
    me = kept.person
    cause = world.desk.groups(ALL)[0].cause
    order = world.store.orders.plan(me, "replay", [], again=False, cause=cause, query="", digest="")
    world.write_pipeline()
    other, _ = world.access.tokens.create("other", scopes=[], expires=world.clock.now() + 60, by="test")
    silent(world)
    known = {
        "messages": {"id": EVENT_A},
        "dead-letters": {"cause": cause},
        "orders": {"id": order},
        "worklists": {"list": "not-received", "id": LATE},
        "pipelines": {"name": "documents"},
        "accounts": {"name": "luc"},
        "tokens": {"id": other.split("_")[1]},
        "searches": {"id": world.store.save(me.id, "nuit", "?feed=sil", None, by=me.name, shared=False)},
    }
    try:
        _hold(world, {"Authorization": f"Bearer {text}"}, known)
    finally:
        world.close()


def _hold(world: World, headers: dict[str, str], known: dict[str, dict[str, Any]]) -> None:
    """Some requests of each operation, the same in each run. known: ids that there are, by the word of the path"""
    load_all_checks()
    checks = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in LEFT_OUT]
    assert len(checks) > 9
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", world.app)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == len(operation.all_operations())
    for one in operations:
        there = known.get(one.path.split("/")[2], {})
        parts = {name: value for name, value in there.items() if f"{{{name}}}" in one.path}
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=one.as_strategy(generation_mode=mode, path_parameters=parts or None))
            def held(case: Any) -> None:
                case.call_and_validate(headers=headers, checks=checks)

            held()
