"""Disposition notifications (RFC 8098) in three national dialects, and the "courriel standard" (mssante §8.4, §8.5).

(a) `processed/Error: 902^…| E^…` in one field; (b) the same and an `Error:` field; (c) `processed/error` + `Error:`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from router.feedback import mime
from router.feedback.addresses import author, final_address, original_addresses, quoted_addresses, without_comments
from router.feedback.dsn import referenced

_MODES: Final = re.compile(r"[\w-]+[ \t]*/[ \t]*[\w-]+")
_ERROR: Final = re.compile(r"^\s*(\d{1,3})\^")
_BARE: Final = re.compile(r"\b(90[0-6])\b")
_SUBJECT_CODE: Final = re.compile(r"\[(\d{3})\]")
_KO: Final = re.compile(r"^\s*\[(ko integration|erreur d.integration)", re.IGNORECASE)
_VALUE: Final = 2000
"""Characters of a `Disposition` or `Error` that are looked at."""

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
#: Modifiers that leave a disposition as it is (RFC 8098 §3.2.6.3); `error` and `failure` turn it into a failure, any
#: other one (`expired`, `superseded`… of RFC 2298) makes it say nothing.
_HARMLESS: Final = frozenset({"warning"})
_FAILURES: Final = frozenset({"error", "failure", "failed"})
LOST: Final = "?"
"""The modifier of `processed/`, where one is announced and none stands."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """What the reader's side says.

    positive: None when there is nothing to tell the sender;  code: applicationErrorCondition of a refusal
    reader:   the mailbox that read;  author: that of `From`;  named: whom the mail was sent to, by the report
    message_ids: of the mail it speaks of;  at: Unix time or None
    doubtful: the subject says the contrary of the report
    explicit: False when the mail was found by a quotation only (courriel standard)
    """

    type: str
    positive: bool | None
    message_ids: tuple[str, ...]
    code: str = ""
    reader: str = field(default="", repr=False)
    author: str = field(default="", repr=False)
    named: tuple[str, ...] = field(default=(), repr=False)
    at: float | None = None
    doubtful: bool = False
    explicit: bool = True


def read_mdn(mail: mime.Part) -> Disposition | None:
    """An MDN, or None when the mail is none. Whether it speaks of a mail of ours is for the caller to find out."""
    part = next(mime.parts(mail, *mime.DISPOSITION), None)
    if part is None:
        return None
    fields, *others = mime.blocks(part)
    read = _disposition(fields.only("disposition")[:_VALUE])
    if read is None:
        return None
    kind, modifiers, inline = read
    subject = mail.fields.get("subject")
    # a refusal counts wherever it stands: an empty line may have come in front of it
    told = [block.get(name)[:_VALUE] for block in (fields, *others) for name in ("error", "failure")]
    error = next(filter(None, told), "") or inline
    positive, code = TYPES.get(kind), ""
    if error or modifiers & _FAILURES or kind == "failed":
        positive, code = False, _code(error, subject)
    elif kind == "deleted":
        code = OTHER
    elif modifiers - _HARMLESS:
        positive = None
    return Disposition(
        type=kind,
        positive=positive,
        message_ids=tuple(mime.message_ids(fields.get("original-message-id"))),
        code=code,
        reader=final_address(fields.get("final-recipient")),
        author=author(mail.fields.get("from")),
        named=original_addresses(fields.get("original-recipient")),
        at=mime.unix_time(mail.fields.get("date")),
        doubtful=bool(positive) and bool(_KO.match(_simple(subject))),
    )


def _disposition(value: str) -> tuple[str, frozenset[str], str] | None:
    """(type, modifiers, error text) of a `Disposition`: comments and a final `;` are left out; None when it is none."""
    modes, semicolon, rest = without_comments(value).partition(";")
    if not semicolon or not _MODES.fullmatch(modes.strip()):
        return None
    kind, slash, changed = rest.partition("/")
    listed, colon, error = changed.partition(":")
    name = kind.strip(" \t;").lower()
    if not re.fullmatch(r"[a-z-]+", name):
        return None
    modifiers = {one.strip(" \t;").lower() for one in listed.split(",")} - {""}
    if slash and not modifiers:
        modifiers = {LOST}
    return name, frozenset(modifiers), error.strip() if colon else ""


def read_standard_mail(mail: mime.Part) -> Disposition | None:
    """The "courriel standard" of an integration error: its subject says so, and it quotes the mail it refuses."""
    subject = mail.fields.get("subject")
    if not _KO.match(_simple(subject)):
        return None
    headers = mime.original_headers(mail)
    ids = [*mime.message_ids(headers.get("message-id")), *referenced(mail)]
    writer = author(mail.fields.get("from"))
    return Disposition(
        type="courriel-standard",
        positive=False,
        message_ids=tuple(dict.fromkeys(ids))[:20],
        code=_code(mime.body(mail)[:10_000], subject, prose=True),
        reader=writer,
        author=writer,
        named=tuple(quoted_addresses(headers.get("to"))),
        at=mime.unix_time(mail.fields.get("date")),
        explicit=False,
    )


def _code(error: str, subject: str, *, prose: bool = False) -> str:
    """From the error text `902^…` or 902, else `[902]` of the subject; what the table doesn't know is 906.

    prose: the text is a person's reading, in which a bare number may mean anything: the subject comes before it
    """
    bare, subject_code = _BARE.search(error), _SUBJECT_CODE.search(subject)
    for found in (_ERROR.match(error), *((subject_code, bare) if prose else (bare, subject_code))):
        if found is not None and found[1] in CODES:
            return found[1]
    return OTHER


def _simple(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text[:200].replace("’", "'"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
