"""The form of a sealed item."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from router.errors import Malformed
from router.sealing.envelope import PIECE, context, key_id_of, seal, stream, unseal

ID, KEY = b"\1" * 8, bytes(range(32))
WHAT = context("bus", "in.sil", "key")
SIZES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7)


def content(size: int) -> bytes:
    return (b"fictitious " * (size // 11 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_comes_back(size: int) -> None:
    """At every edge of a piece, whole or as a stream; never in clear, never twice the same bytes."""
    data = content(size)
    whole, streamed = seal(ID, KEY, data, WHAT), b"".join(stream(ID, KEY, [data[:5], data[5:]], WHAT))
    assert unseal(KEY, whole, WHAT) == unseal(KEY, streamed, WHAT) == data
    assert key_id_of(whole) == ID
    assert len(whole) == len(streamed) == 34 + size + 16 * max(1, -(-size // PIECE))
    assert whole != seal(ID, KEY, data, WHAT)
    assert b"fictitious" not in whole


def test_another_implementation_opens_it() -> None:
    """The form is what its page says: the key by the library's own KDF, the pieces one by one."""
    data = content(PIECE + 9)
    sealed = seal(ID, KEY, data, WHAT)
    head, body = sealed[:34], sealed[34:]
    derive = KBKDFHMAC(
        SHA256(), Mode.CounterMode, 32, 4, 4, CounterLocation.BeforeFixed, b"segur-router sealed item", head, None
    )
    cipher = AESGCM(derive.derive(KEY))
    first = cipher.decrypt(bytes(7) + b"\0\0\0\0" + b"\0", body[: PIECE + 16], head + WHAT)
    last = cipher.decrypt(bytes(7) + b"\0\0\0\1" + b"\1", body[PIECE + 16 :], head + WHAT)
    assert first + last == data


def test_the_form_never_changes() -> None:
    """An item that version 1 sealed is opened by every later version."""
    sealed = bytes.fromhex(SEALED)
    assert unseal(KEY, sealed, WHAT) == b"MSH|"


@pytest.mark.parametrize("at", [0, 1, 2, 12, 40, 34 + PIECE + 3, -1])
def test_one_bit_is_found(at: int) -> None:
    """Wherever it is: version, key id, salt, content, tag."""
    sealed = bytearray(seal(ID, KEY, content(2 * PIECE), WHAT))
    sealed[at] ^= 1
    with pytest.raises(Malformed) as caught:
        unseal(KEY, bytes(sealed), WHAT)
    assert caught.value.code == "SEALED-DAMAGED"


@pytest.mark.parametrize("length", [0, 33, 49, 34 + PIECE + 16, 34 + 2 * (PIECE + 16), -1])
def test_a_cut_is_found(length: int) -> None:
    """Also where a piece ends, which is the place where a cut leaves valid pieces only."""
    sealed = seal(ID, KEY, content(3 * PIECE), WHAT)
    with pytest.raises(Malformed):
        unseal(KEY, sealed[:length], WHAT)
    with pytest.raises(Malformed):
        unseal(KEY, sealed + b"\0" * 17, WHAT)


def test_an_exchange_is_found() -> None:
    """Two items, two pieces of one item, two data keys."""
    data = content(3 * PIECE)
    sealed = seal(ID, KEY, data, WHAT)
    first, second = slice(34, 34 + PIECE + 16), slice(34 + PIECE + 16, 34 + 2 * (PIECE + 16))
    swapped = sealed[:34] + sealed[second] + sealed[first] + sealed[second.stop :]
    for key, item, what in (
        (KEY, sealed, context("bus", "in.sil", "other")),
        (KEY, sealed, context("bus", "in.silkey", "")),
        (bytes(32), sealed, WHAT),
        (KEY, swapped, WHAT),
    ):
        with pytest.raises(Malformed):
            unseal(key, item, what)


SEALED = "010001010101010101015a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ae04bf551057b1d3c7aafa55dc3b1d5f5e9528875"
