"""Reading mails that others wrote: lenient, bounded, in one pass; nothing that a mail server may do makes it raise.

The standard library's reader takes minutes for some mails of a few megabytes (many header fields, nested parts), so
the structure is read here, by places in the mail's own bytes; nothing is copied but what a caller asks for.
The national example of an MDN is itself not valid MIME (mssante §8.5), so fields are looked for in three places.
Beyond a limit every function raises `TooMuch`.
"""

from __future__ import annotations

import binascii
import contextlib
import email.message
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from typing import Final

from router.feedback.limits import Budget

_NAME: Final = re.compile(rb"([!-9;-~]{1,76})[ \t]*:")
_ID: Final = re.compile(r"<([^<>]*)>")
"""Matched in one go, whatever a stranger writes there: blanks are taken out afterwards."""
_TAG: Final = re.compile(r"<[^<>]*>")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_VALUE: Final = 4096
"""Characters of a field that are decoded: words of RFC 2047 are costly, and a subject is never so long."""
_PARAMETERS: Final = 2000

#: Media types of the report parts and of their forms for internationalised mail (RFC 3464, 8098, 6522; RFC 6533 §4).
STATUS: Final = ("message/delivery-status", "message/global-delivery-status")
DISPOSITION: Final = ("message/disposition-notification", "message/global-disposition-notification")
HEADERS: Final = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
ENCLOSED: Final = ("message/rfc822", "message/global")


class Fields:
    """The fields of a header or of a block of a report part. Names are looked for in any case; the first one stands."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Sequence[tuple[str, bytes]] = ()) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    def get(self, name: str) -> str:
        """A field's value, decoded, on one line; '' when absent."""
        return next(self.all(name), "")

    def all(self, name: str) -> Iterator[str]:
        """The values of every field of this name, from the top."""
        wanted = name.lower()
        return (decoded_value(value) for found, value in self._raw if found == wanted)

    def only(self, name: str) -> str:
        """A field's value when every field of this name says the same; '' when two differ: neither is believed."""
        values = list(self.all(name))
        return values[0] if len({one.casefold() for one in values}) == 1 else ""

    def raw(self, name: str) -> bytes | None:
        wanted = name.lower()
        return next((value for found, value in self._raw if found == wanted), None)


@dataclass(frozen=True, slots=True)
class Part:
    """A mail, or a part of one: its header, and where its body stands in the bytes of the mail."""

    fields: Fields = field(repr=False)
    type: str
    """Media type in lower case."""
    raw: bytes = field(repr=False)
    start: int
    end: int
    parts: tuple[Part, ...] = ()
    budget: Budget = field(default_factory=Budget, repr=False, compare=False)


def parse(raw: bytes, budget: Budget | None = None) -> Part:
    """The mail as a tree of parts; mails enclosed in it are leaves. Raises `TooMuch`."""
    return _part(raw, 0, len(raw), budget or Budget(), 0)


def _part(raw: bytes, start: int, end: int, budget: Budget, depth: int) -> Part:
    budget.part(depth)
    fields, body = _header(raw, start, end, budget)
    kind, boundary = _media_type(fields)
    parts: tuple[Part, ...] = ()
    if kind.startswith("multipart/") and boundary:
        inside = _between(raw, body, end, boundary, budget)
        parts = tuple(_part(raw, first, last, budget, depth + 1) for first, last in inside)
    return Part(fields, kind, raw, body, end, parts, budget)


def _header(raw: bytes, start: int, end: int, budget: Budget, *, lenient: bool = False) -> tuple[Fields, int]:
    """The fields from `start` on, and where the body begins: behind an empty line, else at the first line that is none.

    lenient: only an empty line ends it; a line that is no field goes on the one before, whose fold was lost: cut off,
    the rest of a `Disposition` could turn a refusal into a reading
    """
    found: list[tuple[str, bytes]] = []
    at, size = start, 0
    name, value = "", [b""]

    def close() -> None:
        if name:
            found.append((name, b" ".join(value)))

    while at < end:
        stop = raw.find(b"\n", at, end)
        following = end if stop < 0 else stop + 1
        size += following - at
        budget.header(len(found), size)
        line = raw[at:following].rstrip(b"\r\n")
        if not line.strip():
            close()
            return Fields(found), following
        matched = _NAME.match(line)
        if line[:1] in (b" ", b"\t"):
            value.append(line.strip())
        elif matched is not None:
            close()
            name, value = matched[1].decode("ascii").lower(), [line[matched.end() :].strip()]
        elif lenient:
            value.append(line.strip())
        elif not (at == start and line.startswith(b"From ")):
            break
        at = following
    close()
    return Fields(found), at


def _media_type(fields: Fields) -> tuple[str, bytes]:
    """(media type, boundary) of a part; `text/plain` when it gives none that can be read."""
    kind, boundary = _content_type(fields, "boundary")
    return kind, boundary.rstrip().encode("utf-8", "surrogateescape")


def _content_type(fields: Fields, parameter: str) -> tuple[str, str]:
    raw = fields.raw("content-type")
    if raw is None:
        return "text/plain", ""
    holder = email.message.Message()
    holder["Content-Type"] = raw[:_PARAMETERS].decode("ascii", "surrogateescape").replace("\r", " ")
    with contextlib.suppress(ValueError, LookupError, TypeError):
        kind = holder.get_content_type().lower()
        value = holder.get_param(parameter, "")
        return kind, collapse_rfc2231_value(value) if value else ""
    return "text/plain", ""


