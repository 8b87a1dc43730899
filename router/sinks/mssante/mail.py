"""The mail itself: headers that can't be broken out of, and MIME parts written once (mssante §1.1, §1.4).

Large parts go straight from bytes to base64 lines; `email.message` would copy them several times. Every header
value passes `header`, which refuses control characters, so nothing a sender wrote can become a header or a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from typing import Final, overload
from urllib.parse import quote

import pybase64

from router.errors import Refused
from router.exchange import Pseudonyms

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_LINE: Final = 78
_HARD_LINE: Final = 998
_QUOTED: Final = 200
"""Characters of a quoted text, which is never folded."""
_ENCODED: Final = 44
"""Bytes that one encoded word holds, in base64, with the blank behind them."""
_LONGEST_NAME: Final = 200
ENCODED_AT_ONCE: Final = 57 * 2048
"""Bytes of content that become base64 at once: whole lines of 76 characters."""
_PIECE: Final = re.compile(r"(?:%[0-9A-F]{2}|[^%]){1,16}")
"""Of a value in percent signs: three characters of each at most, so that a line has 78."""
_CHARSET: Final = "utf-8''"
CRLF: Final = "\r\n"
ARCHIVE: Final = "IHE_XDM.ZIP"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part beside the text."""

    name: str
    media_type: str
    content: bytes | bytearray = field(repr=False)


class Written(Sequence[bytes]):
    """The bytes of a mail in pieces that end with a line. Each is made when it is asked for: base64 is never held.

    size: bytes of all pieces
    """

    __slots__ = ("_pieces", "size")

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        """pieces: bytes as they stand in the mail, or a view of content that becomes lines of base64"""
        self._pieces = tuple(pieces)
        self.size = sum(len(one) if isinstance(one, bytes) else _length(len(one)) for one in pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[bytes, ...]: ...
    def __getitem__(self, index: int | slice) -> bytes | tuple[bytes, ...]:
        found = self._pieces[index]
        return tuple(map(_piece, found)) if isinstance(found, tuple) else _piece(found)

    def __iter__(self) -> Iterator[bytes]:
        return map(_piece, self._pieces)


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
    return folded(name, _encoded(value).split(" "))


def folded(name: str, words: Sequence[str]) -> str:
    """One header line with its CRLF, folded between these words and never within one. Raises `Refused` `MSS-501`."""
    lines, line = [], f"{name}:"
    for word in words:
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
    first = next((rank for rank, word in enumerate(words) if not _plain(word)), len(words))
    return " ".join([*words[:first], *_words(" ".join(words[first:]))])


def _plain(text: str) -> bool:
    """Whether it may stand as it is: `=?` would begin an encoded word."""
    return text.isascii() and "=?" not in text


def _words(text: str) -> list[str]:
    """The whole text as encoded words of RFC 2047, 75 characters at most each; a reader joins them again.

    They end at blanks where they can: some readers put one of their own between two of them.
    """
    groups: list[str] = []
    for word in text.split(" ") if text else []:
        longer = f"{groups[-1]} {word}" if groups else word
        if groups and len(longer.encode("utf-8", "replace")) <= _ENCODED:
            groups[-1] = longer
        else:
            groups.append(word)
    ended = [f"{group} " for group in groups[:-1]] + groups[-1:]
    return [word for group in ended for word in _coded(group)]


def _coded(text: str) -> list[str]:
    """As few encoded words as its length allows."""
    return Header(text, "utf-8", maxlinelen=75).encode(linesep="\n").replace("\n", "").split()


def _phrase(label: str, address: str) -> list[str]:
    """`"Label" <address>` as words: one phrase, quoted on one line, else encoded whole (RFC 5322 §3.2.5, RFC 2047)."""
    text = " ".join(_CONTROLS.sub(" ", label).split())
    if not text:
        return [address]
    if not _plain(text) or len(text) > _QUOTED:
        return [*_words(text), f"<{address}>"]
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{quoted}"', f"<{address}>"]


def _headers(mail: Mail, boundary: str) -> str:
    rows: list[tuple[str, str]] = [
        ("Date", format_datetime(datetime.fromtimestamp(int(mail.date), UTC))),
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
    sender = folded("From", _phrase(mail.label, mail.sender))
    return sender + "".join(header(name, value) for name, value in rows if value)


def build(mail: Mail) -> Written:
    """The whole mail in pieces, CRLF throughout, lines of 78 at most in its parts, no line beginning with a dot.

    Deterministic: the same `Mail` gives the same bytes, so a retry repeats them. A piece ends with a line.
    """
    boundary = f"=_{mail.id}"
    opening = f"--{boundary}{CRLF}".encode()
    parts: list[bytes | memoryview] = [_headers(mail, boundary).encode("ascii"), b"\r\n", opening]
    parts.append(b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n')
    parts += _views((mail.text.replace("\n", CRLF) + CRLF).encode())
    for attachment in mail.attachments:
        parts += (opening, _part_headers(attachment), *_views(attachment.content))
    parts.append(f"--{boundary}--{CRLF}".encode())
    return Written(parts)


def _part_headers(attachment: Attachment) -> bytes:
    disposition = ["attachment;", *parameter("filename", attachment.name)]
    return (
        header("Content-Type", attachment.media_type)
        + header("Content-Transfer-Encoding", "base64")
        + folded("Content-Disposition", disposition)
        + CRLF
    ).encode("ascii")


def parameter(name: str, value: str) -> list[str]:
    """A parameter of a MIME header, as the words between which it may be folded.

    Quoted, unfolded, when every reader takes it so; else in the pieces of RFC 2231. Raises `Refused` `MSS-501`.
    """
    if _CONTROLS.search(value):
        raise Refused("MSS-501", name, "caractère de contrôle dans un en-tête")
    if _plain(value) and not set('"\\') & set(value) and len(value) <= _LONGEST_NAME:
        return [f'{name}="{value}"']
    coded = quote(value, safe="!#$&+-.^_`{}~", encoding="utf-8", errors="replace")
    pieces = _PIECE.findall(coded)
    if len(pieces) == 1:
        return [f"{name}*=utf-8''{coded}"]
    last = len(pieces) - 1
    return [
        f"{name}*{rank}*={'' if rank else _CHARSET}{piece}{';' if rank < last else ''}"
        for rank, piece in enumerate(pieces)
    ]


def _views(content: bytes | bytearray) -> Iterator[memoryview]:
    """The content in pieces of whole lines.

    A piece stays in the processor's cache while it is written twice: of 10 MB this takes a third of the time.
    """
    view = memoryview(content)
    return (view[at : at + ENCODED_AT_ONCE] for at in range(0, len(view), ENCODED_AT_ONCE))


def _piece(piece: bytes | memoryview) -> bytes:
    """Content in base64, lines of 76 characters, each ended by CRLF (RFC 2045 §6.8); other bytes as they are."""
    return piece if isinstance(piece, bytes) else pybase64.encodebytes(piece).replace(b"\n", b"\r\n")


def _length(size: int) -> int:
    """Bytes of so many bytes of content as `_piece` writes them."""
    letters = 4 * -(-size // 3)
    return letters + len(CRLF) * -(-letters // 76)
