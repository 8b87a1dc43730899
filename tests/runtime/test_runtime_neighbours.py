"""What another process answers on its administration port, when it is none of ours."""

from __future__ import annotations

import pytest

from router.runtime import neighbours
from tests.trickle import trickle


@pytest.mark.parametrize(
    "body", [b"[" * 60_000, b"{" + b'"a":{' * 10_000, b"no JSON"], ids=["lists", "objects", "text"]
)
def test_a_page_that_cannot_be_read_is_empty(body: bytes) -> None:
    """Nesting without end, or no JSON at all, ends no `status`."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with trickle(head + body) as port:
        assert neighbours.page("127.0.0.1", port, "/status") == (200, {})
