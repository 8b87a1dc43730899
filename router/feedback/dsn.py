"""Delivery status notifications (RFC 3464, RFC 6533) and bounces that follow no standard (mssante §8.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from router.feedback import mime
from router.feedback.addresses import (
    author,
    final_address,
    original_addresses,
    quoted_addresses,
    without_comments,
    xtext_decoded,
)
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
    recipients: what its original and its final address may mean;  code: SMTPERRORCODE of a failure
    at:         Unix time of the event, None when the report gives none
    standard:   False for a bounce that is no DSN
    """

    action: Action
    envid: str = field(default="", repr=False)
    message_ids: tuple[str, ...] = ()
    recipients: tuple[str, ...] = field(default=(), repr=False)
    status: str = ""
    code: str = ""
    at: float | None = None
    standard: bool = True


_SIZE: Final = re.compile(r"\b(size|taille|volumineux|too (?:big|large)|25 ?Mo)\b", re.IGNORECASE)
_SYSTEMS: Final = frozenset({"mailer-daemon", "postmaster"})
_BOUNCE: Final = re.compile(
    r"non distribu|undeliver|delivery .{0,100}fail|failure notice|returned to sender", re.IGNORECASE
)
_AUTOMATIC: Final = re.compile(
    r"^\W{0,5}(auto(matic)?[ -]?(reply|response|submitted)|auto ?:|out of (the )?office|r[ée]ponse automatique"
    r"|absen(ce|t))",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"(?im)^[> \t]*message-id:[ \t]*(<[^<>\n]+>)")


def read_dsn(mail: mime.Part) -> list[DeliveryStatus]:
    """One entry per recipient of a DSN; [] when the mail is no DSN or says nothing of a recipient."""
    status = next(mime.parts(mail, *mime.STATUS), None)
    if status is None:
        return []
    first, *others = mime.blocks(status)
    if not others:  # some servers put everything in one block
        others = [first]
    envid = xtext_decoded(without_comments(first.get("original-envelope-id")))
    ids = tuple(mime.message_ids(mime.original_headers(mail).get("message-id")))
    found = []
    for block in others:
        action = without_comments(block.only("action")).partition(";")[0].strip().lower()
        if action in set(Action):
            found.append(_status(Action(action), block, envid, ids, mail.fields.get("date")))
    return found


def _status(action: Action, block: mime.Fields, envid: str, ids: tuple[str, ...], date: str) -> DeliveryStatus:
    diagnostic = block.get("diagnostic-code")
    enhanced = enhanced_of(block.get("status")) or enhanced_of(diagnostic)
    code = ""
    if action is Action.FAILED:
        code = error_code(enhanced=enhanced, reply=reply_of(diagnostic), text=diagnostic)
    moment = mime.unix_time(block.get("last-attempt-date")) or mime.unix_time(date)
    final = final_address(block.get("final-recipient"))
    return DeliveryStatus(
        action=action,
        envid=envid,
        message_ids=ids,
        recipients=tuple(filter(None, (*original_addresses(block.get("original-recipient")), final))),
        status=enhanced,
        code=code,
        at=moment,
    )


def null_return_path(header: mime.Fields) -> bool:
    """Whether the last server that took the mail wrote an empty return path: it is the topmost one (RFC 5321 §4.4)."""
    return header.get("return-path").replace(" ", "") == "<>"


def from_system(mail: mime.Part) -> bool:
    """Whether a mail server wrote it: an empty return path, MAILER-DAEMON or postmaster."""
    return null_return_path(mail.fields) or _system_author(mail)


def _system_author(mail: mime.Part) -> bool:
    local = without_comments(author(mail.fields.get("from")) or mail.fields.get("from")).partition("@")[0]
    return local.strip().lower() in _SYSTEMS


def automatic_reply(mail: mime.Part) -> bool:
    """Whether a mailbox answered by itself that somebody is away: it is no proof of anything (RFC 3834)."""
    said = without_comments(mail.fields.get("auto-submitted")).partition(";")[0].strip().lower()
    replied = said not in ("", "no") or bool(mail.fields.get("x-autoreply")) or bool(mail.fields.get("x-autorespond"))
    return (replied and not _system_author(mail)) or bool(_AUTOMATIC.match(mail.fields.get("subject")[:200]))


def read_bounce(mail: mime.Part) -> DeliveryStatus | None:
    """A bounce of no standard form that quotes a Message-ID (mssante §8.3): failed; None when it isn't one."""
    if not from_system(mail) or mime.report_type(mail) or automatic_reply(mail):
        return None
    text = mime.body(mail)
    headers = mime.original_headers(mail)
    quoted = [*mime.message_ids(headers.get("message-id")), *_quoted(text), *referenced(mail)]
    if not quoted:
        return None
    if not _BOUNCE.search(mail.fields.get("subject")) and not _BOUNCE.search(text):
        return None
    code = TOO_BIG if _SIZE.search(text) else NO_PROOF
    moment = mime.unix_time(mail.fields.get("date"))
    named = [*quoted_addresses(mail.fields.get("x-failed-recipients")), *quoted_addresses(text)]
    named += quoted_addresses(headers.get("to"))
    return DeliveryStatus(
        Action.FAILED,
        message_ids=tuple(dict.fromkeys(quoted))[:20],
        recipients=tuple(dict.fromkeys(named)),
        code=code,
        at=moment,
        standard=False,
    )


def _quoted(text: str) -> list[str]:
    return [one for value in _QUOTED.findall(text) for one in mime.message_ids(value)]


def referenced(mail: mime.Part) -> list[str]:
    """The Message-IDs of the mails that this one answers."""
    return [one for name in ("in-reply-to", "references") for one in mime.message_ids(mail.fields.get(name)) if one]
