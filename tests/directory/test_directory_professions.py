"""Profession and specialty of the sender: the directory, then the document, then nothing (dmp §2.2, §3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router.cda.document import read
from router.contracts import SystemClock
from router.directory.directory import Directory
from router.exchange import Event, Exchange, Pseudonyms
from router.register.store import Register
from router.request import Author, Device, Professional, TransmissionRequest
from router.simulators.annuaire import AnnuaireSimulator, Box, Person
from router.simulators.annuaire.extraction import write_extraction
from router.sinks.dmp.vihf import roles_of
from router.steps.enrich import ENRICH, EnrichStep
from tests.cda.cda_samples import cda
from tests.directory.annuaire_world import LEO, MARIE, ORGANISATIONS, annuaire, directory, fhir
from tests.sinks.mssante_samples import request

BOX = (Box("dr@medecin.mssante.fr"),)
SM44 = ("G15_10/SM44", "Médecin - Radio-diagnostic (SM)", "1.2.250.1.213.1.1.4.5")


def known(folder: Path, *people: Person) -> Directory:
    made = directory(folder)
    made.annuaire.load(write_extraction(folder / "e.txt", people, ORGANISATIONS))
    return made


def asked(number: str, *written: tuple[str, str, str]) -> TransmissionRequest:
    """A request sent by this RPPS; the author of its document is the same person, with these specialties or none."""
    person = Professional(id=f"8{number}", family="WATRIN", given="Léo")
    header = read(cda()).header
    authors = tuple(Author(person=person.model_copy(update={"specialty": one})) for one in written or (None,))
    documents = (header.model_copy(update={"authors": authors}),)
    return request((), sender=Author(person=person)).model_copy(update={"documents": documents})


def specialty(changed: TransmissionRequest) -> Any:
    assert changed.sender is not None and changed.sender.person is not None
    return changed.sender.person.specialty


def test_the_directory_is_believed_before_the_document(tmp_path: Path) -> None:
    """And the VIHF then has both roles of a doctor."""
    made = known(tmp_path, Person(LEO, skills=(("SM44", "Radio-diagnostic (SM)"),), boxes=BOX))
    written = ("G15_10/SM26", "Médecin - Qualifié en Médecine Générale (SM)", SM44[2])
    changed, reason = made.professions().completed(asked(LEO, written))
    assert (specialty(changed), reason) == (SM44, "profession de l'émetteur, source : extraction de l'annuaire")
    assert [role.code for role in roles_of(specialty(changed))] == ["10", "SM44"]
    assert changed.documents[0].authors[0].person.specialty == written  # type: ignore[union-attr]


def test_an_author_without_a_specialty_gets_that_of_the_directory(tmp_path: Path) -> None:
    """For authorSpecialty of the document entry; what the document says itself is never changed."""
    made = known(tmp_path, Person(LEO, skills=(("SM44", "Radio-diagnostic (SM)"),), boxes=BOX))
    changed, _ = made.professions().completed(asked(LEO))
    assert changed.documents[0].authors[0].person.specialty == SM44  # type: ignore[union-attr]


def test_of_several_savoir_faire_the_document_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows in which of them he acted; without it, a speciality of the Ordre goes before other savoir-faire."""
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    skills = (("C12", "Compétence"), ("SM26", "Médecine Générale (SM)"), ("SM44", "Radio-diagnostic (SM)"))
    with annuaire(people=(Person(LEO, skills=skills),)) as server:
        made = directory(tmp_path, professions=["fhir"], fhir=fhir(server))
        assert specialty(made.professions().completed(asked(LEO, SM44))[0]) == SM44
        assert specialty(made.professions().completed(asked(LEO))[0])[0] == "G15_10/SM26"


@pytest.mark.parametrize(
    "person",
    [
        Person(MARIE, boxes=BOX),
        Person(LEO, skills=(), boxes=BOX),
        Person(LEO, profession=("21", "Pharmacien"), skills=(), boxes=BOX),
    ],
    ids=["unknown", "a doctor without specialty", "a pharmacist without section"],
)
def test_what_is_not_enough_for_a_vihf_leaves_the_document_its_word(tmp_path: Path, person: Person) -> None:
    """A doctor needs his specialty, a pharmacist his section: half of it would make him an AUTOMATE."""
    changed, reason = known(tmp_path, person).professions().completed(asked(LEO, SM44))
    assert (specialty(changed), reason) == (None, "profession de l'émetteur, source : document")


def test_a_profession_with_one_role_needs_no_more(tmp_path: Path) -> None:
    """A midwife."""
    made = known(tmp_path, Person(LEO, profession=("50", "Sage-Femme"), skills=(), boxes=BOX))
    changed, _ = made.professions().completed(asked(LEO))
    assert [role.code for role in roles_of(specialty(changed))] == ["50"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnnuaireSimulator]:
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with annuaire() as running:
        yield running


def test_a_directory_that_is_down_delays_no_document(server: AnnuaireSimulator, tmp_path: Path) -> None:
    """A profession is worth no wait: the document tells, and when it does not either, that is said."""
    made = directory(tmp_path, professions=["fhir"], fhir=fhir(server))
    server.fail(503, count=20)
    assert made.professions().completed(asked(LEO, SM44))[1] == "profession de l'émetteur, source : document"
    _, reason = made.professions().completed(asked(LEO))
    assert reason == "profession de l'émetteur inconnue de l'annuaire et du document"


def test_without_a_directory_nothing_is_said(tmp_path: Path) -> None:
    """Nor for a sender that is a piece of software."""
    given = asked(LEO, SM44)
    assert directory(tmp_path).professions().completed(given) == (given, "")
    machine = given.model_copy(update={"sender": Author(device=Device(id="1", name="SIL"))})
    assert known(tmp_path, Person(LEO, boxes=BOX)).professions().completed(machine) == (machine, "")


def test_the_step_puts_it_into_the_request_and_says_so(tmp_path: Path) -> None:
    """`enrich` of a pipeline file; `sender: document` leaves the directory out."""
    made = known(tmp_path, Person(LEO, skills=(("SM44", "Radio-diagnostic (SM)"),), boxes=BOX))
    register = Register(f"sqlite:///{tmp_path / 'register.db'}", Pseudonyms(b"k"), SystemClock())
    tools: Any = SimpleNamespace(register=register, directory=made)
    exchange = Exchange(Event("e", "sil", "k", b""), request=asked(LEO))
    done: Any = ENRICH.build(EnrichStep(), tools)(exchange)
    left: Any = ENRICH.build(EnrichStep(sender="document"), tools)(exchange)
    register.close()
    assert specialty(done.asked()) == SM44
    assert done.decisions[-1].text == "profession de l'émetteur, source : extraction de l'annuaire"
    assert specialty(left.asked()) is None
