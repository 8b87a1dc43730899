"""Two languages, each whole: the catalogues hold every text, and a stored text is found again in the other language."""

from __future__ import annotations

import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.mofile import write_mo

from router.language import AS_WRITTEN, filled_plural, in_language, language, plural, translated, translated_head

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import messages  # noqa: E402

#: Values of the fields whose form is known; any other field gets a word that is no text of ours.
NUMBER, WORD = "12", "Xyzzy-1"
#: Fields that count things; the others are limits of ours, which are never 1, or no numbers.
COUNTS = frozenset(
    {"count", "days", "waiting", "present", "planned", "events", "feeds", "unreadable", "refused", "recent", "size"}
    | {"rules", "failures", "number", "hours", "minutes", "mails", "rows", "total", "kept", "left"}
)
_ONE = r"(?<![\w.,:-])1 "
_BETWEEN = r"(?:(?:dead|data|malformed|pipeline|open) )?"
SEVERAL = re.compile(
    rf"{_ONE}(?!(?:fois|ms|plus|is|was|has|needs|waits|lies|mis|remis)\b){_BETWEEN}[a-zà-ÿ]+(?:s|x)\b"
    rf"|{_ONE}(?:are|have|wait|were|need|lack|do|en attente, l[ea] plus)\b"
)
"""`1 dead letters`, `1 wait`, `1 messages`."""


def test_every_text_of_the_code_has_its_translation() -> None:
    """One translation, with the same fields; no f-string where a template is needed; nothing old in the catalogues."""
    assert messages.problems() == []


@pytest.mark.parametrize("chosen", messages.LANGUAGES)
def test_the_compiled_catalogues_are_those_of_the_texts(chosen: str) -> None:
    """Whoever edits a `.po` compiles it: what is shipped is the `.mo`."""
    compiled = BytesIO()
    write_mo(compiled, messages.catalogue(chosen))
    assert messages.place(chosen, "mo").read_bytes() == compiled.getvalue()


def _values(template: str) -> dict[str, str]:
    """A value for each field, by its form."""
    from router.language import _FORMS

    names = {name for _literal, name, _spec, _conversion in Formatter().parse(template) if name}
    return {name: NUMBER if _FORMS.get(name, "").startswith("-?") else WORD for name in names}


@pytest.mark.parametrize("chosen", messages.LANGUAGES)
def test_a_stored_text_finds_its_template_and_no_other(chosen: str) -> None:
    """Whatever a template gives is translated by its own translation."""
    catalogue = messages.catalogue(chosen)
    templates = [one for one in messages.found()[0] if one.template and messages.translation(one, catalogue)]
    assert len(templates) > 20
    for template in templates:
        values = _values(template.one)
        other = messages.translation(template, catalogue)
        assert isinstance(other, str)
        assert translated(template.one.format(**values), chosen) == other.format(**values), template.one


#: Texts with a number that is two or more wherever they are told, or that is a rank.
MORE = (
    *("({count} time", "a token ends", "un jeton a", "demo: {kept}", "démonstration : {kept}", "{count} characters at"),
    *("{count} caractères au", "les {count} boîtes", "the {count} mailboxes", "{count} boîtes aux", "row {number}"),
    *("{count} mailboxes for", "aucune clé maîtresse", "the listeners may have", "les écoutes peuvent"),
    *(
        "{count} lignes de la table",
        "{count} lines of the local",
        "{count} fichiers ouverts",
        "{count} open files",
        "{megabytes} MB of",
    ),
    *("the mark that says that rows up to", "de {count} flux", "{count} mailbox", "{count} non résolu, dont"),
    *("Got unexpected", "argument(s)"),
)


def _numbers_of_one(text: str) -> str:
    """With 1 for each field that is a number of things, and a word for any other."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda field: "1" if field[1] in COUNTS else WORD, text)


def test_no_sentence_says_one_of_several() -> None:
    """`1 dead letters`, `1 wait`: a sentence with a number has a form for one, in both languages."""
    catalogues = [messages.catalogue(chosen) for chosen in messages.LANGUAGES]
    wrong = []
    for text in messages.found()[0]:
        told = [messages.translation(text, one) for one in catalogues]
        forms = [text.one, *(one if isinstance(one, str) else one[0] for one in told if one)]
        forms = [one for one in forms if not text.several and not one.startswith(MORE)]
        wrong += [one for one in forms if SEVERAL.search(_numbers_of_one(one)) or "(s)" in one]
    assert wrong == []
    assert SEVERAL.search(_numbers_of_one("{count} dead letters"))
    assert filled_plural("{count} mail", "{count} mails", 1) == "1 mail"
    assert filled_plural("for {count} day", "for {count} days", 1.5) == "for 1.5 days"


@pytest.mark.parametrize(
    ("said", "french", "english"),
    [
        ("R45: Clé de l'INS erronée.", "R45: Clé de l'INS erronée.", "R45: Wrong key of the INS."),
        (
            "Traits du patient différents entre le PID et le CDA (nom de naissance, sexe).",
            "Traits du patient différents entre le PID et le CDA (nom de naissance, sexe).",
            "Traits of the patient differ between PID and CDA (birth name, sex).",
        ),
        (
            "can't be read: No such file or directory",
            "ne peut pas être lu : fichier ou dossier inexistant",
            "can't be read: No such file or directory",
        ),
        (
            "remis le 01/02/2026 à 10:00:01 : Message-ID <a@b> ; file de l'opérateur Q1",
            "remis le 01/02/2026 à 10:00:01 : Message-ID <a@b> ; file de l'opérateur Q1",
            "handed over on 01/02/2026 at 10:00:01: Message-ID <a@b> ; operator's queue Q1",
        ),
        (
            "example 'cas nominal': dmp: expected R45, got delivered",
            "exemple 'cas nominal' : dmp : attendu R45, obtenu delivered",
            "example 'cas nominal': dmp: expected R45, got delivered",
        ),
        ("what a partner wrote: {braces} 100 %", "what a partner wrote: {braces} 100 %", None),
    ],
)
def test_a_stored_text_is_shown_in_both_languages(said: str, french: str, english: str | None) -> None:
    """With its values, its code and the texts within it; a text that is none of ours stays as it is."""
    assert translated(said, "fr") == french
    assert translated(said, "en") == (english or said)
    assert translated(said, AS_WRITTEN) == said


def test_what_a_person_wrote_behind_a_text_of_ours_stays() -> None:
    """A command of the journal is our sentence and then the reason in the operator's words."""
    assert translated_head("Rejeu accepté. boîte vidée", "en") == "Replay accepted. boîte vidée"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "fr"),
        ({"LANG": "C.UTF-8"}, "fr"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "SEGUR_LANG": "fr"}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "SEGUR_LANG": "en"}, "en"),
        ({"LANG": "en_GB.UTF-8", "SEGUR_LANG": "de"}, "en"),
    ],
)
def test_the_language_is_what_the_environment_says(environment: dict[str, str], expected: str) -> None:
    """`SEGUR_LANG`, then the first locale variable that is set, then French."""
    code = "from router.language import language; print(language())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_a_block_has_its_own_language() -> None:
    """A console may answer two people at once, each in a language."""
    with in_language("fr"):
        assert (language(), plural("{count} dead letter", "{count} dead letters", 2)) == ("fr", "2 messages en échec")
        with in_language("en"):
            assert plural("{count} dead letter", "{count} dead letters", 1) == "1 dead letter"
    assert language() == "en"  # what the tests run in
