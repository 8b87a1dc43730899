"""Addresses and domain names in the one form in which they are compared: lower case, A-labels (RFC 5321, RFC 5891)."""

from __future__ import annotations

from router.cisis.addresses import a_labels, clean


def idna(domain: str) -> str:
    """A domain in lower case A-labels, without a final dot. Raises ValueError when it is not a domain name."""
    name = a_labels(domain.strip().rstrip("."))
    if not name:
        raise ValueError("not a domain name")
    return name


def addr_spec(address: str) -> str:
    """One bare address, its domain in A-labels, its local part as written. Raises ValueError on anything else."""
    text = clean(address)
    if text is None:
        raise ValueError("not an address")
    return text


def domain_of(address: str) -> str:
    """The domain of an address, as A-labels. Raises ValueError as `addr_spec`."""
    return addr_spec(address).rpartition("@")[2]
