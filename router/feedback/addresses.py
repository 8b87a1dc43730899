"""Addresses and words as reports write them: types, xtext, comments (RFC 3464 §2.1, RFC 8098 §3, RFC 6533 §3)."""

from __future__ import annotations

import re
from typing import Final

_XTEXT: Final = re.compile(rb"\+([0-9A-F]{2})")
_EMBEDDED: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_BRACKETS: Final = re.compile(r"<([^<>]*)>")
_WORD: Final = re.compile(r"[^\s<>()\[\]:;,\"\\]+")
_MOST: Final = 320
"""Characters of an address and its type: RFC 5321 §4.5.3.1 allows 64 + 1 + 255."""


def without_comments(text: str) -> str:
    """A structured field without its comments (RFC 5322 §3.2.2), which nest; one that does not end stays as it is."""
    if "(" not in text:
        return text.strip()
    kept: list[str] = []
    depth = opened = at = 0
    quoted = False
    while at < len(text):
        one = text[at]
        if one == "\\":
            if not depth:
                kept.append(text[at : at + 2])
            at += 2
            continue
        if one == '"' and not depth:
            quoted = not quoted
        if one == "(" and not quoted:
            opened = opened if depth else at
            depth += 1
        elif one == ")" and depth:
            depth -= 1
            kept.append(" " if not depth else "")
        elif not depth:
            kept.append(one)
        at += 1
    return ("".join(kept) + (text[opened:] if depth else "")).strip()


def final_address(value: str) -> str:
    """The address of `rfc822; a+b@x` or `utf-8; é@x` as it stands: a `+` is a letter there. '' when there is none."""
    kind, semicolon, rest = without_comments(value[: 2 * _MOST]).partition(";")
    text = (rest if semicolon else kind).strip()[:_MOST]
    bracketed = _BRACKETS.search(text)
    text = (bracketed[1] if bracketed else text).strip()
    if kind.strip().lower() == "utf-8":
        text = _EMBEDDED.sub(_character, text)
    return text


def original_addresses(value: str) -> tuple[str, ...]:
    """What an `Original-Recipient` may mean: as it stands, and decoded when it is xtext still (RFC 3461 §4)."""
    plain = final_address(value)
    return tuple(dict.fromkeys(one for one in (plain, xtext_decoded(plain)) if one))


def author(value: str) -> str:
    """The address of a `From` that names exactly one; '' otherwise."""
    found = [one[1] for one in _BRACKETS.finditer(value)] or [without_comments(value)]
    return found[0].strip() if len(found) == 1 and found[0].count("@") == 1 and "," not in found[0] else ""


def xtext_decoded(text: str) -> str:
    """`a+2Bb` -> `a+b`; what is not UTF-8 afterwards stays as it was."""
    raw = text.encode("utf-8", "replace")
    try:
        return _XTEXT.sub(lambda found: bytes([int(found[1], 16)]), raw).decode("utf-8")
    except UnicodeDecodeError:
        return text


def quoted_addresses(text: str, most: int = 50) -> list[str]:
    """The first addresses that stand in a text."""
    found: dict[str, None] = {}
    for one in _WORD.finditer(text):
        word = one[0].rstrip(".")
        if len(word) <= _MOST and word.count("@") == 1:
            found.setdefault(word, None)
            if len(found) >= most:
                break
    return list(found)


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else found[0]
