"""Delivery status notifications (RFC 3464) and bounces that follow no standard (mssante §8.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import Message
from enum import StrEnum
from typing import Final

from router.feedback import mime
from router.sinks.mssante.codes import NO_PROOF, TOO_BIG, enhanced_of, error_code, reply_of


class Action(StrEnum):
    """What became of the mail, for one recipient (RFC 3464 §2.3.3)."""

    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    DELAYED = "delayed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One recipient's line of a DSN.

    envid:      ours, given at submission;  message_ids: of the mail reported on
    recipient:  original, else final address;  code: SMTPERRORCODE of a failure
    at:         Unix time of the event, None when the report gives none
    standard:   False for a bounce that is no DSN
    """

    action: Action
    envid: str = ""
    message_ids: tuple[str, ...] = ()
    recipient: str = field(default="", repr=False)
    status: str = ""
    code: str = ""
    at: float | None = None
    standard: bool = True


_SIZE: Final = re.compile(r"\b(size|taille|volumineux|too (?:big|large)|25 ?Mo)\b", re.IGNORECASE)
_SYSTEM: Final = re.compile(r"mailer-daemon|postmaster", re.IGNORECASE)
_BOUNCE: Final = re.compile(
    r"non distribu|undeliver|delivery .{0,100}fail|failure notice|returned to sender", re.IGNORECASE
)


def read_dsn(mail: Message) -> list[DeliveryStatus]:
    """One entry per recipient of a DSN; [] when the mail is no DSN or says nothing of a recipient."""
    status = next(mime.parts(mail, "message/delivery-status"), None)
    if status is None:
        return []
    first, *others = mime.blocks(status)
    if not others:  # some servers put everything in one block
        others = [first]
    envid = mime.address_of(first.get("original-envelope-id", ""))
    ids = tuple(mime.message_ids(mime.original_headers(mail).get("message-id", "")))
    found = []
    for block in others:
        action = block.get("action", "").lower()
        if action in set(Action):
            found.append(_status(Action(action), block, envid, ids, mime.text_of(mail, "Date")))
    return found


def _status(action: Action, block: mime.Fields, envid: str, ids: tuple[str, ...], date: str) -> DeliveryStatus:
    diagnostic = block.get("diagnostic-code", "")
    enhanced = enhanced_of(block.get("status", "")) or enhanced_of(diagnostic)
    code = ""
    if action is Action.FAILED:
        code = error_code(enhanced=enhanced, reply=reply_of(diagnostic), text=diagnostic)
    moment = mime.unix_time(block.get("last-attempt-date", "")) or mime.unix_time(date)
    return DeliveryStatus(
        action=action,
        envid=envid,
        message_ids=ids,
        recipient=mime.address_of(block.get("original-recipient") or block.get("final-recipient", "")),
        status=enhanced,
        code=code,
        at=moment,
    )


def from_system(mail: Message) -> bool:
    """Whether a mail server wrote it: an empty return path, MAILER-DAEMON or postmaster."""
    return mime.text_of(mail, "Return-Path") == "<>" or bool(_SYSTEM.search(mime.text_of(mail, "From")))


def read_bounce(mail: Message) -> DeliveryStatus | None:
    """A bounce of no standard form that quotes a Message-ID (mssante §8.3): failed; None when it isn't one."""
    if not from_system(mail) or mime.report_type(mail):
        return None
    text = "\n".join(mime.decoded(part) for part in mime.parts(mail, "text/plain"))[:100_000]
    headers = mime.original_headers(mail)
    quoted = [*mime.message_ids(headers.get("message-id", "")), *_quoted(text), *_referenced(mail)]
    if not quoted:
        return None
    subject = mime.text_of(mail, "Subject")
    if not _BOUNCE.search(subject) and not _BOUNCE.search(text):
        return None
    code = TOO_BIG if _SIZE.search(text) else NO_PROOF
    moment = mime.unix_time(mime.text_of(mail, "Date"))
    return DeliveryStatus(Action.FAILED, message_ids=tuple(dict.fromkeys(quoted)), code=code, at=moment, standard=False)


def _quoted(text: str) -> list[str]:
    return [
        one for value in re.findall(r"(?im)^[> \t]*message-id:\s*(<[^>\n]+>)", text) for one in mime.message_ids(value)
    ]


def _referenced(mail: Message) -> list[str]:
    return [one for name in ("In-Reply-To", "References") for one in mime.message_ids(mime.text_of(mail, name)) if one]
