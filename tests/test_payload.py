"""What a delivery carries, joined and taken apart again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.errors import Malformed, Unavailable
from router.payload import pack, unpack, unpack_documents, unpack_order
from tests.sinks.mssante_samples import order


def test_an_order_and_its_documents_come_back() -> None:
    """Whatever their bytes are, empty ones too."""
    made, documents = order(), [b"<a/>", b"", bytes(range(256)) * 10]
    payload = pack(made, documents)
    assert unpack(payload) == (made, [memoryview(one) for one in documents])
    assert unpack_documents(payload) == documents


def test_a_payload_that_was_cut_is_refused() -> None:
    """Wherever the cut is, but between two documents: their number stands in the order."""
    payload = pack(order(), [b"one", b"two"])
    ends = {len(payload) - len(b"0000two") - len(b"0000one"), len(payload) - len(b"0000two")}
    for end in range(len(payload)):
        if end not in ends:
            with pytest.raises(Malformed):
                unpack(payload[:end])
    with pytest.raises(Malformed):
        unpack_documents(payload[: 4 + int.from_bytes(payload[:4], "big") - 1])


@pytest.mark.parametrize(
    "newer",
    [{"priority": "haute"}, {"request": {"colour": 1}}, {"request": {"action": "suspend"}}],
    ids=["key", "key within", "word"],
)
def test_an_order_of_a_newer_version_waits(newer: dict[str, Any]) -> None:
    """What this version does not know may change what must leave: no dead letter, and nothing leaves without it."""
    text = json.dumps(_merged(json.loads(order().model_dump_json(exclude_defaults=True)), newer)).encode()
    with pytest.raises(Unavailable) as caught:
        unpack_order(len(text).to_bytes(4, "big") + text)
    assert (caught.value.code, caught.value.circuit) == ("ORDER-FORMAT", False)
    assert "haute" not in str(caught.value)


def test_an_order_that_says_nothing_sensible_is_refused() -> None:
    """Text that is no order, and an order that lacks what every version writes, are dead letters."""
    for text in (b"{}", b"{", b'{"request": 1}'):
        with pytest.raises(Malformed):
            unpack_order(len(text).to_bytes(4, "big") + text)


def _merged(order: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    return {**order, **{k: {**order[k], **v} if isinstance(v, dict) else v for k, v in newer.items()}}


def test_documents_are_not_copied() -> None:
    """They are looked at where they stand: a sink that holds one of 20 MB holds it once."""
    payload = pack(order(), [b"one", b"two"])
    assert all(document.obj is payload for document in unpack_documents(payload))
