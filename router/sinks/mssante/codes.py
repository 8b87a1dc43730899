"""SMTP replies and enhanced statuses as SMTPERRORCODE, the table a Z02 answers with (mssante §8.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from router.cisis.smtp_codes import LABELS

KNOWN: Final = frozenset(LABELS)

#: Enhanced status (RFC 3463) -> code. Longest match first: `5.7.1`, then `5.7`.
ENHANCED: Final[Mapping[str, str]] = {
    "5.1.1": "550",
    "5.1.2": "512",
    "5.1.3": "513",
    "5.1.6": "550",
    "5.1.10": "550",
    "4.2.2": "422",
    "5.2.2": "552",
    "5.2.3": "523",
    "5.3.4": "523",
    "5.4.4": "512",
    "4.4.1": "441",
    "4.4.2": "442",
    "4.4.7": "441",
    "5.7": "554",
}

_POLICY: Final = re.compile(r"spam|policy|politique|blacklist|blocked", re.IGNORECASE)
_ENHANCED: Final = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_REPLY: Final = re.compile(r"\b([245]\d\d)\b")
TOO_BIG, NO_PROOF = "523", "554"


def enhanced_of(text: str) -> str:
    """The first enhanced status of a server's text, e.g. `5.1.1`; '' when it gives none."""
    found = _ENHANCED.search(text)
    return found[1] if found else ""


def reply_of(text: str) -> int:
    """The first three-digit reply of a text such as `smtp; 550 5.1.1 …`; 0 when it gives none."""
    found = _REPLY.search(text)
    return int(found[1]) if found else 0


def error_code(*, enhanced: str = "", reply: int = 0, text: str = "") -> str:
    """The code to tell: by enhanced status, else the reply itself when the table has it, else its family's.

    `text` is only searched for words of a spam filter or a policy.
    """
    if enhanced == "5.7.1" and _POLICY.search(text):
        return "541"
    status = enhanced
    while status:
        if status in ENHANCED:
            return ENHANCED[status]
        status = status.rpartition(".")[0]
    if str(reply) in KNOWN:
        return str(reply)
    temporary = enhanced.startswith("4.") or (not enhanced and 400 <= reply < 500)
    return "451" if temporary else NO_PROOF
