"""Reading reports that others wrote: lenient, bounded, and never raising on what a mail server may have done to them.

The national example of an MDN is itself not valid MIME (mssante §8.5), so fields are looked for in three places.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9-]{2,40}):[ \t]*(.*(?:\r?\n[ \t].*)*)$", re.MULTILINE)
_ID: Final = re.compile(r"<([^<>]*)>")
"""Matched in one go, whatever a stranger writes there: blanks are taken out afterwards."""
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")

Fields = Mapping[str, str]
"""Field name in lower case -> value on one line."""


def parse(raw: bytes) -> Message:
    """The mail as a tree; defects don't raise."""
    return email.message_from_bytes(raw, policy=email.policy.compat32)


def text_of(part: Message, name: str) -> str:
    """A header of any part, decoded, on one line; '' when absent. Raw 8-bit headers are read as UTF-8, else Latin-1."""
    wanted = name.lower()
    for found, value in part.raw_items():
        if found.lower().strip() == wanted:
            return _decoded_header(str(value))
    return ""


def _decoded_header(value: str) -> str:
    raw = value.encode("utf-8", "surrogateescape")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if text.isascii():
        with contextlib.suppress(ValueError, LookupError, HeaderParseError):
            text = str(make_header(decode_header(text)))
    return " ".join(text.split())


def content_type(part: Message) -> str:
    return str(part.get_content_type()).lower()


def report_type(mail: Message) -> str:
    """`delivery-status`, `disposition-notification` or '' (RFC 6522)."""
    if content_type(mail) != "multipart/report":
        return ""
    return str(mail.get_param("report-type") or "").lower()


def parts(mail: Message, wanted: str) -> Iterator[Message]:
    """Parts of a media type, not looking into mails that are enclosed."""
    if content_type(mail) == wanted:
        yield mail
        return
    payload = mail.get_payload()
    if isinstance(payload, list) and content_type(mail).startswith("multipart/"):
        for part in payload:
            if isinstance(part, Message):
                yield from parts(part, wanted)


def blocks(part: Message) -> list[Fields]:
    """The blocks of fields of a report part: enclosed headers, else the part's own, else read out of its text."""
    payload = part.get_payload()
    found: list[Fields] = []
    if isinstance(payload, list):
        found = [fields(item) for item in payload if isinstance(item, Message) and len(item)]
        found += [
            from_text(str(item.get_payload()))
            for item in payload
            if isinstance(item, Message) and not len(item) and isinstance(item.get_payload(), str)
        ]
    elif isinstance(payload, str):
        found = [from_text(text) for text in re.split(r"\r?\n[ \t]*\r?\n", decoded(part))]
    found = [block for block in found if block]
    own = fields(part)
    return found or [own]


def fields(part: Message) -> Fields:
    """A part's headers, each name once: the first one stands."""
    found: dict[str, str] = {}
    for name in part.keys():  # noqa: SIM118  # iterating a Message gives its headers only by keys()
        found.setdefault(name.lower().strip(), text_of(part, name))
    return found


def from_text(text: str) -> Fields:
    """`Name: value` lines of a text, folded ones joined."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(text):
        found.setdefault(name.lower(), " ".join(value.split()))
    return found


def decoded(part: Message) -> str:
    """The text of a leaf part, whatever its charset."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return str(part.get_payload())
    charset = part.get_content_charset() or "utf-8"
    try:
        return payload.decode(charset, "replace")
    except LookupError:
        return payload.decode("latin-1")


def original_headers(mail: Message) -> Fields:
    """Headers of the mail a report is about, from `text/rfc822-headers` or the mail enclosed; {} when absent."""
    for part in parts(mail, "text/rfc822-headers"):
        return from_text(decoded(part))
    for kind in ("message/rfc822", "message/rfc822-headers"):
        for part in parts(mail, kind):
            payload = part.get_payload()
            if isinstance(payload, list) and payload and isinstance(payload[0], Message):
                return fields(payload[0])
    return {}


def message_ids(text: str) -> list[str]:
    """The Message-IDs in a header, without their brackets and stray blanks: `<1@x >` gives `1@x`."""
    return [one for found in _ID.findall(text) if (one := "".join(found.split()))] or (
        [text.strip()] if "@" in text else []
    )


def address_of(field: str) -> str:
    """The address of `rfc822; a@x`, xtext decoded; of `Name <a@x>` too."""
    text = field.partition(";")[2] or field
    inner = re.search(r"<([^<>]*)>", text)
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), (inner[1] if inner else text).strip())


def unix_time(text: str) -> float | None:
    """Unix time of an RFC 5322 date; None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def now_or(moment: float | None, now: float) -> float:
    """A report's own date, unless it is absent, in the future or before this system could exist."""
    floor = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    return moment if moment is not None and floor <= moment <= now else now
