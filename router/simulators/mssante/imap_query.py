"""SEARCH criteria and FETCH items over the messages of a folder (RFC 3501 §6.4.4, §6.4.5)."""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from router.simulators.mssante.imap_syntax import Bad, Token, day, internal_date, is_set, numbers
from router.simulators.mssante.mailboxes import Message
from router.simulators.mssante.reports import header, header_block

Row = tuple[int, Message]
"""Sequence number and message."""
_Test = Callable[[Row], bool]

_FLAGS: Final = {"SEEN": r"\Seen", "DELETED": r"\Deleted", "FLAGGED": r"\Flagged", "ANSWERED": r"\Answered"}
_SECTION: Final = re.compile(r"BODY(\.PEEK)?\[(.*?)\](?:<(\d+)\.(\d+)>)?$", re.IGNORECASE)
_COMPARE: Final[dict[str, Callable[[dt.date, dt.date], bool]]] = {
    "SINCE": operator.ge,
    "BEFORE": operator.lt,
    "ON": operator.eq,
}
_WHOLE: Final = {"RFC822": "BODY[]", "RFC822.HEADER": "BODY.PEEK[HEADER]", "RFC822.TEXT": "BODY[TEXT]"}


def flag(text: str) -> str:
    """A system flag in its usual spelling; a keyword as it is."""
    return text[0] + text[1:].capitalize() if text.startswith("\\") else text


def search(criteria: list[Token], rows: list[Row]) -> list[Row]:
    """The rows that meet all criteria. Raises Bad for a key that isn't known."""
    tokens = list(criteria)
    if tokens and str(tokens[0]).upper() == "CHARSET":
        tokens = tokens[2:]
    tests = list(_tests(iter(tokens), rows))
    return [row for row in rows if all(test(row) for test in tests)]


def _tests(tokens: Iterator[Token], rows: list[Row]) -> Iterator[_Test]:
    for token in tokens:
        yield _test(token, tokens, rows)


def _test(token: Token, rest: Iterator[Token], rows: list[Row]) -> _Test:
    if isinstance(token, list):
        inner = list(_tests(iter(token), rows))
        return lambda row: all(test(row) for test in inner)
    key = token.upper()
    if key == "NOT":
        test = _test(_next(rest), rest, rows)
        return lambda row: not test(row)
    if key == "OR":
        one = _test(_next(rest), rest, rows)
        other = _test(_next(rest), rest, rows)
        return lambda row: one(row) or other(row)
    if key in {"ALL", "OLD"}:
        return lambda _: True
    if key in {"RECENT", "NEW"}:
        return lambda _: False
    return _flag_test(key, rest) or _text_test(key, rest, rows)


def _flag_test(key: str, rest: Iterator[Token]) -> _Test | None:
    wanted = not key.startswith("UN")
    name = key.removeprefix("UN")
    if name == "KEYWORD":
        keyword = str(_next(rest))
        return lambda row: (keyword in row[1].flags) is wanted
    if name not in _FLAGS:
        return None
    return lambda row: (_FLAGS[name] in row[1].flags) is wanted


def _text_test(key: str, rest: Iterator[Token], rows: list[Row]) -> _Test:
    if key == "UID":
        uids = set(numbers(str(_next(rest)), [message.uid for _, message in rows]))
        return lambda row: row[1].uid in uids
    if is_set(key):
        ranks = set(numbers(key, [rank for rank, _ in rows]))
        return lambda row: row[0] in ranks
    if key in {"SINCE", "BEFORE", "ON"}:
        limit, compare = day(str(_next(rest))), _COMPARE[key]
        return lambda row: compare(row[1].at.date(), limit)
    if key in {"FROM", "TO", "SUBJECT", "HEADER"}:
        name = str(_next(rest)) if key == "HEADER" else key
        text = str(_next(rest)).lower()
        return lambda row: text in header(row[1].raw, name).lower()
    if key in {"LARGER", "SMALLER"}:
        size, larger = int(str(_next(rest))), key == "LARGER"
        return lambda row: len(row[1].raw) > size if larger else len(row[1].raw) < size
    raise Bad("search key")


def _next(tokens: Iterator[Token]) -> Token:
    try:
        return next(tokens)
    except StopIteration as end:
        raise Bad("search argument missing") from end


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a FETCH asks for."""

    name: str
    render: Callable[[Message], bytes]
    marks_seen: bool = False

    def answer(self, message: Message) -> bytes:
        return self.name.encode() + b" " + self.render(message)


def fetch_items(arguments: list[Token], *, by_uid: bool) -> list[Item]:
    """What to answer, UID first when the command was a UID FETCH. Raises Bad for what isn't offered."""
    asked = arguments[0] if arguments and isinstance(arguments[0], list) else arguments
    names = [str(one) for one in asked]
    if names and names[0].upper() in {"ALL", "FAST"}:
        names = ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]
    items = [_item(name) for name in names]
    if by_uid and "UID" not in {item.name for item in items}:
        items.insert(0, _item("UID"))
    if not items:
        raise Bad("fetch items")
    return items


def _item(name: str) -> Item:
    key = name.upper()
    simple: dict[str, Callable[[Message], bytes]] = {
        "UID": lambda m: str(m.uid).encode(),
        "FLAGS": lambda m: f"({' '.join(sorted(m.flags))})".encode(),
        "INTERNALDATE": lambda m: f'"{internal_date(m.at)}"'.encode(),
        "RFC822.SIZE": lambda m: str(len(m.raw)).encode(),
    }
    if key in simple:
        return Item(key, simple[key])
    match = _SECTION.match(_WHOLE.get(key, name))
    if match is None:
        raise Bad("fetch item")
    shown = key if key in _WHOLE else f"BODY[{match[2].upper()}]" + (f"<{match[3]}>" if match[3] else "")
    start, count = int(match[3] or 0), int(match[4]) if match[4] else None

    def render(message: Message) -> bytes:
        data = _section(message.raw, match[2])
        data = data[start : start + count] if count is not None else data
        return b"{%d}\r\n" % len(data) + data

    return Item(shown, render, marks_seen=match[1] is None)


def _section(raw: bytes, section: str) -> bytes:
    name = section.upper()
    if name == "":
        return raw
    if name == "HEADER":
        return header_block(raw) + b"\r\n"
    if name == "TEXT":
        return raw.partition(b"\r\n\r\n")[2]
    fields = re.fullmatch(r"HEADER\.FIELDS \((.*)\)", name)
    if fields is None:
        raise Bad("section")
    wanted = fields[1].replace('"', "").lower().split()
    lines = re.split(rb"\r\n(?![ \t])", header_block(raw))
    kept = [line for line in lines if line.partition(b":")[0].decode("latin-1").lower() in wanted]
    return b"".join(line + b"\r\n" for line in kept) + b"\r\n"
