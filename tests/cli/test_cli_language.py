"""Every screen in one language: a site that holds every text of the code, shown in French and in English."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from router.cli.output import told
from router.config.site import Site
from router.engine.dead_letters.listing import DeadLetter
from router.exchange import Decision, Disposition, JournalEntry, Origin, Receipt, ReceiptKind, State
from router.language import in_language
from router.runtime.site_services import SiteServices
from router.runtime.wording import place_of
from tests.cli.cli import command
from tests.contracts.ledger_contract import row

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import messages  # noqa: E402

SITE = """\
environment: qualification
data: var
admin: {port: 0}
feeds: {sil: {kind: relay, mllp: {port: 2575}}}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}}
"""
PIPELINE = """\
name: relais
feed: sil
sinks: {hl7.dpi: {}}
examples:
  - {name: un, message: adt.hl7, expect: {hl7: [hl7.dpi]}}
  - {name: deux, message: adt.hl7, expect: {ack: AE, hl7: []}}
"""
EVENT, START = "e" * 64, 1_700_000_000.0
_CODE: Final = re.compile(r"`[^`]*`|--[a-z-]+|\S*/\S*")
"""What is no sentence: code between backticks, options, paths."""
#: Words that stand in sentences of one language only; names, codes and keys hold none of them.
MARKERS: Final = {
    "fr": re.compile(r"\b(le|les|une|des|pas|est|dans|pour|avec|aucune?|sont|déjà|été|sans|puis)\b"),
    "en": re.compile(r"\b(the|of|is|not|was|with|has|from|no|this|that|are|can't|must|ago|and)\b"),
}
OTHER: Final = {"fr": "en", "en": "fr"}


def _texts() -> list[str]:
    """Every constant text of the code that is a sentence, in both languages."""
    return [one.one for one in messages.found()[0] if not one.template and "{" not in one.one and " " in one.one]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decision for every text, dead letters of some; deliveries in every state; two examples, of which one fails."""
    folder = tmp_path_factory.mktemp("site")
    path = folder / "router.yaml"
    path.write_text(SITE)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "relais.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "pipelines" / "samples" / "adt-admission.hl7", folder / "pipelines" / "adt.hl7")
    services = SiteServices(Site(path))
    try:
        _ = services.bus
        rows = []
        for number, text in enumerate(_texts()[::15]):
            one = row(f"d{number}", number, sink="hl7.dpi", state=State.DEAD)
            delivery = replace(one.delivery, id=f"d{number}", event_id=EVENT, feed="sil", label="hl7.dpi")
            rows.append(replace(one, delivery=delivery, code=f"MSS-{number}", text=text, attempts=2, first_try=START))
        services.ledger().open(rows)
        services.journal.write(*_story())
    finally:
        services.close()
    return path


def _story() -> tuple[list[JournalEntry], list[Receipt]]:
    facts: dict[str, object] = {"feed": "sil", "control_id": "M1", "sender": "SIL|LABO", "source": "mllp", "ack": "AA"}
    facts |= {"dialect": "2.1", "action": "initial", "asked": ("dmp", "mssante", "ack-lecture"), "size": 293_000}
    decisions = tuple(Decision("route", text) for text in _texts())
    kinds = ("received", "duplicate", "refused", "decided", "filtered", "dead", "command")
    entries = [
        JournalEntry(event_id=EVENT, kind=kind, at=START, decisions=decisions if kind == "decided" else (), **facts)  # type: ignore[arg-type]
        for kind in kinds
    ]
    states = [(None, state) for state in (State.READY, State.BEGUN, State.WAITING, State.PARKED, State.UNKNOWN)]
    ends = [(end, None) for end in Disposition]
    receipts = [
        Receipt(
            delivery_id=f"{number:032}", event_id=EVENT, sink="hl7.dpi", kind=kind, ok=False, at=START + number,
            code="X-1", text="serveur indisponible", label="ZAM^Z01 Y" if number == 3 else "DMP", attempt=2,
            disposition=end, state=state, evidence={"message_id": "<a@b>", "queue_id": "Q1"},
        )
        for number, (end, state) in enumerate([*states, *ends])
        for kind in (ReceiptKind.DELIVERY if end else ReceiptKind.ATTEMPT, ReceiptKind.DSN)
    ]  # fmt: skip
    return entries, receipts


def _commands(site: Path) -> list[tuple[str, ...]]:
    pipeline = str(site.parent / "pipelines" / "relais.yaml")
    message = str(site.parent / "pipelines" / "adt.hl7")
    here = ("--site", str(site))
    return [
        ("explain", "M1", *here),
        ("explain", "NOBODY", *here),
        ("search", *here),
        ("search", "--recipient", "nobody", "--since", "today", *here),
        ("search", "--outcome", "lost", *here),
        ("dlq", "ls", *here),
        ("dlq", "ls", "--since", "yesterday", *here),
        ("dlq", "ls", "--sink", "hl7.none", *here),
        ("dlq", "show", "d1", *here),
        ("dlq", "show", "nothing", *here),
        ("dlq", "replay", "all", "--dry-run", *here),
        ("dlq", "replay", "d1", *here),
        ("dlq", "discard", "d1", "--reason", "x", "--dry-run", *here),
        ("dlq", "discard", "d1", "--reason", " ", *here),
        ("check", *here),
        ("test", *here),
        ("try", pipeline, message, *here),
        ("diff", pipeline, *here),
        ("topics", "plan", *here),
        ("topics", "apply", *here),
        ("topics", "migrate", "in.none", *here),
        ("withdraw", "1.2.3", "--reason", "x", *here),
        ("withdraw", "1.2.3", "--reason", "x", "--dry-run", *here),
        ("impact", "1", *here),
        ("register", "rebuild", *here),
        ("send", message, "--to", "127.0.0.1:1"),
        ("send", message, "--to", "nowhere"),
        ("run", "--only", "nobody", *here),
        ("cisis", "rules"),
        ("wait-for", "ready", "127.0.0.1:1", "--timeout", "0.1"),
        ("wait-for", "pipelines", "127.0.0.1:1", "no.such.host.invalid:1", "--timeout", "0.1"),
        ("doctor", "--only", "site,rights,folders,limits,versions,locale", "--all", *here),
    ]


