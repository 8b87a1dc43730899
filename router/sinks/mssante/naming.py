"""Names as MSSanté wants them: the patient's, without accents; what a file or a subject may hold (ECO.2.1.3, 2.1.6)."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from router.cisis.valuesets import shipped
from router.printable import CONTROLS
from router.request import DocumentHeader, TransmissionRequest

#: Characters that NFKD leaves whole.
_TYPOGRAPHY: Final = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "‑": "-",
        "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
        "ł": "l", "Ł": "L", "€": "EUR", "…": "...",
    }
)  # fmt: skip
LABEL_LENGTH: Final = 40
"""Characters of a document's label (ECO.2.1.3), counted before transliteration."""


def plain(text: str) -> str:
    """One line without control characters, blanks collapsed."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(CONTROLS.sub(_blank, text).split())


def _blank(control: re.Match[str]) -> str:
    """Nothing for what nobody sees within a word (zero width, soft hyphen); a blank for what ends one."""
    return "" if unicodedata.category(control[0]) in ("Cf", "Mn") else " "


def ascii_text(text: str) -> str:
    """One ASCII line: accents dropped, typography in its ASCII form, what has none dropped."""
    if text.isascii():
        return plain(text)
    decomposed = unicodedata.normalize("NFKD", plain(text).translate(_TYPOGRAPHY))
    return plain(decomposed.encode("ascii", "ignore").decode("ascii"))


def name_text(text: str) -> str:
    """A name on one line: Latin letters without their accents (ECO.2.1.3), letters of other scripts as they are."""
    if text.isascii():
        return plain(text)
    written = unicodedata.normalize("NFC", plain(text))
    return plain("".join(map(_letter, written.translate(_TYPOGRAPHY))))


def _letter(one: str) -> str:
    latin = unicodedata.normalize("NFKD", one).encode("ascii", "ignore").decode("ascii")
    return latin or (one if unicodedata.category(one)[0] in "LMN" and not unicodedata.combining(one) else "")


def label(document: DocumentHeader) -> str:
    """The label of a document: its code's, else its title, cut to 40 characters."""
    text = plain(document.code.label) or plain(document.title) or "Document de sante"
    return text[:LABEL_LENGTH].rstrip()


def official_label(document: DocumentHeader) -> str:
    """The label of the document's type in the national value set: no word of it is the sender's."""
    return shipped().label("JDV_J07", document.code.code) or "document de santé"


def birth_name(request: TransmissionRequest) -> str:
    """The patient's birth name in upper case, without accents: the CDA's, else the message's, else the used name."""
    document = request.principal.patient
    family = document.birth_family or request.patient.birth_family
    return name_text(family or document.used_family or request.patient.used_family).upper()


def first_name(request: TransmissionRequest) -> str:
    """The patient's first given name, without accents."""
    return name_text(request.principal.patient.given or request.patient.given)


def day(timestamp: str) -> str:
    """`JJ/MM/AAAA` of an HL7 time; '' when it has no full date, or an unknown day (`00`)."""
    digits = timestamp[:8]
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()) or digits[4:6] == "00" or digits[6:8] == "00":
        return ""
    return f"{digits[6:8]}/{digits[4:6]}/{digits[:4]}"


def act_time(document: DocumentHeader) -> str:
    """When the act took place: serviceEvent's low, else the document's own time."""
    return document.start_time or document.effective_time
