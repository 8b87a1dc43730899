"""The extraction file of the simulated annuaire: 31 columns, one line a mailbox (mssante §5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from router.simulators.annuaire.people import Box, Organisation, Person

HEADER: Final = (
    "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|Type identifiant structure|"
    "Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|Prénom d'exercice|"
    "Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|Code savoir-faire|"
    "Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|Enseigne commerciale structure BAL|"
    "L2COMPLEMENTLOCALISATION|L3COMPLEMENTDISTRIBUTION|L4NUMEROVOIE|L4COMPLEMENTNUMEROVOIE|NL4TYPEVOIE|"
    "L4LIBELLEVOIE|L5LIEUDITMENTION|L6LIGNEACHEMINEMENT|Code postal|Département|Pays"
)


def write_extraction(path: Path, people: Iterable[Person], organisations: Iterable[Organisation]) -> Path:
    """Write the file, as the annuaire publishes it: without red-listed mailboxes, nor those of applications."""
    known = {one.finess: one for one in organisations}
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{HEADER}\n")
        file.writelines(f"{line}\n" for line in _lines(people, known))
    return path


def _lines(people: Iterable[Person], known: dict[str, Organisation]) -> Iterator[str]:
    for person in people:
        places = [("", person.boxes), *((one.finess, one.boxes) for one in person.practices)]
        if person.active:
            yield from (
                _line(box, person, known.get(number), number)
                for number, boxes in places
                for box in boxes
                if _shown(box)
            )
    for one in known.values():
        yield from (_line(box, None, one, one.finess) for box in one.boxes if _shown(box))


def _shown(box: Box) -> bool:
    return not box.red_listed and box.type != "APP"


def _line(box: Box, person: Person | None, place: Organisation | None, number: str) -> str:
    cells = [""] * (HEADER.count("|") + 1)
    cells[0], cells[1], cells[7] = box.type, box.address, box.service
    cells[17] = {True: "O", False: "N", None: ""}[box.demat]
    if number:
        cells[5], cells[6], cells[18] = "1", f"1{number}", place.name if place else ""
    if person is not None:
        cells[2:5] = ["8", person.rpps, f"8{person.rpps}"]
        cells[13:15] = person.profession
        if person.skills:
            cells[15:17] = person.skills[0]
    return "|".join(cells)
