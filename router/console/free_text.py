"""What people write about a message must not name its patient: notes and reasons are read by others, and kept."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from router.cisis.patient_search import is_identity
from router.language import _

MOST: Final = 500
"""Characters of a note or a reason."""
_DATE: Final = re.compile(r"\b(?:\d{1,2}[/.-]\d{1,2}[/.-](?:19|20)\d\d|(?:19|20)\d\d-?\d\d-?\d\d)\b")
_NUMBER: Final = re.compile(r"[0-9](?:[ ./_-]{0,3}[0-9AaBb]){9,}")
"""Ten digits or more: an INS, a telephone number, and what most hospitals number their patients with."""


def kept(text: str) -> str:
    """What stays in a field whose form was refused: nothing of a text that seems to name a patient."""
    return "" if named_person(text) else text


def named_person(text: str) -> str:
    """Why this text can't be kept: an INS, an IPP, a patient's mailbox, a date that may be of birth; "" when it can."""
    if len(text) > MOST:
        return _("{count} characters at most", count=MOST)
    text = unicodedata.normalize("NFKC", text)  # wide digits are digits
    if _NUMBER.search(text) or any(is_identity(word) for word in text.split()):
        return _("this looks like the number of a patient: others read this text; say it without")
    if _DATE.search(text):
        return _("this looks like a date of birth: others read this text; say it without a whole date")
    return ""
