"""What a delivery carries, joined and taken apart again."""

from __future__ import annotations

import pytest

from router.errors import Malformed
from router.payload import pack, unpack, unpack_documents
from tests.sinks.mssante_samples import order


def test_an_order_and_its_documents_come_back() -> None:
    """Whatever their bytes are, empty ones too."""
    made, documents = order(), [b"<a/>", b"", bytes(range(256)) * 10]
    payload = pack(made, documents)
    assert unpack(payload) == (made, documents)
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
