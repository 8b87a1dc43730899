"""Disposition notifications (RFC 8098) in three national dialects, and the "courriel standard" (mssante §8.4, §8.5).

(a) `processed/Error: 902^…| E^…` in one field; (b) the same and an `Error:` field; (c) `processed/error` + `Error:`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from email.message import Message
from typing import Final

from router.feedback import mime

_DISPOSITION: Final = re.compile(
    r"\s*([\w-]+)\s*/\s*([\w-]+)\s*;\s*([\w-]+)\s*(?:/\s*([^:]*?)\s*(?::\s*(.*))?)?$", re.DOTALL
)
_ERROR: Final = re.compile(r"^\s*(\d{1,3})\^([^^|]*)(?:\^([^|]*))?")
_SUBJECT_CODE: Final = re.compile(r"\[(\d{3})\]")
_KO: Final = re.compile(r"^\s*\[(ko integration|erreur d.integration)", re.IGNORECASE)

OTHER: Final = "906"
#: applicationErrorCondition that an MDN may carry (hl7-input appendix A).
CODES: Final = frozenset({"900", "901", "902", "903", "904", "905", "906"})
#: Disposition type -> read (True), not read (False), nothing to tell (None). `processed` with an error is False.
TYPES: Final[dict[str, bool | None]] = {
    "processed": True,
    "displayed": True,
    "dispatched": True,
    "deleted": False,
    "denied": None,
    "failed": False,
}


@dataclass(frozen=True, slots=True)
class Disposition:
    """What the reader's side says.

    positive: None when there is nothing to tell the sender;  code: applicationErrorCondition of a refusal
    reader:   the mailbox that read;  message_ids: of the mail it speaks of;  at: Unix time or None
    explicit: False when the mail was found by a quotation only (courriel standard)
    """

    type: str
    positive: bool | None
    message_ids: tuple[str, ...]
    code: str = ""
    reader: str = field(default="", repr=False)
    sender: str = field(default="", repr=False)
    at: float | None = None
    explicit: bool = True


def read_mdn(mail: Message) -> Disposition | None:
    """An MDN, or None when the mail is none. Whether it speaks of a mail of ours is for the caller to find out."""
    part = next(mime.parts(mail, "message/disposition-notification"), None)
    if part is None:
        return None
    fields = mime.blocks(part)[0]
    match = _DISPOSITION.match(fields.get("disposition", ""))
    if match is None:
        return None
    kind = match[3].lower()
    modifiers = {one.strip().lower() for one in (match[4] or "").split(",")} - {""}
    error = fields.get("error") or match[5] or ""
    positive = TYPES.get(kind)
    code = ""
    if "error" in modifiers or kind == "failed":
        positive, code = False, _code(error, mime.text_of(mail, "Subject"))
    elif kind == "deleted":
        code = OTHER
    return Disposition(
        type=kind,
        positive=positive,
        message_ids=tuple(mime.message_ids(fields.get("original-message-id", ""))),
        code=code,
        reader=mime.address_of(fields.get("final-recipient", "")),
        sender=mime.address_of(mime.text_of(mail, "From")),
        at=mime.unix_time(mime.text_of(mail, "Date")),
    )


def read_standard_mail(mail: Message) -> Disposition | None:
    """The "courriel standard" of an integration error: its subject says so, and it quotes the mail it refuses."""
    subject = mime.text_of(mail, "Subject")
    if not _KO.match(_simple(subject)):
        return None
    ids = [
        *mime.message_ids(mime.original_headers(mail).get("message-id", "")),
        *(one for name in ("In-Reply-To", "References") for one in mime.message_ids(mime.text_of(mail, name))),
    ]
    text = "\n".join(mime.decoded(part) for part in mime.parts(mail, "text/plain"))[:10_000]
    author = mime.address_of(mime.text_of(mail, "From"))
    return Disposition(
        type="courriel-standard",
        positive=False,
        message_ids=tuple(dict.fromkeys(ids)),
        code=_code(text, subject),
        reader=author,
        sender=author,
        at=mime.unix_time(mime.text_of(mail, "Date")),
        explicit=False,
    )


def _code(error: str, subject: str) -> str:
    """From the error text `902^…`, else `[902]` of the subject; what the table doesn't know is 906."""
    for found in (_ERROR.match(error), re.search(r"\b(90[0-6])\b", error), _SUBJECT_CODE.search(subject)):
        if found is not None and found[1] in CODES:
            return found[1]
    return OTHER


def _simple(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
