"""A mail as it looks: its headers, its text, what is attached, and what the XDM archive holds.

`python -m router.console.mail_view` reads a mail and writes its view as JSON: anybody may write to our mailboxes, and a
few kilobytes of nested parts keep the parser of the standard library busy for minutes.
"""

from __future__ import annotations

import email.policy
import hashlib
import io
import json
import sys
import zipfile
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Final

import nh3
from pydantic import TypeAdapter

from router.console import apart
from router.errors import Malformed
from router.language import N_

_HEADERS: Final = (
    "Date", "From", "To", "Reply-To", "Subject", "Message-ID", "References", "Disposition-Notification-To",
    "Return-Receipt-To", "X-MSS-INS", "X-MSS-CODECDA", "X-MSS-NIL", "X-MSS-MES", "Content-Type",
)  # fmt: skip
_MOST_ENTRIES: Final = 200
_LONGEST: Final = 200_000
"""Characters of a text that are shown."""
_MOST_PARTS: Final = 100
SECONDS: Final = 5
"""A mail that takes longer to read is not shown."""
_UNREADABLE: Final = N_("this mail can't be shown: it takes too long to read, or its form is broken")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the XDM archive."""

    name: str = field(repr=False)
    size: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A part beside the text. entries: of a ZIP archive;  pdf: its bytes, when it is one"""

    name: str = field(repr=False)
    media_type: str
    size: int
    digest: str
    entries: tuple[Entry, ...] = ()
    text: str = field(default="", repr=False)
    """Of a text part: a report of a server, for instance."""


@dataclass(frozen=True, slots=True)
class MailView:
    """One mail. html: of a mail that has a text in HTML, cleaned of what acts; shown in a frame of its own"""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    text: str = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)
    html: str = field(default="", repr=False)


_VIEW: Final = TypeAdapter(MailView)


def shown(data: bytes) -> MailView:
    """Read a mail in a process of its own. Raises `Malformed` (`MAIL-VIEW`) when it can't be read in time."""
    fault = Malformed("MAIL-VIEW", "", _UNREADABLE)
    return _VIEW.validate_json(apart.answer_of("router.console.mail_view", data, seconds=SECONDS, fault=fault))


def main() -> int:
    """Bounded in memory and time; a fault is an exit code and no text."""
    return apart.work(SECONDS, lambda data: json.dumps(asdict(view(data)), ensure_ascii=False).encode(errors="replace"))


def view(data: bytes) -> MailView:
    """Read a mail; what is broken in it is left out. What a hostile one raises is up to the standard library."""
    mail = BytesParser(policy=email.policy.default).parsebytes(data)
    headers = tuple((name, value) for name in _HEADERS if (value := _header(mail, name)))
    text, html, parts = "", "", []
    for part in mail.walk():
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            continue
        content = _bytes(part)
        kind = part.get_content_type()
        if kind == "text/plain" and not text and part.get_content_disposition() != "attachment":
            text = _decoded(part, content)
        elif kind == "text/html" and not html and part.get_content_disposition() != "attachment":
            html = nh3.clean(_decoded(part, content), attributes={}, link_rel=None)
        elif len(parts) < _MOST_PARTS:
            parts.append(_part(part, kind, content))
    return MailView(headers, text, tuple(parts), html)


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return str(mail.get(name, "") or "")
    except (ValueError, IndexError, AttributeError):  # the parser of the standard library on hostile headers
        return ""


def _bytes(part: EmailMessage) -> bytes:
    try:
        found = part.get_payload(decode=True)
    except (ValueError, LookupError):
        return b""
    return found if isinstance(found, bytes) else b""


def _decoded(part: EmailMessage, content: bytes) -> str:
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")[:_LONGEST]
    except (LookupError, ValueError):  # a codec that is none, or none for texts
        return content.decode("utf-8", "replace")[:_LONGEST]


def _part(part: EmailMessage, kind: str, content: bytes) -> Part:
    try:
        name = part.get_filename("") or ""
    except (ValueError, LookupError, IndexError):
        name = ""
    readable = kind.startswith(("text/", "message/"))
    return Part(
        name=name,
        media_type=kind,
        size=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        entries=tuple(_entries(content)) if content[:4] == b"PK\x03\x04" else (),
        text=(_decoded(part, content) or _inner(part)) if readable else "",
    )


def _inner(part: EmailMessage) -> str:
    """The fields of a report (`message/delivery-status`, `message/disposition-notification`)."""
    payload = part.get_payload()
    return "\n".join(str(one) for one in payload)[:_LONGEST] if isinstance(payload, list) else ""


def _entries(content: bytes) -> list[Entry]:
    """Names and sizes of a ZIP's files: nothing of it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [Entry(one.filename, one.file_size) for one in archive.infolist()[:_MOST_ENTRIES]]
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError):
        return []


if __name__ == "__main__":
    sys.exit(main())
