"""What another process answers on its administration port, when it is none of ours."""

from __future__ import annotations

import json
import math
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
_DIRECTORY: dict[str, object] = {
    "used": True, "liste_blanche_age": 1.0, "domains": 1, "annuaire_used": False, "annuaire_age": None, "mailboxes": 0,
}  # fmt: skip
_REPORT: dict[str, object] = {"machine": "m", "version": "1", "started": 1.0, "workers": [_WORKER], "readings": []}


@pytest.mark.parametrize(
    "page",
    [
        {},
        {**_REPORT, "workers": [{**_WORKER, "since": "z"}]},
        {**_REPORT, "readings": [{"measure": "in_flight", "labels": [], "value": 1.0}]},
        {**_REPORT, "readings": [{"measure": "in_flight", "labels": {}, "value": "x"}]},
        *(
            {**_REPORT, **part}
            for wrong in (math.nan, math.inf, -math.inf, 1e308)
            for part in (
                {"started": wrong},
                {"workers": [{**_WORKER, "since": wrong}]},
                {"readings": [{"measure": "pipelines_refused", "labels": {}, "value": wrong}]},
                {"certificates": [{"name": "mssante.a/tls", "ends": wrong}]},
                {"directory": {**_DIRECTORY, "liste_blanche_age": wrong}},
            )
        ),
        {**_REPORT, "workers": [{**_WORKER, "restarts": 10**400}]},
        {**_REPORT, "disk": {"free": -(10**400), "size": 1, "inodes_free": 1}},
    ],
)
def test_a_page_that_holds_other_things_is_no_report(page: dict[str, object]) -> None:
    """Another version, or another program: `status` says that it has no answer from there."""
    assert others.report_of(_REPORT, "here") is not None
    assert others.report_of(page, "here") is None


def test_one_neighbours_nonsense_leaves_the_others_in_place() -> None:
    """It is shown as not answering; what the others say is there."""
    pages = [json.dumps(_REPORT | {"machine": "good"}), json.dumps(_REPORT | {"started": math.nan})]
    heads = [f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n{page}".encode() for page in pages]
    with trickle(heads[0]) as good, trickle(heads[1]) as bad:
        reports, unseen = others.Others([("127.0.0.1", good), ("127.0.0.1", bad)]).ask(1.0)
    assert [one.machine for one in reports] == ["good"]
    assert [(one.what, one.code, one.process) for one in unseen] == [(f"127.0.0.1:{bad}", "HTTP-200", True)]
