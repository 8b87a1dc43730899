"""The form of a sealed item, version 1: AES-256-GCM in pieces.

    byte  0      version, 1
    byte  1      0
    bytes 2-9    id of the data key
    bytes 10-33  salt, random for each item
    then         pieces of 1 MiB, the last one shorter or equal, each followed by its tag of 16 bytes

Each item has a key of its own, derived from the data key and the first 34 bytes (NIST SP 800-108 §4.1, HMAC-SHA256 in
counter mode). So a nonce can't come twice under one key: it is the number of the piece (4 bytes, big-endian, after 7
zeros), and a last byte that is 1 for the last piece: the STREAM construction. A piece that is missing, exchanged or cut
is found. What the item is (`context`) is associated data of each piece: no item can stand in another's place.
"""

from __future__ import annotations

import hmac
import io
import secrets
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from router.errors import Malformed

VERSION: Final = 1
KEY_BYTES: Final = 32
ID_BYTES: Final = 8
PIECE: Final = 1 << 20
_SALT: Final = 24
_TAG: Final = 16
_HEAD: Final = 2 + ID_BYTES + _SALT
_LABEL: Final = b"segur-router sealed item"
_BITS: Final = struct.pack(">I", 8 * KEY_BYTES)
DAMAGED: Final = "SEALED-DAMAGED"
"""Code of the fault that says: this is not what was sealed here."""


def context(kind: str, *names: str) -> bytes:
    """What an item is, as associated data: no two lists of names give the same bytes."""
    parts = [name.encode() for name in (kind, *names)]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def seal(key_id: bytes, key: bytes, data: bytes, what: bytes) -> bytes:
    """`data` sealed under a data key (32 bytes; its id has 8). One copy is made: the result."""
    head, cipher = _new(key_id, key)
    count = _pieces(len(data))
    out = io.BytesIO(bytes(_HEAD + len(data) + count * _TAG))
    with out.getbuffer() as target, memoryview(data) as source:
        target[:_HEAD] = head
        for number in range(count):
            begin, at = number * PIECE, _HEAD + number * (PIECE + _TAG)
            piece = source[begin : begin + PIECE]
            last = number == count - 1
            cipher.encrypt_into(_nonce(number, last), piece, head + what, target[at : at + len(piece) + _TAG])
    return out.getvalue()


def stream(key_id: bytes, key: bytes, blocks: Iterable[bytes], what: bytes) -> Iterator[bytes]:
    """The same form piece by piece: never more than two pieces are in memory."""
    head, cipher = _new(key_id, key)
    yield head
    held, number = bytearray(), 0
    for block in blocks:
        held += block
        while len(held) > PIECE:  # the last piece is known for the last only at the end
            yield cipher.encrypt(_nonce(number, last=False), bytes(held[:PIECE]), head + what)
            del held[:PIECE]
            number += 1
    yield cipher.encrypt(_nonce(number, last=True), bytes(held), head + what)


def key_id_of(sealed: bytes) -> bytes:
    """The id of the data key that opens it. Raises `Malformed` (`SEALED-DAMAGED`) for what is no sealed item."""
    if len(sealed) < _HEAD + _TAG or sealed[0] != VERSION or sealed[1]:
        raise Malformed(DAMAGED, "", "not a sealed item of a form that this version knows")
    return sealed[2 : 2 + ID_BYTES]


def unseal(key: bytes, sealed: bytes, what: bytes) -> bytes:
    """What was sealed. Raises `Malformed` (`SEALED-DAMAGED`) when one bit differs, of it or of what it should be."""
    key_id_of(sealed)
    head = sealed[:_HEAD]
    cipher = AESGCM(_derived(key, head))
    body = len(sealed) - _HEAD
    count = max(1, -(-body // (PIECE + _TAG)))
    if body - (count - 1) * (PIECE + _TAG) < _TAG:
        raise Malformed(DAMAGED, "", "a sealed item that was cut")
    out = io.BytesIO(bytes(body - count * _TAG))
    try:
        with out.getbuffer() as target, memoryview(sealed) as source:
            for number in range(count):
                begin, at = _HEAD + number * (PIECE + _TAG), number * PIECE
                piece = source[begin : begin + PIECE + _TAG]
                nonce = _nonce(number, last=number == count - 1)
                cipher.decrypt_into(nonce, piece, head + what, target[at : at + len(piece) - _TAG])
    except InvalidTag:
        raise Malformed(DAMAGED, "", "a sealed item that was changed, cut or exchanged") from None
    return out.getvalue()


def _new(key_id: bytes, key: bytes) -> tuple[bytes, AESGCM]:
    head = bytes((VERSION, 0)) + key_id + secrets.token_bytes(_SALT)
    return head, AESGCM(_derived(key, head))


def _derived(key: bytes, head: bytes) -> bytes:
    """The key of one item: NIST SP 800-108 §4.1, one round."""
    return hmac.digest(key, b"\0\0\0\1" + _LABEL + b"\0" + head + _BITS, "sha256")


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">7xI?", number, last)


def _pieces(size: int) -> int:
    return max(1, -(-size // PIECE))
