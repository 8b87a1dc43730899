"""A command that was typed wrong: one sentence in the operator's language, and exit code 2."""

from __future__ import annotations

import pytest

from tests.cli.cli import command

WRONG: dict[tuple[str, ...], tuple[str, str]] = {
    ("dlq", "show"): ("il manque ID", "ID is missing"),
    ("serch",): ("il n'y a pas de commande « serch » ; vouliez-vous dire 'search'", "Did you mean 'search'?"),
    ("traces", "export", "--format", "xml"): ("--format : « xml » n'est pas parmi", "'xml' is not one of"),
    ("zzz",): ("il n'y a pas de commande « zzz »", "No such command 'zzz'."),
    ("search", "--sinc", "today"): (
        "il n'y a pas d'option --sinc ; vouliez-vous dire `--since`",
        "there is no option --sinc; did you mean `--since`?",
    ),
    ("search", "--zzz"): ("il n'y a pas d'option --zzz", "there is no option --zzz"),
    ("search", "-z"): ("il n'y a pas d'option -z", "there is no option -z"),
    ("search", "--limit", "abc"): ("--limit : doit être un nombre entier", "--limit: must be a whole number"),
    ("search", "--limit", "0"): ("--limit : doit valoir 1 ou plus", "--limit: must be 1 or more"),
    ("status", "--watch", "abc"): ("--watch : doit être un nombre", "--watch: must be a number"),
    ("search", "--limit"): ("l'option « --limit » demande une valeur", "'--limit' requires an argument."),
    ("status", "--json=3"): ("l'option « --json » ne prend pas de valeur", "'--json' does not take a value."),
    ("search", "x", "y"): ("argument(s) en trop (x y)", "unexpected extra argument(s) (x y)"),
    ("try", "no.yaml", "m.hl7"): ("FILE : il n'y a pas de fichier « no.yaml »", "FILE: file 'no.yaml' does not exist."),
    ("try", "/", "m.hl7"): ("FILE : « / » est un dossier, pas un fichier", "FILE: file '/' is a directory."),
    ("send", "/no", "--to", "h:1"): ("PATHS : « /no » n'existe pas", "PATHS: path '/no' does not exist."),
    ("--zzz",): ("il n'y a pas d'option --zzz", "there is no option --zzz"),
}


@pytest.mark.parametrize(("words", "sentences"), WRONG.items(), ids=" ".join)
def test_a_command_that_was_typed_wrong_is_told_in_one_sentence(
    words: tuple[str, ...], sentences: tuple[str, str]
) -> None:
    """Nothing of typer's or pydantic's English is on a French screen; the help to ask for stands below."""
    for language, sentence in zip(("fr", "en"), sentences, strict=True):
        said = command("--lang", language, *words)
        first, *rest = said.err.splitlines()
        assert said.code == 2 and said.out == ""
        assert first.startswith("segur-router: ") and sentence in first, said.err
        assert [line.strip().startswith("→ ") and line.endswith("--help") for line in rest] == [True], said.err


def test_a_language_that_we_do_not_have_is_refused() -> None:
    """With those that there are."""
    said = command("--lang", "de", "status")
    assert said.code == 2 and "--lang" in said.err and "fr, en" in said.err


def test_what_was_typed_obeys_no_terminal() -> None:
    """A control character in an option's name is shown, not obeyed."""
    assert "\x1b" not in command("search", "--\x1b[31m").err


def test_a_group_alone_shows_its_help() -> None:
    """As before: whoever types `dlq` wants to know what there is."""
    said = command("dlq")
    assert "replay" in said.out + said.err
