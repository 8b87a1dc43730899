"""What a mail of the mailbox says, before anybody asks whether it is true. No I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from router.feedback import mime
from router.feedback.dsn import DeliveryStatus, automatic_reply, from_system, read_bounce, read_dsn
from router.feedback.limits import LIMITS, Budget, Limits, TooMuch
from router.feedback.mdn import Disposition, read_mdn, read_standard_mail


class Kind(StrEnum):
    """What a mail is; also the label of `mail_read_total`."""

    DSN = "dsn"
    BOUNCE = "bounce"
    MDN = "mdn"
    STANDARD = "courriel-standard"
    DOCUMENT = "document"
    AUTOMATIC = "automatic"
    HUMAN = "human"
    UNKNOWN = "quarantine"


class Place(StrEnum):
    """Where the mail is moved."""

    DONE = "done"
    QUARANTINE = "quarantine"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Read:
    """One mail. `mark`: digest of its bytes; `header`: its own, when it is a report.

    statuses:    of a DSN or a bounce;  disposition: of an MDN or a courriel standard
    place:       where it goes when it is no report, and `why`, without any value
    """

    kind: Kind
    mark: str
    header: mime.Fields = field(default_factory=mime.Fields, repr=False)
    statuses: tuple[DeliveryStatus, ...] = ()
    disposition: Disposition | None = None
    place: Place = Place.QUARANTINE
    why: str = ""


def digest(raw: bytes) -> str:
    """What a mail is known by in evidence, alerts and the memory of readings."""
    return hashlib.sha256(raw).hexdigest()[:32]


def read(raw: bytes, limits: Limits = LIMITS) -> Read:
    """DSN, MDN, courriel standard, bounce, incoming document, automatic reply, person.

    What is beyond a limit is for quarantine; nothing is raised on account of it.
    """
    mark = digest(raw)
    try:
        return _read(mime.parse(raw, Budget(limits)), mark)
    except TooMuch as limit:
        return Read(Kind.UNKNOWN, mark, why=str(limit))


def _read(mail: mime.Part, mark: str) -> Read:
    """In the first form that reads it."""
    if statuses := read_dsn(mail):
        return Read(Kind.DSN, mark, mail.fields, tuple(statuses))
    for kind, reader in ((Kind.MDN, read_mdn), (Kind.STANDARD, read_standard_mail)):
        if disposition := reader(mail):
            return Read(kind, mark, mail.fields, disposition=disposition)
    if bounce := read_bounce(mail):
        return Read(Kind.BOUNCE, mark, mail.fields, (bounce,))
    kind, place, why = _no_report(mail)
    return Read(kind, mark, place=place, why=why)


def _no_report(mail: mime.Part) -> tuple[Kind, Place, str]:
    """What a mail is that tells nothing of a delivery, where it goes, and why."""
    if mime.report_type(mail):
        return Kind.UNKNOWN, Place.QUARANTINE, "unreadable report"
    if automatic_reply(mail):
        return Kind.AUTOMATIC, Place.HUMAN, "an automatic reply"
    if from_system(mail):
        return Kind.UNKNOWN, Place.QUARANTINE, "a server's mail of no known form"
    if _holds_archive(mail):
        return Kind.DOCUMENT, Place.HUMAN, "a document was sent to this mailbox"
    return Kind.HUMAN, Place.HUMAN, "written by a person"


def _holds_archive(mail: mime.Part) -> bool:
    for part in mime.walk(mail):
        name = mime.file_name(part).lower()
        if name == "ihe_xdm.zip" or (name.endswith(".zip") and "zip" in part.type):
            return True
    return False
