"""authorSpecialty: of a professional or of a device, as the CDA says it; AUTOMATE when nothing is known of a device.

(dmp §2.1, §2.2.) A PRT names who sends but no specialty: the document may, under the same national number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.request import Author, DocumentHeader, Professional
from router.xds import datatypes

Specialty = tuple[str, str, str]
"""Code, label, OID of the code system."""
AUTOMATE: Final[Specialty] = ("AUTOMATE", "Automate", "1.2.250.1.213.1.1.4.6")
"""TRE_A00-ProducteurDocNonPS."""


def specialty_of(author: Author, documents: Iterable[DocumentHeader] = ()) -> Specialty | None:
    """His own, else that of the same person or device in one of these documents; a device is an AUTOMATE at last."""
    held = _own(author)
    if held is None:
        named = [
            one for header in documents for one in (*header.authors, header.legal_authenticator) if one is not None
        ]
        held = next((found for one in named if _same(author, one) and (found := _own(one))), None)
    if held is None and author.person is None and author.device is not None:
        return AUTOMATE
    return held


def completed(person: Professional, documents: Iterable[DocumentHeader]) -> Professional:
    """The same professional with the specialty that a document gives him, when he comes without."""
    found = specialty_of(Author(person=person), documents)
    return person if found is None else person.model_copy(update={"specialty": found})


def _own(author: Author) -> Specialty | None:
    if author.person is not None:
        return author.person.specialty
    return author.device.specialty if author.device is not None else None


def _same(author: Author, other: Author) -> bool:
    """The same person by national number, or the same device by its identifier."""
    if author.person is not None and other.person is not None:
        number = datatypes.ps_id_nat(author.person.id, author.person.kind)
        return bool(number[0]) and number == datatypes.ps_id_nat(other.person.id, other.person.kind)
    if author.person is None and author.device is not None and other.device is not None:
        return bool(author.device.id) and author.device.id == other.device.id
    return False