def _between(raw: bytes, start: int, end: int, boundary: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """(first, last) place of what stands between the boundaries (RFC 2046 §5.1.1); the last one may be missing."""
    line = re.compile(re.escape(b"\n--" + boundary) + rb"(--)?[ \t]*\r?(?=\n|\Z)")
    opened = -1
    for found in line.finditer(raw, max(0, start - 1), end):  # the line end in front is that of the header
        budget.time()
        at = found.start()
        if opened >= 0:
            yield opened, max(opened, at - (raw[at - 1 : at] == b"\r"))
        opened = found.end() + 1
        if found[1]:
            return
    if 0 <= opened <= end:
        yield opened, end


# ------------------------------------------------------------------------------------------------------ contents


def parts(mail: Part, *wanted: str) -> Iterator[Part]:
    """Parts of these media types, in order, not looking into mails that are enclosed."""
    if mail.type in wanted:
        yield mail
        return
    for part in mail.parts:
        yield from parts(part, *wanted)


def walk(mail: Part) -> Iterator[Part]:
    """The mail and every part of it."""
    yield mail
    for part in mail.parts:
        yield from walk(part)


def content(part: Part, limit: int | None = None) -> bytes:
    """The first bytes of a leaf, its transfer encoding undone (RFC 2045 §6), whatever the media type."""
    limit = part.budget.limits.text_bytes if limit is None else limit
    encoding = part.fields.get("content-transfer-encoding").lower().strip()
    raw = part.raw[part.start : min(part.end, part.start + 2 * limit)]
    if encoding == "base64":
        digits = _NOT_BASE64.sub(b"", raw)
        return binascii.a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"==")[:limit]
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw)[:limit]
    return raw[:limit]


def text(part: Part) -> str:
    """The beginning of a leaf's text, whatever its charset; of HTML what a reader sees."""
    charset = _content_type(part.fields, "charset")[1] or "utf-8"
    raw = content(part)
    try:
        shown = raw.decode(charset, "replace")
    except (LookupError, ValueError):
        shown = raw.decode("latin-1")
    return html.unescape(_TAG.sub(" ", shown)) if part.type == "text/html" else shown


def body(mail: Part) -> str:
    """What a person reads: the plain texts, else the HTML ones; at most `text_bytes` characters."""
    limit = mail.budget.limits.text_bytes
    for kind in ("text/plain", "text/html"):
        shown = "\n".join(text(part) for part in parts(mail, kind))
        if shown.strip():
            return shown[:limit]
    return ""


def report_type(mail: Part) -> str:
    """`delivery-status`, `disposition-notification`… or '' (RFC 6522)."""
    return _content_type(mail.fields, "report-type")[1].lower() if mail.type == "multipart/report" else ""


def file_name(part: Part) -> str:
    """The name of an attachment; '' when it has none."""
    raw = part.fields.raw("content-disposition")
    if raw is None:
        return _content_type(part.fields, "name")[1]
    holder = email.message.Message()
    holder["Content-Disposition"] = raw[:_PARAMETERS].decode("ascii", "surrogateescape").replace("\r", " ")
    with contextlib.suppress(ValueError, LookupError, TypeError):
        value = holder.get_param("filename", "", "content-disposition")
        return collapse_rfc2231_value(value) if value else ""
    return ""


def blocks(part: Part) -> list[Fields]:
    """The blocks of fields of a report part: those of its body, else the part's own header."""
    raw = content(part, part.budget.limits.header_bytes + 1)
    found, at, fields = [], 0, 0
    while at < len(raw):
        part.budget.time()
        block, at = _header(raw, at, len(raw), part.budget, lenient=True)
        if block:
            found.append(block)
            fields += len(block)
        part.budget.header(fields, at)
    return found or [part.fields]


def original_headers(mail: Part) -> Fields:
    """The header of the mail a report is about, returned alone or with the mail enclosed; empty when absent."""
    for kinds in (HEADERS, ENCLOSED):
        for part in parts(mail, *kinds):
            raw = content(part, part.budget.limits.header_bytes + 1)
            return _header(raw, len(raw) - len(raw.lstrip(b"\r\n")), len(raw), part.budget)[0]
    return Fields()


# -------------------------------------------------------------------------------------------------------- values


def decoded_value(raw: bytes) -> str:
    """A field's value on one line. Bytes beyond ASCII are UTF-8 (RFC 6532), else Latin-1; words of RFC 2047 decoded."""
    try:
        shown = raw.decode("utf-8")
    except UnicodeDecodeError:
        shown = raw.decode("latin-1")
    if "=?" in shown and shown.isascii():
        shown = shown[:_VALUE]
        with contextlib.suppress(ValueError, LookupError, HeaderParseError):
            shown = str(make_header(decode_header(shown)))
    return " ".join(shown.split())


def message_ids(value: str) -> list[str]:
    """The Message-IDs in a header, without their brackets and stray blanks: `<1@x >` gives `1@x`."""
    return [one for found in _ID.findall(value) if (one := "".join(found.split()))] or (
        [value.strip()] if "@" in value else []
    )


def unix_time(value: str) -> float | None:
    """Unix time of an RFC 5322 date; None when it is none."""
    try:
        moment = parsedate_to_datetime(value[:200])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def now_or(moment: float | None, now: float) -> float:
    """A report's own date, unless it is absent, in the future or before this system could exist."""
    floor = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    return moment if moment is not None and floor <= moment <= now else now
