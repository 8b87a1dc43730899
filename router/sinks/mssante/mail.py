"""The mail itself: headers that can't be broken out of, and MIME parts written once (mssante §1.1, §1.4).

Large parts go straight from bytes to base64 lines; `email.message` would copy them several times. Every header
value passes `header`, which refuses control characters, so nothing a sender wrote can become a header or a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from typing import Final

import pybase64

from router.errors import Refused
from router.exchange import Pseudonyms

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_LINE: Final = 78
_HARD_LINE: Final = 998
CRLF: Final = "\r\n"
ARCHIVE: Final = "IHE_XDM.ZIP"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part beside the text. `name` is ASCII."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to one recipient, every value resolved. Addresses are clean addr-specs."""

    id: str
    """The delivery's id: Message-ID and boundary derive from it."""
    sender: str
    label: str = ""
    to: str = field(repr=False)
    reply_to: str = ""
    subject: str = field(repr=False)
    date: float
    references: tuple[str, ...] = ()
    read_receipt: bool = False
    return_receipt: bool = False
    qualified: bool | None = None
    """X-MSS-INS O or N; None when no CDA travels."""
    codes: tuple[str, ...] = ()
    nil: str = ""
    final: bool = False
    """X-MSS-MES: FIN."""
    text: str = field(repr=False)
    attachments: Sequence[Attachment] = field(default=(), repr=False)

    @property
    def message_id(self) -> str:
        return message_id(self.id, self.sender)


def message_id(delivery_id: str, sender: str) -> str:
    """`<uuid form of the delivery's id@domain of the mailbox>`, the same at every attempt."""
    dashed = "-".join((delivery_id[:8], delivery_id[8:12], delivery_id[12:16], delivery_id[16:20], delivery_id[20:]))
    return f"<{dashed}@{sender.rpartition('@')[2]}>"


def envid(delivery_id: str, pseudonyms: Pseudonyms) -> str:
    """The ENVID of a delivery: its id and a keyed digest of it, 64 hex digits (RFC 3461 §4.4: 100 characters at most).

    Only servers that the mail passed through have seen it: whoever knows the Message-ID can't make it (decisions D15).
    """
    return delivery_id + pseudonyms.of("envid", delivery_id)


def header(name: str, value: str) -> str:
    """One folded header line with its CRLF.

    Words that are not ASCII are encoded (RFC 2047); folding only happens at blanks, so an identifier stays whole.
    Raises `Refused` `MSS-501` for a control character, or a word longer than a line may be.
    """
    if _CONTROLS.search(value):
        raise Refused("MSS-501", name, "caractère de contrôle dans un en-tête")
    text = value if value.isascii() else _encoded(value)
    lines, line = [], f"{name}:"
    for word in text.split(" "):
        if len(line) + 1 + len(word) > _LINE and line.strip() and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
        if len(line) > _HARD_LINE:
            raise Refused("MSS-501", name, "en-tête trop long")
    return CRLF.join([*lines, line]) + CRLF


def _encoded(value: str) -> str:
    """Only from the first word that needs it on: a prefix that receivers filter on stays readable."""
    words = value.split(" ")
    first = next(rank for rank, word in enumerate(words) if not word.isascii())
    encoded = Header(" ".join(words[first:]), "utf-8", maxlinelen=72).encode(linesep="\n")
    return " ".join([*words[:first], *encoded.replace("\n", "").split()])


def _mailbox(label: str, address: str) -> str:
    """`"Label" <address>`; the label quoted, or encoded when it is not ASCII."""
    text = " ".join(_CONTROLS.sub(" ", label).split())
    if not text:
        return address
    if not text.isascii():
        return f"{_encoded('x ' + text)[2:]} <{address}>" if text[0].isascii() else f"{_encoded(text)} <{address}>"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def _headers(mail: Mail, boundary: str) -> str:
    rows: list[tuple[str, str]] = [
        ("Date", format_datetime(datetime.fromtimestamp(int(mail.date), UTC))),
        ("From", _mailbox(mail.label, mail.sender)),
        ("To", mail.to),
        ("Reply-To", mail.reply_to),
        ("Message-ID", mail.message_id),
        ("References", " ".join(mail.references)),
        ("Subject", mail.subject),
        ("Disposition-Notification-To", mail.sender if mail.read_receipt else ""),
        ("Original-Recipient", f"rfc822;{mail.to}" if mail.read_receipt else ""),
        ("Return-Receipt-To", mail.sender if mail.return_receipt else ""),
        ("X-MSS-INS", "" if mail.qualified is None else "O" if mail.qualified else "N"),
        ("X-MSS-CODECDA", ",".join(dict.fromkeys(mail.codes))),
        ("X-MSS-NIL", mail.nil),
        ("X-MSS-MES", "FIN" if mail.final else ""),
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/mixed; boundary="{boundary}"'),
    ]
    return "".join(header(name, value) for name, value in rows if value)


def build(mail: Mail) -> bytes:
    """The whole mail, CRLF throughout, lines of 78 at most in its parts, no line beginning with a dot.

    Deterministic: the same `Mail` gives the same bytes, so a retry repeats them.
    """
    boundary = f"=_{mail.id}"
    opening = f"--{boundary}{CRLF}".encode()
    parts: list[bytes] = [_headers(mail, boundary).encode("ascii"), b"\r\n", opening]
    parts.append(b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n')
    parts.append(base64_lines((mail.text.replace("\n", CRLF) + CRLF).encode()))
    for attachment in mail.attachments:
        parts += (opening, _part_headers(attachment), base64_lines(attachment.content))
    parts.append(f"--{boundary}--{CRLF}".encode())
    return b"".join(parts)


def _part_headers(attachment: Attachment) -> bytes:
    name = attachment.name.replace("\\", "_").replace('"', "_")
    return (
        header("Content-Type", attachment.media_type)
        + header("Content-Transfer-Encoding", "base64")
        + header("Content-Disposition", f'attachment; filename="{name}"')
        + CRLF
    ).encode("ascii")


def base64_lines(content: bytes) -> bytes:
    """Base64 in lines of 76 characters, each ended by CRLF (RFC 2045 §6.8)."""
    return pybase64.encodebytes(content).replace(b"\n", b"\r\n")
