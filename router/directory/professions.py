"""The profession and specialty of a professional: the directory first, else the document, else nothing (dmp §2.2, §3).

The directory is keyed by RPPS, so it is believed before a document that a software filled. Where a professional has
several savoir-faire and the document names one of them, that one is used: the document knows in which one he acted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from router.directory.mailboxes import NAMES, MailboxSource, Profession, rpps
from router.errors import OperatorFault, Unavailable
from router.language import N_, filled
from router.request import Author, DocumentHeader, Professional, TransmissionRequest
from router.xds.specialties import Specialty, specialty_of

log = logging.getLogger(__name__)

SYSTEM: Final = "1.2.250.1.213.1.1.4.5"
"""Code system of JDV_J01 (dmp §2.1)."""
#: Professions whose specialty or section must be told too (dmp §3): médecin, pharmacien.
TWO_PARTS: Final = frozenset({"10", "21"})
#: Savoir-faire and sections that JDV_J01 writes behind a profession.
_SKILL: Final = re.compile(r"(?:SM|C|CEX|PAC)\d+|[A-Z]{1,2}")

_DOCUMENT: Final = N_("document")
_UNKNOWN: Final = N_("profession de l'émetteur inconnue de l'annuaire et du document")


@dataclass(frozen=True, slots=True)
class Known:
    """What the directory says of one RPPS. `source`: who said it; `away`: one of them could not answer."""

    professions: tuple[Profession, ...] = ()
    source: str = ""
    away: bool = False


class Professions:
    """Completes requests. A directory that can't answer costs nothing but its knowledge: the document is read then."""

    def __init__(self, sources: Callable[[], Sequence[MailboxSource]]) -> None:
        self._sources = sources

    def completed(self, request: TransmissionRequest) -> tuple[TransmissionRequest, str]:
        """The request with what the directory knows of its sender and of authors without a specialty; and the reason.

        The reason is "" when nothing was looked up: no source that knows people, or a sender who is no person.
        """
        if not self._sources():
            return request, ""
        documents = tuple(self._header(header) for header in request.documents)
        sender = request.sender
        changed = request.model_copy(update={"documents": documents}) if documents != request.documents else request
        if sender is None or sender.person is None:
            return changed, ""
        person, reason = self._sender(sender.person, documents)
        if person is not sender.person:
            changed = changed.model_copy(update={"sender": sender.model_copy(update={"person": person})})
        return changed, reason

    def known(self, number: str) -> Known:
        """What the first source that knows this RPPS says."""
        away = False
        for source in self._sources() if number else ():
            try:
                found = source.professions(number)
            except (Unavailable, OperatorFault) as fault:
                log.warning("profession not looked up: %s", fault)
                away = True
                continue
            if found:
                return Known(found, NAMES[source.name], away)
        return Known(away=away)

    def _sender(self, person: Professional, documents: Sequence[DocumentHeader]) -> tuple[Professional, str]:
        written = specialty_of(Author(person=person), documents)
        known = self.known(rpps(person.id))
        chosen = specialty(known.professions, written)
        if chosen is not None:
            return person.model_copy(update={"specialty": chosen}), _told(known.source)
        if written is not None:
            return person, _told(_DOCUMENT)
        return person, _UNKNOWN

    def _header(self, header: DocumentHeader) -> DocumentHeader:
        """The same header; its authors who come without a specialty have that of the directory."""
        authors = tuple(self._author(one) for one in header.authors)
        return header.model_copy(update={"authors": authors}) if authors != header.authors else header

    def _author(self, author: Author) -> Author:
        person = author.person
        if person is None or person.specialty is not None:
            return author
        found = specialty(self.known(rpps(person.id)).professions, None)
        if found is None:
            return author
        return author.model_copy(update={"person": person.model_copy(update={"specialty": found})})


def _told(source: str) -> str:
    return filled("profession de l'émetteur, source : {what}", what=source)


def specialty(professions: Sequence[Profession], written: Specialty | None) -> Specialty | None:
    """authorSpecialty (JDV_J01) of what a directory says; None when it is not enough for a VIHF.

    written: that of the document, which decides between several
    """
    made = [one for profession in professions if (one := _specialty(profession)) is not None]
    made.sort(key=lambda one: "/SM" not in one[0])  # a speciality of the Ordre before other savoir-faire
    if written is not None and any(one[0] == written[0] for one in made):
        return written
    return made[0] if made else None


def _specialty(profession: Profession) -> Specialty | None:
    if not profession.skill:
        if profession.code in TWO_PARTS:
            return None
        return f"G15_{profession.code}", profession.label or profession.code, SYSTEM
    if not _SKILL.fullmatch(profession.skill):
        return None
    labels = " - ".join(filter(None, (profession.label, profession.skill_label))) or profession.code
    return f"G15_{profession.code}/{profession.skill}", labels, SYSTEM
