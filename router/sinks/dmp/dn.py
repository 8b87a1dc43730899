"""A distinguished name as text, by RFC 4514: the types of its table by name and value, all others as `OID=#hex`.

A type that is written in dotted form has the BER encoding of its value (RFC 4514 §2.3, §2.4). `cryptography` writes
the value of such a type as text, which a strict reader can't compare.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509


def rfc4514(name: x509.Name) -> str:
    """`CN=…,OU=…,O=…,C=FR`, the most specific first; `2.5.4.97=#0c09…` for a type that the table does not name."""
    return ",".join("+".join(map(_attribute, rdn)) for rdn in reversed(name.rdns))


def _attribute(one: x509.NameAttribute[str | bytes]) -> str:
    text = one.rfc4514_string()
    return text if text[:1].isalpha() else f"{one.oid.dotted_string}=#{_value(one).hex()}"


def _value(one: x509.NameAttribute[str | bytes]) -> bytes:
    """The DER of its value: a Name is a SEQUENCE of SETs of SEQUENCEs (type, value)."""
    name = x509.Name([x509.RelativeDistinguishedName([one])]).public_bytes()
    _, value = _members(_content(_content(_content(name))))
    return value


def _members(data: bytes) -> Iterator[bytes]:
    """The TLVs that follow each other in `data`."""
    while data:
        start, length = _header(data)
        yield data[: start + length]
        data = data[start + length :]


def _content(tlv: bytes) -> bytes:
    start, length = _header(tlv)
    return tlv[start : start + length]


def _header(tlv: bytes) -> tuple[int, int]:
    """(bytes of tag and length, length of the content); tags of one byte, as a Name has them."""
    first = tlv[1]
    if first < 0x80:
        return 2, first
    width = first & 0x7F
    return 2 + width, int.from_bytes(tlv[2 : 2 + width], "big")
