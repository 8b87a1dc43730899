"""`check` on files as people get them wrong: everything at once, with its place, in words of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.config.checking import check
from router.errors import Problem
from router.language import in_language, translated
from tests.config.broken_files import FILES, LISTE, PIPELINE, SITE, TABLE, Broken


def _told(problem: Problem, folder: Path) -> tuple[str, int, int, str, str]:
    text = problem.text.replace(f"{folder}/", "")
    return Path(problem.file).name, problem.line, problem.column, text, problem.severity


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUR_NOT_SET", raising=False)


@pytest.mark.parametrize("broken", TABLE, ids=lambda one: one.name)
def test_every_mistake_is_told_at_its_place_and_nothing_else(broken: Broken, tmp_path: Path) -> None:
    """Nothing is hidden by another mistake, and what follows from one is not told."""
    told = check(broken.write(tmp_path)).problems
    assert [_told(problem, tmp_path) for problem in told] == list(broken.expected)


@pytest.mark.parametrize("broken", TABLE[1:], ids=lambda one: one.name)
def test_every_sentence_has_its_french(broken: Broken, tmp_path: Path) -> None:
    """Sentences and hints: none is shown as the code writes it."""
    for problem in check(broken.write(tmp_path)).problems:
        for text in filter(None, (problem.text, problem.hint)):
            with in_language("fr"):
                assert translated(text) != text, text


def test_every_word_of_the_corpus_that_is_almost_known_is_put_right(tmp_path: Path) -> None:
    """Keys, names of feeds, sinks and members, words for true and false, samples."""
    wanted = ("`admin`", "`hl7.sil`", "`sil`", "`environment`", "`type`", "`dmp`", "`lettre.hl7`", "`validate`")
    hints = " ".join(
        problem.hint for rank, one in enumerate(TABLE) for problem in check(one.write(tmp_path / str(rank))).problems
    )
    assert [word for word in wanted if f"did you mean {word}?" not in hints] == []
    assert "write true" in hints
    assert 'write 5 in quotes: "5"' in hints


VALUES = ("", "12", "-1", "[]", "{}", "~", "true", "[[a]]", "{a: {b: c}}", "2026-01-01", "!!x y")


@pytest.mark.parametrize("shift", [0, 3, 7])
def test_whatever_stands_in_a_file_never_ends_in_an_exception(shift: int, tmp_path: Path) -> None:
    """Each value of two files in turn is replaced by something else, or its line is lost."""
    for name, text in (("router.yaml", SITE), ("pipelines/lettres.yaml", PIPELINE)):
        lines = text.splitlines()
        for rank, line in enumerate(lines):
            head, _, _ = line.partition(": ")
            changed = [f"{head.rstrip(':')}: {VALUES[(rank + shift) % len(VALUES)]}"] if (rank + shift) % 4 else []
            site = Broken("right", ()).write(tmp_path / f"{len(name)}-{rank}")
            (site.parent / name).write_text("\n".join([*lines[:rank], *changed, *lines[rank + 1 :]]))
            assert all(problem.text and problem.line >= 1 for problem in check(site).problems)


def test_a_rule_of_ours_is_told_beside_a_key_that_has_nothing_to_do_with_it(tmp_path: Path) -> None:
    """An after-thought of a model is hidden by pydantic as long as one of its keys is wrong."""
    changes = (("router.yaml", "    mode: plain", "    mode: plain\n    login: {auth: plain, usr: x}"),)
    told = check(Broken("", changes).write(tmp_path)).problems
    assert [(one.path, one.text) for one in told] == [
        ("sinks.mssante.chu.login", "auth plain needs `password`"),
        ("sinks.mssante.chu.login.usr", "is not known here"),
    ]


def test_a_rule_of_ours_that_follows_from_a_wrong_key_is_not_told(tmp_path: Path) -> None:
    """The password is there: its name is wrong."""
    changes = (("router.yaml", "    mode: plain", "    mode: plain\n    login: {auth: plain, pasword: {env: PATH}}"),)
    told = check(Broken("", changes).write(tmp_path)).problems
    assert [(one.path, one.hint) for one in told] == [("sinks.mssante.chu.login.pasword", "did you mean `password`?")]


def test_a_site_file_that_is_no_yaml_does_not_hide_its_pipelines(tmp_path: Path) -> None:
    """What a pipeline file says by itself is told all the same."""
    changes = (
        ("router.yaml", "admin: {port: 0}", "admin: {port: 0"),
        ("lettres.yaml", "name: lettres", "nam: lettres"),
    )
    told = check(Broken("", changes).write(tmp_path)).problems
    assert [(Path(one.file).name, one.path) for one in told] == [("router.yaml", ""), ("lettres.yaml", "nam")]


def test_a_look_up_that_can_find_nobody_is_told(tmp_path: Path) -> None:
    """At the step, with what to add: without a source of mailboxes, and where its feeds let nothing come to it."""
    files = dict(FILES)
    looking = "steps:\n  - look_up: {}\n"
    files["lettres.yaml"] = files["lettres.yaml"].replace("steps:\n", looking)
    rules = "    rules: {resolution_annuaire: si-absente}\n"
    table = "  mailboxes: [{rpps: '10001234567', address: a@medecin.mssante.fr}]\n"

    def told(site: str) -> list[str]:
        for name, text in {**files, "router.yaml": site, "liste.xml": LISTE}.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / "pipelines").mkdir(exist_ok=True)
        for name in ("lettres.yaml", "relais.yaml"):
            (tmp_path / name).replace(tmp_path / "pipelines" / name)
        found = check(tmp_path / "router.yaml").problems
        return [f"{one.line} {one.severity} {one.text}" for one in found if "look_up" in one.path]

    asked = SITE.replace("    reply: hl7.sil\n", f"    reply: hl7.sil\n{rules}")
    assert told(asked) == ["5 warning finds nobody: no source of mailboxes is configured"]
    refused = "5 warning never has anything to find: its feeds refuse a recipient without an address"
    assert told(SITE + table) == [refused]
    assert told(asked + table) == []
