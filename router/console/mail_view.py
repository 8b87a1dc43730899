"""A mail as it looks: its headers, its text, what is attached, and what the XDM archive holds.

`python -m router.console.mail_view` reads a mail and writes its view as JSON; with a place (`2`, or `2.5` for the fifth
file of a ZIP), the bytes that stand there. Anybody may write to our mailboxes, and a
few kilobytes of nested parts keep the parser of the standard library busy for minutes.
"""

from __future__ import annotations

import email.policy
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Final, Literal

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
MOST_BYTES: Final = 64 * 2**20
"""Of one file in an archive."""
Kind = Literal["text", "html", "beside"]
TEXT: Final[Kind] = "text"
HTML: Final[Kind] = "html"
BESIDE: Final[Kind] = "beside"
_TEXTS: Final[dict[str, Kind]] = {"text/plain": TEXT, "text/html": HTML}
#: Fields about a mail, in blocks between empty lines (RFC 3464 §2.1, RFC 8098 §3.1).
_REPORTS: Final = frozenset({"message/delivery-status", "message/disposition-notification"})
SECONDS: Final = 5
"""A mail that takes longer to read is not shown."""
NOT_THERE: Final = N_("this part of the mail can't be shown: it is not there, or broken")
_UNREADABLE: Final = N_("this mail can't be shown: it takes too long to read, or its form is broken")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the XDM archive. place: `2.5`, of the fifth file of the second part"""

    name: str = field(repr=False)
    size: int = 0
    place: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part beside the text. place: its number, from 1 on;  entries: of a ZIP archive;  pdf: whether it is one"""

    name: str = field(repr=False)
    media_type: str
    size: int
    digest: str
    entries: tuple[Entry, ...] = ()
    text: str = field(default="", repr=False)
    """Of a text part: a report of a server, for instance."""
    place: str = ""
    pdf: bool = False


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


def part(data: bytes, place: str) -> bytes:
    """What stands at a place of a mail, read in a process of its own. Raises `Malformed` when there is nothing."""
    fault = Malformed("MAIL-VIEW", place, NOT_THERE)
    return apart.answer_of("router.console.mail_view", data, place, seconds=SECONDS, fault=fault)


def main(words: list[str]) -> int:
    """Bounded in memory and time; a fault is an exit code and no text."""
    if words:
        return apart.work(SECONDS, lambda data: standing_at(data, words[0]))
    return apart.work(SECONDS, lambda data: json.dumps(asdict(view(data)), ensure_ascii=False).encode(errors="replace"))


def standing_at(data: bytes, place: str) -> bytes:
    """The part, or the file in a part, of that number. Raises `LookupError`, `ValueError`, `BadZipFile`."""
    number, _, entry = place.partition(".")
    rank = 0
    for _found, kind, content in _parts(BytesParser(policy=email.policy.default).parsebytes(data)):
        if kind == BESIDE:
            rank += 1
            if rank == int(number):
                return _unpacked(content, int(entry)) if entry else content
    raise LookupError(place)


def _unpacked(content: bytes, number: int) -> bytes:
    """A file of a ZIP, `MOST_BYTES` at most: a bomb is cut, and no file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        one = archive.infolist()[number - 1]
        with archive.open(one) as file:
            found = file.read(MOST_BYTES + 1)
    if number < 1 or len(found) > MOST_BYTES:
        raise ValueError(number)
    return found


def view(data: bytes) -> MailView:
    """Read a mail; what is broken in it is left out. What a hostile one raises is up to the standard library."""
    mail = BytesParser(policy=email.policy.default).parsebytes(data)
    headers = tuple((name, value) for name in _HEADERS if (value := _header(mail, name)))
    text, html = "", ""
    parts: list[Part] = []
    for part, kind, content in _parts(mail):
        if kind == TEXT:
            text = _decoded(part, content)
        elif kind == HTML:
            html = nh3.clean(_decoded(part, content), attributes={}, link_rel=None)
        else:
            parts.append(_part(part, content, str(len(parts) + 1)))
    return MailView(headers, text, tuple(parts), html)


def _parts(mail: EmailMessage) -> Iterator[tuple[EmailMessage, Kind, bytes]]:
    """The text, its form in HTML, and what is beside them, `_MOST_PARTS` at most; in the mail's order."""
    seen: set[Kind] = set()
    beside = 0
    for part in _walk(mail):
        own = _TEXTS.get(part.get_content_type())
        if own is not None and own not in seen and part.get_content_disposition() != "attachment":
            seen.add(own)
            yield part, own, _bytes(part)
        elif beside < _MOST_PARTS:
            beside += 1
            yield part, BESIDE, _bytes(part)


def _walk(mail: EmailMessage) -> Iterator[EmailMessage]:
    """Each part that holds something itself. The parser makes parts of the blocks of a report: they are no parts."""
    left: list[EmailMessage] = [mail]
    while left:
        part = left.pop()
        kind, payload = part.get_content_type(), part.get_payload()
        inner = [one for one in payload if isinstance(one, EmailMessage)] if isinstance(payload, list) else []
        if not inner or kind.startswith("message/"):
            yield part
        if kind not in _REPORTS:
            left.extend(reversed(inner))


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return str(mail.get(name, "") or "")
    except (ValueError, IndexError, AttributeError):  # the parser of the standard library on hostile headers
        return ""


def _bytes(part: EmailMessage) -> bytes:
    payload = part.get_payload()
    try:
        if isinstance(payload, list):
            return b"\n".join(one.as_bytes() for one in payload if isinstance(one, EmailMessage))
        found = part.get_payload(decode=True)
    except (ValueError, LookupError, AttributeError, TypeError):  # the generator on hostile headers
        return b""
    return found if isinstance(found, bytes) else b""


def _decoded(part: EmailMessage, content: bytes) -> str:
    try:
        text = content.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # a codec that is none, or none for texts
        text = content.decode("utf-8", "replace")
    return text[:_LONGEST]


def _part(part: EmailMessage, content: bytes, place: str) -> Part:
    kind = part.get_content_type()
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
        entries=tuple(_entries(content, place)) if content[:4] == b"PK\x03\x04" else (),
        text=_decoded(part, content) if readable else "",
        place=place,
        pdf=content[:5] == b"%PDF-",
    )


def _entries(content: bytes, place: str) -> list[Entry]:
    """Names and sizes of a ZIP's files: nothing of it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()[:_MOST_ENTRIES]
            return [Entry(one.filename, one.file_size, f"{place}.{number}") for number, one in enumerate(found, 1)]
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError):
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
