"""What another process answers on its administration port, when it is none of ours."""

from __future__ import annotations

import time

import pytest

from router.runtime import neighbours
from router.runtime.status import others
from tests.trickle import trickle


@pytest.mark.parametrize(
    "body", [b"[" * 60_000, b"{" + b'"a":{' * 10_000, b"no JSON"], ids=["lists", "objects", "text"]
)
def test_a_page_that_cannot_be_read_is_empty(body: bytes) -> None:
    """Nesting without end, or no JSON at all, ends no `status`."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with trickle(head + body) as port:
        assert neighbours.page("127.0.0.1", port, "/status") == (200, {})


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"], ids=["head", "body"])
def test_a_page_that_trickles_is_left(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    """Its time-out never comes; the page as a whole has one."""
    monkeypatch.setattr(neighbours, "PAGE_SECONDS", 0.3)
    with trickle(begin) as port:
        asked = time.monotonic()
        assert neighbours.page("127.0.0.1", port, "/status")[1] == {}
        assert time.monotonic() - asked < 5


_WORKER: dict[str, object] = {
    "name": "sinks-0",
    "role": "sinks",
    "status": "running",
    "since": 1.0,
    "restarts": 0,
    "last_exit": None,
}
_REPORT: dict[str, object] = {"machine": "m", "version": "1", "started": 1.0, "workers": [_WORKER], "readings": []}


@pytest.mark.parametrize(
    "page",
    [
        {},
        {**_REPORT, "workers": [{**_WORKER, "since": "z"}]},
        {**_REPORT, "readings": [{"measure": "in_flight", "labels": [], "value": 1.0}]},
        {**_REPORT, "readings": [{"measure": "in_flight", "labels": {}, "value": "x"}]},
    ],
)
def test_a_page_that_holds_other_things_is_no_report(page: dict[str, object]) -> None:
    """Another version, or another program: `status` says that it has no answer from there."""
    assert others.report_of(_REPORT, "here") is not None
    assert others.report_of(page, "here") is None
