"""Free text of the command line is kept and read by others: it passes the same check as the console's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from router.cli.main import app
from tests.cli.cli import command

PERSON = "INS 1234567890123 de Dupont"
ASKED = "this looks like the number of a patient"


def _commands(group: object, *names: str) -> Iterator[tuple[tuple[str, ...], list[str], int]]:
    """(words, its options, its arguments) of every command."""
    children = getattr(group, "commands", None)
    if children is None:
        params = getattr(group, "params", [])
        options = [name for one in params for name in one.opts if name.startswith("--")]
        yield names, options, sum(one.param_type_name == "argument" for one in params)
        return
    for name, child in children.items():
        yield from _commands(child, *names, name)


REASONED = [
    (words, places) for words, options, places in _commands(typer.main.get_command(app)) if "--reason" in options
]


def test_the_commands_that_take_a_reason_are_found() -> None:
    """Otherwise the test below would prove nothing."""
    assert {("dlq", "discard"), ("withdraw",), ("archive", "read"), ("audit", "export")} <= {one for one, _ in REASONED}


@pytest.mark.parametrize(("words", "places"), REASONED, ids=[" ".join(words) for words, _ in REASONED])
@pytest.mark.parametrize("reason", [PERSON, "appeler le 0612345678", "IPP 1300000003", "né le 31/01/1950"])
def test_no_reason_may_name_a_patient(tmp_path: Path, words: tuple[str, ...], places: int, reason: str) -> None:
    """It is refused before the site is opened, in one sentence that does not say it again."""
    said = command("--lang", "en", *words, *["x"] * places, "--reason", reason, "--site", str(tmp_path / "none"))
    assert said.code == 2 and "--reason: this looks like" in said.err, said.err
    assert reason not in said.err


def test_a_token_is_not_named_after_a_patient(tmp_path: Path) -> None:
    """Its name stands in every line of the audit that it makes."""
    words = ("--lang", "en", "token", "create", PERSON, "--scope", "api:read", "--site", str(tmp_path))
    said = command(*words)
    assert said.code == 2 and ASKED in said.err
