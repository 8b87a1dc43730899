"""Two languages, each whole: the catalogues hold every text, and a stored text is found again in the other language."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.mofile import write_mo

from router.language import AS_WRITTEN, in_language, language, plural, translated, translated_head

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import messages  # noqa: E402

#: Values of the fields whose form is known; any other field gets a word that is no text of ours.
NUMBER, WORD = "12", "Xyzzy-1"


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
