"""`segur-router directory` as an operator types it: import, find, explain, check; in French, in English, as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.simulators.annuaire.extraction import write_extraction
from router.simulators.annuaire.people import KNOWN_RPPS, ORGANISATIONS, PEOPLE
from tests.cli.cli import command
from tests.sinks.mssante_samples import liste

SITE = """
environment: qualification
structures:
  "750100125":
    {name: Hopital A, source_oid: 1.2.3, mailbox: pfi@hopital-a.test.mssante.fr, label: Hopital A, mssante: mssante.a,
     applications: [{name: LABO, mailbox: labo@ailleurs.fr, label: Hopital A – Biologie}]}
feeds: {sil: {folder: {path: inbox, settle: 0}}}
sinks: {mssante.a: {type: mssante, host: 127.0.0.1, mode: plain}}
directory:
  liste_blanche: {source: liste.xml, minimum: 1, always: []}
  annuaire: {minimum: 1}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A site that knows the people of the demo: the words that name it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "router.yaml").write_text(SITE, encoding="utf-8")
    domains = ("medecin.test.mssante.fr", "hopital-a.test.mssante.fr", "hopital-b.test.mssante.fr")
    (tmp_path / "liste.xml").write_text(liste(*domains))
    write_extraction(tmp_path / "extraction.txt", PEOPLE, ORGANISATIONS)
    words = ["--site", str(tmp_path / "router.yaml"), "--lang", "fr"]
    early = command("directory", "import", "extraction.txt", *words)
    assert early.code == 0 and "aucune liste blanche n'a encore été lue" in early.out
    assert command("directory", "refresh", *words).code == 0
    said = command("directory", "import", "extraction.txt", *words)
    assert said.code == 0 and "5 boîtes" in said.out and "1 domaine sur 4 est hors liste blanche" in said.out
    return words


def test_a_mailbox_is_found_and_its_choice_explained(site: list[str]) -> None:
    """By RPPS, by address, by FINESS; a second mailbox is told apart by the structure that a message would name."""
    found = command("directory", "find", KNOWN_RPPS, *site)
    assert found.code == 0 and "✓ dr.marie.kervella@medecin.test.mssante.fr" in found.out
    assert KNOWN_RPPS in command("directory", "find", "dr.marie.kervella@medecin.test.mssante.fr", *site).out
    assert "structure : HOPITAL A" in command("directory", "find", "750100125", *site).out
    assert command("directory", "find", "10009999999", *site).code == 1
    explained = command("directory", "explain", f"8{KNOWN_RPPS}", *site)
    assert explained.code == 0 and "→ dr.marie.kervella@medecin.test.mssante.fr" in explained.out
    assert "source : extraction de l'annuaire ; règle : la seule utilisable" in explained.out
    assert "profession : Médecin – Qualifié en Médecine Générale (SM)" in explained.out
    two = command("directory", "explain", "10000000019", *site)
    assert two.code == 1 and "2 boîtes aux lettres pour ce RPPS" in two.out
    placed = command("directory", "explain", "10000000019", "--structure", "750100125", "--json", *site)
    assert placed.code == 0 and placed.json["addresses"] == ["dr.leo.watrin@hopital-a.test.mssante.fr"]
    assert placed.json["steps"] == [["place", 1]]


def test_a_mailbox_that_may_not_be_used_says_why(site: list[str]) -> None:
    """Also in English."""
    said = command("directory", "explain", "10000000027", *site[:2], "--lang", "en")
    assert said.code == 1
    assert "✗ dr.ruth.yvon@messagerie-ordinaire.fr  outside the liste blanche" in said.out
    assert "no mailbox that may be used for this RPPS: 1 × outside the liste blanche" in said.out


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"a|b|c\n", "ANNUAIRE-HEADER"), (b"PK\x03\x04" + bytes(40), "ANNUAIRE-ZIP"), (b"\xe9\xff", "ANNUAIRE-UTF8")],
)
def test_a_file_that_is_none_leaves_the_one_in_use(site: list[str], content: bytes, code: str) -> None:
    """One sentence with the reason, exit code 2, and look-ups go on."""
    Path("wrong").write_bytes(content)
    said = command("directory", "import", "wrong", *site)
    assert said.code == 2 and code in said.err and "celle en service reste" in said.err
    assert command("directory", "import", "nowhere.zip", *site).code == 2
    assert command("directory", "find", KNOWN_RPPS, *site).code == 0


def test_the_work_list_shows_what_differs(site: list[str]) -> None:
    """The mailbox of one application is outside the liste blanche; `--last` shows the same again."""
    said = command("directory", "check", *site)
    assert said.code == 1 and "structures.750100125.applications.0" in said.out and "1 différence" in said.out
    last = command("directory", "check", "--last", "--json", *site)
    assert last.code == 1
    assert [one["kind"] for one in last.json["differences"]] == ["liste-blanche"]