def _lines(page: str) -> list[str]:
    return [_CODE.sub("", line) for line in page.splitlines()]


@pytest.mark.parametrize("chosen", messages.LANGUAGES)
def test_no_screen_mixes_the_languages(site: Path, chosen: str) -> None:
    """No text that the catalogue of the language translates is shown as it stands, and no word of the other one."""
    catalogue = messages.catalogue(chosen)
    foreign = {
        one.one
        for one in messages.found()[0]
        if not one.many and "{" not in one.one and len(one.one.split()) > 2
        and messages.translation(one, catalogue) not in ("", one.one)
    }  # fmt: skip
    wrong = []
    for words in _commands(site):
        said = command("--lang", chosen, *words)
        assert said.code in (0, 1, 2, 3), (words, said)
        page = f"{said.out}\n{said.err}"
        assert page.strip(), words
        whole = " ".join(page.split())
        wrong += [f"{words[:2]}: {text}" for text in foreign if text in whole]
        wrong += [f"{words[:2]}: {line}" for line in _lines(page) if MARKERS[OTHER[chosen]].search(line)]
    assert wrong == []


@pytest.mark.parametrize("chosen", messages.LANGUAGES)
def test_the_problems_of_a_file_are_told_in_one_language(tmp_path: Path, chosen: str) -> None:
    """pydantic, ruamel and CEL speak English to programmers: nothing of theirs is shown."""
    broken = {
        "types": SITE.replace("{port: 0}", "{port: many}").replace("kind: relay", "kind: rely, http: perhaps"),
        "numbers": SITE.replace("{port: 0}", "{port: 70000}").replace("data: var", "data: [var]"),
        "keys": SITE.replace("data: var", "dta: var").replace("type: hl7", "type: hl8"),
        "patterns": SITE.replace("sil:", "SIL:"),
        "missing": SITE.replace("environment: qualification\n", ""),
        "yaml": SITE + "data: twice\n",
        "indent": SITE + "  a: b\n",
        "bracket": SITE + "retry: [\n",
        "sense": SITE.replace("kind: relay, mllp: {port: 2575}", "reply: hl7.none, clients: {a: [X]}"),
    }
    expressions = (
        "message.tipe == 'a'",
        "message.type ==",
        "message.type",
        "foo(1)",
        "document.level > 'a'",
        "1/0 == 1",
    )
    wrong = []
    for name, text in broken.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        said = command("check", "--site", str(path), "--lang", chosen)
        assert said.code == 2, (name, said)
        wrong += [f"{name}: {line}" for line in _lines(said.out + said.err) if MARKERS[OTHER[chosen]].search(line)]
    for number, expression in enumerate(expressions):
        folder = tmp_path / str(number)
        (folder / "pipelines").mkdir(parents=True)
        (folder / "router.yaml").write_text(SITE)
        (folder / "pipelines" / "relais.yaml").write_text(f'when: "{expression}"\n{PIPELINE}')
        said = command("check", "--site", str(folder / "router.yaml"), f"--lang={chosen}")
        assert said.code == 2, (expression, said)
        wrong += [f"{expression}: {one}" for one in _lines(said.out + said.err) if MARKERS[OTHER[chosen]].search(one)]
    assert wrong == []


def test_lang_may_stand_anywhere_and_must_be_known(site: Path) -> None:
    """Before the command, behind it, or with `=`; another language is refused."""
    for words in (("--lang", "fr", "dlq", "ls"), ("dlq", "ls", "--lang", "fr"), ("dlq", "--lang=fr", "ls")):
        assert "messages en échec" in command(*words, "--site", str(site)).out
    assert "dead letters" in command("--lang", "en", "dlq", "ls", "--site", str(site)).out
    assert command("--lang", "de", "dlq", "ls", "--site", str(site)).code == 2


def test_json_holds_the_texts_of_the_code(site: Path) -> None:
    """A program reads the same, whatever the operator's language."""
    pages = {command("dlq", "show", "d1", "--json", "--site", str(site), "--lang", one).out for one in ("fr", "en")}
    assert len(pages) == 1


def test_names_of_ours_are_said_in_the_operators_language() -> None:
    """A stage, a part of the site file, a check's subject; a pipeline of the site keeps its name."""
    letter = DeadLetter(stage="intake", cause="c", code="R45", at=Origin("dlq.intake", 0, 0))
    named = replace(letter, stage="pipeline", pipeline="intake")
    with in_language("fr"):
        assert (place_of(letter), place_of(named)) == ("réception", "intake")
        assert told("feed sil/mllp/tls") == "flux sil/mllp/tls"
        assert told("feed sil (/var/depot)") == "flux sil (/var/depot)"
        assert (told("rights"), told("encoding")) == ("droits", "encodage")
    with in_language("en"):
        assert (place_of(letter), told("feed sil/mllp/tls")) == ("intake", "feed sil/mllp/tls")
