"""Which mailbox a professional gets: sources in their order, the rules of the site, a directory that can't answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from router.contracts import Header
from router.directory.directory import Directory
from router.directory.settings import DirectoryConfig
from router.errors import Unavailable
from router.exchange import Decision, Event, Exchange
from router.request import Professional, Recipient, Structure
from router.simulators.annuaire import AnnuaireSimulator, Box, Person, Practice
from router.simulators.annuaire.extraction import write_extraction
from router.steps.look_up import LookUp, LookUpStep
from tests.directory.annuaire_world import (
    CLINIC,
    LEO,
    MARIE,
    ORGANISATIONS,
    PAUL,
    PRACTICE,
    annuaire,
    directory,
    extraction,
    fhir,
)
from tests.sinks.mssante_samples import doctor, request

ALL = ["table", "extraction", "fhir"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnnuaireSimulator]:
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with annuaire() as running:
        yield running


def looked_up(made: Directory, number: str, place: str = "", accepted: float = 0.0, **step: Any) -> Recipient:
    """The recipient of this RPPS after the step; what it decided stands in `decision`."""
    structure = Structure(id=f"1{place}", finess=place) if place else None
    asked = doctor("", address_received="", person=Professional(id=f"8{number}"), structure=structure)
    headers = {Header.RECEIVED: str(accepted)} if accepted else {}
    exchange = Exchange(Event("e", "sil", "k", b"", headers), request=request((), recipients=(asked,)))
    done = LookUp(LookUpStep(**step), made)(exchange)
    decided.append(done.decisions[-1])
    return done.asked().recipients[0]


decided: list[Decision] = []


def why() -> str:
    return decided[-1].text.partition(" : ")[2]


def people(folder: Path, *those: Person) -> Path:
    return write_extraction(folder / "people.txt", those, ORGANISATIONS)


def test_the_first_source_that_knows_a_mailbox_answers(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """The table wins over the extraction, the extraction over the interface, and the reason names who said it."""
    table = [{"address": "cabinet@medecin.mssante.fr", "rpps": MARIE}]
    made = directory(tmp_path, sources=ALL, fhir=fhir(server), mailboxes=table)
    made.annuaire.load(people(tmp_path, Person(LEO, boxes=(Box("leo.seul@medecin.mssante.fr"),))))
    assert looked_up(made, MARIE).address == "cabinet@medecin.mssante.fr"
    assert why() == "source : table du site ; règle : la seule utilisable"
    assert looked_up(made, LEO).address == "leo.seul@medecin.mssante.fr"
    assert why() == "source : extraction de l'annuaire ; règle : la seule utilisable"
    assert server.asked == []
    server.fill((Person("10000000050", boxes=(Box("new@medecin.mssante.fr"),)),), ORGANISATIONS)
    assert looked_up(made, "10000000050").address == "new@medecin.mssante.fr"
    assert why() == "source : annuaire en ligne ; règle : la seule utilisable"


def test_a_source_that_is_down_is_passed_over_when_another_one_knows(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """The interface first, and away: the extraction answers."""
    made = directory(tmp_path, sources=["fhir", "extraction"], fhir=fhir(server))
    made.annuaire.load(extraction(tmp_path))
    server.fail(503, count=3)
    assert looked_up(made, MARIE).address == "marie@medecin.mssante.fr"


def test_nobody_is_never_said_while_a_source_is_down(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """The message waits; when the source answers again it is served."""
    made = directory(tmp_path, sources=ALL, fhir=fhir(server))
    server.fail(503, count=3)
    with pytest.raises(Unavailable):
        looked_up(made, MARIE, accepted=time.time())
    assert looked_up(made, MARIE, accepted=time.time()).address == "marie@medecin.mssante.fr"


def test_a_message_waits_for_the_directory_as_long_as_the_site_says(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """Then this recipient is refused with a code that does not say that his address is wrong."""
    made = directory(tmp_path, sources=["fhir"], fhir=fhir(server), patience_hours=2)
    server.fail(503, count=3)
    refusal = looked_up(made, MARIE, accepted=time.time() - 3 * 3600).refusal
    assert refusal == ("451", "annuaire sans réponse depuis 2 h (ANNUAIRE-FHIR) : à renvoyer")
    assert decided[-1].code == "MSS-451"


def test_the_place_of_practice_decides_between_two(tmp_path: Path) -> None:
    """Only the structure that the message names; without one nobody guesses."""
    made = directory(tmp_path)
    made.annuaire.load(extraction(tmp_path))
    assert looked_up(made, LEO, CLINIC).address == "leo@chu.mssante.fr"
    assert why() == "source : extraction de l'annuaire ; règle : structure demandée"
    assert looked_up(made, LEO).refusal == ("510", "2 boîtes aux lettres pour ce RPPS")
    made = directory(tmp_path / "b", choice={"prefer": []})
    made.annuaire.load(extraction(tmp_path / "b"))
    assert looked_up(made, LEO, CLINIC).refusal == ("510", "2 boîtes aux lettres pour ce RPPS")


def test_the_preferred_mailbox_decides_when_it_is_published(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """The extraction has no rank: the interface, asked after it, says which of its two mailboxes is preferred."""
    first, second = Box("leo@chu.mssante.fr", rank=2), Box("leo@medecin.mssante.fr", rank=1)
    server.fill((Person(LEO, practices=(Practice(CLINIC, (first,)), Practice(PRACTICE, (second,)))),), ORGANISATIONS)
    made = directory(tmp_path, sources=ALL, fhir=fhir(server))
    made.annuaire.load(extraction(tmp_path))
    assert looked_up(made, LEO).address == "leo@medecin.mssante.fr"
    assert why() == "source : extraction de l'annuaire ; règle : préférée d'après l'annuaire"
    assert not any("Practitioner?" in one for one in server.asked[1:])


def test_two_preferred_mailboxes_are_none(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """A rank that two share decides nothing."""
    boxes = (Box("leo@chu.mssante.fr", rank=1), Box("leo@medecin.mssante.fr", rank=1))
    server.fill((Person(LEO, boxes=boxes),), ORGANISATIONS)
    made = directory(tmp_path, sources=["fhir"], fhir=fhir(server))
    assert looked_up(made, LEO).refusal == ("510", "2 boîtes aux lettres pour ce RPPS")


def test_a_practices_mailbox_goes_before_a_personal_one_where_the_site_says_so(tmp_path: Path) -> None:
    """`organisational`: among the mailboxes of this RPPS alone."""
    person = Person(MARIE, boxes=(Box("marie@medecin.mssante.fr"), Box("cabinet@medecin.mssante.fr", "CAB")))
    for prefer, expected in ((["organisational"], "cabinet@medecin.mssante.fr"), (["place"], "")):
        made = directory(tmp_path / str(len(expected)), choice={"prefer": prefer})
        made.annuaire.load(people(tmp_path, person))
        assert looked_up(made, MARIE).address == expected


@pytest.mark.parametrize(
    ("box", "choice", "reason"),
    [
        (Box("dr@hors-liste.fr"), {}, "1 × hors liste blanche"),
        (Box("dr@patient.mssante.fr"), {}, "1 × d'un patient"),
        (Box("dr@chu.mssante.fr", demat=False), {}, "1 × sans dématérialisation"),
        (Box("dr@chu.mssante.fr"), {"dematerialisation": "require-yes"}, "1 × sans dématérialisation"),
        (Box("dr@chu.mssante.fr", "ORG"), {}, "1 × de type non admis pour un professionnel"),
        (Box("Dr@chu.mssante.fr"), {"exclude_addresses": ["dr@CHU.mssante.fr"]}, "1 × exclue par le site"),
        (Box("dr@chu.mssante.fr"), {"exclude_domains": ["CHU.mssante.fr"]}, "1 × exclue par le site"),
    ],
)
def test_a_mailbox_that_may_not_be_used_says_why(tmp_path: Path, box: Box, choice: dict[str, Any], reason: str) -> None:
    """The sender reads why, and another mailbox of the same person is used."""
    made = directory(tmp_path, choice=choice)
    made.annuaire.load(people(tmp_path, Person(MARIE, boxes=(box,))))
    assert looked_up(made, MARIE).refusal == ("510", f"aucune boîte utilisable pour ce RPPS : {reason}")
    both = Person(MARIE, boxes=(box, Box("marie@medecin.mssante.fr", demat=True)))
    made.annuaire.load(people(tmp_path, both))
    assert looked_up(made, MARIE).address == "marie@medecin.mssante.fr"
    assert why() == f"source : extraction de l'annuaire ; règle : la seule utilisable ; écartées : {reason}"


def test_a_red_listed_mailbox_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when a server shows it."""
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with annuaire(show_red_listed=True) as server:
        made = directory(tmp_path, sources=["fhir"], fhir=fhir(server))
        assert looked_up(made, PAUL).refusal == ("510", "aucune boîte utilisable pour ce RPPS : 1 × en liste rouge")


def test_a_domain_that_joined_since_is_looked_up_once_more(tmp_path: Path) -> None:
    """The liste blanche is read again before the only mailbox of a person is refused."""
    made = directory(tmp_path)
    made.annuaire.load(people(tmp_path, Person(MARIE, boxes=(Box("marie@nouveau.mssante.fr"),))))
    text = (tmp_path / "liste.xml").read_text()
    (tmp_path / "liste.xml").write_text(text.replace("chu.mssante.fr", "nouveau.mssante.fr"))
    assert looked_up(made, MARIE).address == "marie@nouveau.mssante.fr"


def test_what_is_not_configured_is_passed_over() -> None:
    """But a source that is named and has no settings is a mistake of the file."""
    with pytest.raises(ValidationError):
        DirectoryConfig.model_validate({"sources": ["fhir"]})
    with pytest.raises(ValidationError):
        DirectoryConfig.model_validate({"sources": ["table", "table"]})
    with pytest.raises(ValidationError):
        DirectoryConfig.model_validate({"mailboxes": [{"address": "a@b.fr", "rpps": "123"}]})
