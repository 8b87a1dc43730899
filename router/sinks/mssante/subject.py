"""The subject: `XDM/1.0/DDM+<libellé> <NOM> <prénom> <date de naissance>` (ECO.2.1.3).

Many receivers route on the literal prefix, so it is never encoded: a first word with an accent would be, prefix
included, hence the transliteration (mssante §1.3).
"""

from __future__ import annotations

from typing import Final

from router.request import Action, TransmissionRequest
from router.sinks.mssante.naming import ascii_text, birth_name, day, first_name, label, plain

PREFIX: Final = "XDM/1.0/DDM+"


def subject(request: TransmissionRequest, *, accents: bool = False) -> str:
    """The whole subject, one line. ASCII; with `accents`, only its first word and the patient's name are."""
    count = len(request.documents)
    text = label(request.principal) if count == 1 else f"{count} documents"
    born = day(request.principal.patient.birth_date or request.patient.birth_date)
    words = [_label(text, accents), birth_name(request), first_name(request), born]
    return PREFIX + " ".join(word for word in words if word)


def notice_subject(title: str, action: Action = Action.DELETE) -> str:
    """The subject of a mail without an archive (a deletion told to a patient, a notice): no prefix, no name."""
    what = "Remplacement" if action is Action.REPLACE else "Suppression"
    return f"{what} d'un document : {ascii_text(title)}"


def _label(text: str, accents: bool) -> str:
    if not accents:
        return ascii_text(text)
    first, _, rest = plain(text).partition(" ")
    return plain(f"{ascii_text(first)} {rest}")
