"""IMAP4rev1 syntax: commands with their literals, sequence sets, what SEARCH and FETCH may ask (RFC 3501 §9)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from router.simulators.mssante.wire import Wire

Token = str | list["Token"]
"""An atom or a string, or a parenthesised list."""

_LITERAL: Final = re.compile(rb"\{(\d+)(\+?)\}$")
_WORD: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|\x00(\d+)\x00|([()])|([^\s()"]*\[[^\]]*\](?:<[\d.]+>)?|[^\s()"]+)')
_LARGEST: Final = 2**25


class Bad(Exception):
    """The command isn't understood: answered with BAD."""


class No(Exception):
    """The command is understood and refused."""


async def read_command(wire: Wire) -> tuple[str, str, list[Token]]:
    """(tag, command in capitals, arguments), the literals fetched. Raises Bad, or Closed at the end."""
    line, literals = await wire.line(), []
    while match := _LITERAL.search(line):
        size = int(match[1])
        if size > _LARGEST:
            raise Bad("literal too large")
        if not match[2]:
            await wire.send(b"+ go on\r\n")
        literals.append(await wire.exactly(size))
        line = line[: match.start()] + b"\x00%d\x00" % (len(literals) - 1) + await wire.line()
    tag, _, rest = line.partition(b" ")
    name, _, arguments = rest.partition(b" ")
    return tag.decode("latin-1"), name.decode("latin-1").upper(), _tokens(arguments, literals)


def _tokens(text: bytes, literals: list[bytes]) -> list[Token]:
    stack: list[list[Token]] = [[]]
    for match in _WORD.finditer(text):
        quoted, literal, bracket, atom = match.groups()
        if bracket == b"(":
            stack.append([])
        elif bracket == b")":
            if len(stack) < 2:
                raise Bad("parentheses")
            inner = stack.pop()
            stack[-1].append(inner)
        elif quoted is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted).decode("utf-8", "replace"))
        elif literal is not None:
            stack[-1].append(literals[int(literal)].decode("utf-8", "replace"))
        else:
            stack[-1].append(atom.decode("utf-8", "replace"))
    if len(stack) != 1:
        raise Bad("parentheses")
    return stack[0]


def word(tokens: list[Token], index: int) -> str:
    """An argument that must be a word. Raises Bad when it's missing or a list."""
    if index >= len(tokens) or isinstance(found := tokens[index], list):
        raise Bad("argument missing")
    return found


def numbers(text: str, existing: list[int]) -> list[int]:
    """The members of a sequence set among `existing` (ascending); `*` is the last of them. Raises Bad."""
    last = existing[-1] if existing else 0
    chosen: set[int] = set()
    for part in text.split(","):
        ends = [last if end == "*" else int(end) if end.isdigit() else -1 for end in part.split(":")]
        if -1 in ends or len(ends) > 2:
            raise Bad("sequence set")
        low, high = min(ends), max(ends)
        chosen.update(number for number in existing if low <= number <= high)
    return sorted(chosen)


def is_set(text: str) -> bool:
    return re.fullmatch(r"[\d*][\d*:,]*", text) is not None


def quote(text: str) -> bytes:
    """A quoted string."""
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def internal_date(moment: dt.datetime) -> str:
    return moment.strftime("%d-%b-%Y %H:%M:%S %z")


def day(text: str) -> dt.date:
    """A SEARCH date, `1-Feb-2026`. Raises Bad."""
    try:
        return dt.datetime.strptime(text, "%d-%b-%Y").replace(tzinfo=dt.UTC).date()
    except ValueError as error:
        raise Bad("date") from error
