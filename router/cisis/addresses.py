"""Addresses of MSSanté, strictly: one plain addr-spec, or nothing (R84; mssante §4.2, case 25; hl7-input E46).

An address comes from a field that a sender fills by hand. Whatever could become a second recipient, a header or
a command is refused here, so that nothing behind has to think of it.
"""

from __future__ import annotations

import re
from typing import Final

#: RFC 5322 dot-atom, ASCII, without `%` and `!` (source routes of old mailers); RFC 5321 limits the lengths.
_LOCAL: Final = re.compile(r"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_BRACKETS: Final = re.compile(r"<([^<>]*)>")
_MAX_LOCAL, _MAX_DOMAIN, _MAX = 64, 253, 254
_BLANKS: Final = " \t\u00a0\u202f"


def clean(received: str) -> str | None:
    """The addr-spec, domain in lower-case A-labels, or None when it is not exactly one.

    Blanks around it, one `mailto:` and one pair of `<>` are tolerated; names, lists, comments, quotes, controls and
    anything after the address are not.
    """
    text = received.strip(_BLANKS)
    if text[:7].lower() == "mailto:":
        text = text[7:].strip(_BLANKS)
    if bracketed := _BRACKETS.fullmatch(text):
        text = bracketed[1].strip(_BLANKS)
        if text[:7].lower() == "mailto:":
            text = text[7:]
    local, at, domain = text.rpartition("@")
    ascii_domain = a_labels(domain)
    if not at or len(local) > _MAX_LOCAL or not _LOCAL.fullmatch(local) or not ascii_domain:
        return None
    address = f"{local}@{ascii_domain}"
    return address if len(address) <= _MAX else None


def a_labels(domain: str) -> str:
    """A domain in lower-case A-labels (IDNA); "" when it is none, or has one label only."""
    if not domain.isascii():
        if not domain.isprintable():
            return ""
        try:
            domain = domain.lower().encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    domain = domain.lower()
    labels = domain.split(".")
    if len(domain) > _MAX_DOMAIN or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        return ""
    return domain if not labels[-1].isdecimal() else ""


def parts(address: str) -> tuple[str, str]:
    """(local part, domain) of a clean address."""
    local, _, domain = address.rpartition("@")
    return local, domain
