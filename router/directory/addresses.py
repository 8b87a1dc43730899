"""Addresses and domain names, in the one form in which they are compared: lower case, A-labels (RFC 5321, RFC 5891)."""

from __future__ import annotations

import re
from typing import Final

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def idna(domain: str) -> str:
    """A domain in lower case A-labels, without a final dot. Raises ValueError when it is not a domain name."""
    name = domain.strip().rstrip(".").lower()
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("not a domain name")
    return name


def addr_spec(address: str) -> str:
    """One bare address, its domain in A-labels, its local part as written.

    Raises ValueError on anything that could be more than one recipient or more than one line: a list, a display
    name, a control character, a local part that is not ASCII, more than 254 characters.
    """
    local, at, domain = address.rpartition("@")
    if not at or not 1 <= len(local) <= 64 or not _LOCAL.fullmatch(local):
        raise ValueError("not an address")
    text = f"{local}@{idna(domain)}"
    if len(text) > 254:
        raise ValueError("address too long")
    return text


def domain_of(address: str) -> str:
    """The domain of an address, as A-labels. Raises ValueError as `addr_spec`."""
    return addr_spec(address).rpartition("@")[2]
