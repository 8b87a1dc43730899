"""The site file compared with annuaire and liste blanche: each difference, the work-list that is kept, the night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Unobserved
from router.directory.check import KINDS, Configured, compare
from router.directory.directory import Directory
from router.measures import MEASURES, Measure
from router.simulators.annuaire import AnnuaireSimulator, Box, Organisation, Person
from router.simulators.annuaire.extraction import write_extraction
from tests.directory.annuaire_world import CLINIC, LEO, MARIE, PRACTICE, MovedClock, annuaire, directory, fhir

SENDING = Organisation(
    CLINIC, "Clinique Été – Nord", (Box("accueil@chu.mssante.fr", "ORG"), Box("dr@chu.mssante.fr", "PER"))
)
PEOPLE = (Person(MARIE, boxes=(Box("marie@medecin.mssante.fr"),)),)


def opened(folder: Path, **settings: Any) -> Directory:
    made = directory(folder, **settings)
    made.annuaire.load(write_extraction(folder / "e.txt", PEOPLE, (SENDING,)))
    return made


def kinds(made: Directory, *configured: Configured) -> list[str]:
    published = [source for source in made.all_sources() if source.name != "table"]
    return [one.kind for one in compare(configured, published, made.liste_blanche)]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Configured("p", finess=CLINIC, name="CLINIQUE ETE NORD"), []),
        (Configured("p", finess=CLINIC, name="Clinique Sud"), ["name"]),
        (Configured("p", finess=PRACTICE, name="Cabinet"), ["structure"]),
        (Configured("p", "app@chu.mssante.fr", True, finess=CLINIC, name="C", label="C – Biologie"), []),
        (Configured("p", "app@chu.mssante.fr", True, finess=CLINIC, name="Clinique", label="Biologie"), ["label"]),
        (Configured("p", "app@ailleurs.fr", True, finess=CLINIC), ["liste-blanche"]),
        (Configured("p", "accueil@chu.mssante.fr", True, finess=CLINIC), []),
        (Configured("p", "accueil@chu.mssante.fr", True, finess=PRACTICE), ["holder"]),
        (Configured("p", "dr@chu.mssante.fr", True, finess=CLINIC), ["type"]),
        (Configured("p", "marie@medecin.mssante.fr", rpps=MARIE), []),
        (Configured("p", "marie@medecin.mssante.fr", rpps=LEO), ["unpublished"]),
    ],
)
def test_each_difference_is_found(tmp_path: Path, one: Configured, expected: list[str]) -> None:
    """And what agrees is no difference: an application's mailbox is published nowhere."""
    assert kinds(opened(tmp_path), one) == expected


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnnuaireSimulator]:
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with annuaire() as running:
        yield running


def test_a_source_that_does_not_answer_is_a_line_of_its_own(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """The others are compared all the same: no difference is claimed for what nobody could look up."""
    made = opened(tmp_path, fhir=fhir(server))
    server.fail(503, count=3)
    assert kinds(made, Configured("p", "marie@medecin.mssante.fr", rpps=LEO)) == ["unpublished", "unanswered"]


class Measured(Unobserved):
    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        self.values[f"{measure} {labels.get('kind', '')}".strip()] = value


def test_every_night_the_running_router_compares_once(tmp_path: Path) -> None:
    """At the first start, then from the hour on; the work-list outlives the process, its length is measured."""
    clock, measured = MovedClock(), Measured()
    before = opened(tmp_path, clock=clock)
    lines = (Configured("structures.1.mailbox", "app@ailleurs.fr", True),)
    made = Directory(before.config, tmp_path / "kept", clock=clock, observer=measured, configured=lines)
    assert made.nightly.last() is None
    made.refresh()
    first = made.nightly.last()
    assert first is not None and [one.kind for one in first.differences] == ["liste-blanche"]
    assert measured.values["directory_differences liste-blanche"] == 1
    assert {key.split()[1] for key in measured.values if key.startswith("directory_d")} == set(KINDS)
    assert set(MEASURES["directory_differences"].words["kind"]) == set(KINDS)
    assert "annuaire_timestamp_seconds" in measured.values
    made.nightly.run_when_due()
    assert made.nightly.last() == first
    clock.ahead = 25 * 3600
    again = Directory(before.config, tmp_path / "kept", clock=clock, observer=measured, configured=lines)
    again.nightly.run_when_due()
    kept = again.nightly.last()
    assert kept is not None and kept.at > first.at


def test_a_kept_comparison_that_can_t_be_read_is_made_again(tmp_path: Path) -> None:
    """A file that a full disk cut costs a comparison, not the router."""
    made = Directory(
        opened(tmp_path).config,
        tmp_path / "kept",
        clock=MovedClock(),
        observer=Unobserved(),
        configured=(Configured("p", finess=CLINIC),),
    )
    (tmp_path / "kept" / "check.json").write_text('{"at": 1')
    made.nightly.run_when_due()
    assert made.nightly.last() is not None
