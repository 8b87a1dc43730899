"""What stands on the page of a document: who it is about, who wrote it, which version, and its narrative.

The words are French: so are the documents, and those who read them (ECO.2.1.5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from router.cda.narrative import Narrative
from router.printable import printable
from router.request import Action, Author, DocumentHeader, TransmissionRequest

_SEX: Final = {"M": "masculin", "F": "féminin"}
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One document, as texts. Rows are (label, value), in the order in which they are read."""

    title: str
    language: str
    date: tuple[int, int, int]
    """Of the document: year, month, day."""
    authors: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = field(repr=False)
    foot: str = field(repr=False)
    narrative: Narrative


def page_of(request: TransmissionRequest, header: DocumentHeader, narrative: Narrative, *, ins: bool) -> Page:
    """The page of one document of a request. ins: the patient's INS may be shown (decisions D2, D13)."""
    title = _line(header.title or header.code.label) or "Document de santé"
    authors = tuple(dict.fromkeys(name for one in header.authors if (name := _author(one))))
    written = header.effective_time
    rows = (
        ("Avis", _notice(request)),
        ("Patient", _patient(request, header, ins=ins)),
        ("Type de document", _line(header.code.label)),
        ("Date de l'acte", when(header.start_time)),
        ("Document du", when(written)),
        ("Auteur", " ; ".join(authors)),
        ("Responsable", _author(header.legal_authenticator) if header.legal_authenticator else ""),
        ("Établissement", _line(header.custodian.name) if header.custodian else ""),
        ("Version", _version(header)),
    )
    short = " ".join(part for part in (_family(request, header), _given(request, header)) if part)
    return Page(
        title=title,
        language=found[0] if (found := _LANGUAGE.match(header.language)) else "fr",
        date=_date(written) or _date(header.start_time) or (1970, 1, 1),
        authors=authors,
        rows=tuple(row for row in rows if row[1]),
        foot=f"{short} – {title} – texte du document CDA {printable(header.id)}, mis en page pour la lecture",
        narrative=narrative,
    )


def when(timestamp: str) -> str:
    """`05/01/2026 10:15` of an HL7 time, as precise as it is; '' of none."""
    digits = re.match(r"\d*", timestamp)
    text = digits[0] if digits else ""
    if len(text) < 8:
        return text and "/".join(part for part in (text[4:6], text[:4]) if part)
    day = f"{text[6:8]}/{text[4:6]}/{text[:4]}"
    return f"{day} {text[8:10]}:{text[10:12]}" if len(text) >= 12 else day


def _notice(request: TransmissionRequest) -> str:
    if request.action is Action.DELETE:
        return "Ce document a été transmis par erreur : il doit être supprimé."
    return "Annule et remplace la version précédente." if request.action is Action.REPLACE else ""


def _family(request: TransmissionRequest, header: DocumentHeader) -> str:
    written = header.patient
    family = written.birth_family or request.patient.birth_family or written.used_family or request.patient.used_family
    return _line(family).upper()


def _given(request: TransmissionRequest, header: DocumentHeader) -> str:
    return _line(header.patient.given or request.patient.given)


def _patient(request: TransmissionRequest, header: DocumentHeader, *, ins: bool) -> str:
    patient = header.patient
    used = _line(patient.used_family or request.patient.used_family).upper()
    family = _family(request, header)
    qualified = request.patient.ins.value if ins and request.patient.ins is not None else ""
    born = when(patient.birth_date or request.patient.birth_date)
    sex = patient.sex or request.patient.sex
    parts = [
        f"{family} {_given(request, header)}".strip(),
        f"nom utilisé {used}" if used and used != family else "",
        f"né(e) le {born}" if born else "",
        f"sexe {_SEX.get(sex, _line(sex))}" if sex else "",
        f"INS {printable(qualified)}" if qualified else "",
    ]
    return ", ".join(part for part in parts if part)


def _author(author: Author) -> str:
    name, role = "", ""
    if author.person is not None:
        name, role = f"{author.person.given} {author.person.family}", author.person.role
    elif author.device is not None:
        name = author.device.name or author.device.model
    where = author.structure.name if author.structure is not None else ""
    return ", ".join(part for part in map(_line, (name, role, where)) if part)


def _version(header: DocumentHeader) -> str:
    number = _line(header.version)
    parts = [f"n° {number}" if number else "", f"identifiant {printable(header.id)}"]
    replaced = f"remplace {printable(header.replaces)}" if header.replaces else ""
    return ", ".join(part for part in (*parts, replaced) if part)


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _date(timestamp: str) -> tuple[int, int, int] | None:
    """A date that exists, or None."""
    try:
        day = date(int(timestamp[:4]), int(timestamp[4:6] or 1), int(timestamp[6:8] or 1))
    except ValueError:
        return None
    return (day.year, day.month, day.day)
