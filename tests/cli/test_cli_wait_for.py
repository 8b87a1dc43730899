"""`segur-router wait-for`: a new gateway waits for pipelines that read its events; health checks wait for readiness."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from router.contracts import EVENT_FORMAT

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def process(pages: dict[str, tuple[int, dict[str, Any]]]) -> Iterator[str]:
    """The administration port of a process that says what `pages` hold at the moment: host:port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, said = pages.get(self.path, (404, {}))
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def started(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "router.cli.main", "wait-for", *words]
    environment = {**os.environ, "COLUMNS": "200"}  # one reason, one line
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )


def ended(waiting: subprocess.Popen[str], seconds: float = 30) -> tuple[int, str]:
    said, _ = waiting.communicate(timeout=seconds)
    return waiting.returncode, " ".join(said.split())


def test_pipelines_that_read_our_events_are_enough() -> None:
    """The same format, or a later one, ends the waiting at once."""
    pages = [{"/version": (200, {"events": form})} for form in (EVENT_FORMAT, EVENT_FORMAT + 1)]
    with process(pages[0]) as same, process(pages[1]) as later:
        assert ended(started("pipelines", same, later))[0] == 0
        code, said = ended(started("pipelines", same, later, "--format", str(EVENT_FORMAT + 1), "--timeout", "1"))
        assert code == 3 and f"reads events of format {EVENT_FORMAT}, not {EVENT_FORMAT + 1}" in said


def test_an_older_pipelines_process_is_waited_for() -> None:
    """One that reads an older format, or has no page for it, keeps the gateway waiting until it is replaced."""
    pages: dict[str, tuple[int, dict[str, Any]]] = {}
    with process(pages) as place:
        waiting = started("pipelines", place)
        assert waiting.stdout is not None
        first = waiting.stdout.readline()
        assert "does not tell its version (404)" in first
        pages["/version"] = (200, {"version": "0.1.0", "events": EVENT_FORMAT - 1})
        second = waiting.stdout.readline()
        assert f"reads events of format {EVENT_FORMAT - 1}, not {EVENT_FORMAT}" in second
        pages["/version"] = (200, {"version": "0.3.0", "events": EVENT_FORMAT})
        assert ended(waiting)[0] == 0


def test_nobody_there_is_waited_for_until_the_time_is_over() -> None:
    """A name that is not known and a port where nobody answers end with 3, and say what lacked."""
    code, said = ended(started("pipelines", "nobody.invalid:9464", "--timeout", "1"))
    assert code == 3
    assert "nobody.invalid is not known yet" in said
    code, said = ended(started("ready", "127.0.0.1:9", "--timeout", "1"))
    assert code == 3
    assert "127.0.0.1: does not answer" in said and "not ready after 1 s" in said


def test_ready_says_who_is_not() -> None:
    """The workers that are not ready are named."""
    waiting = {"waiting": {"sinks-0": "starting"}}
    with process({"/readyz": (503, waiting)}) as place:
        code, said = ended(started("ready", place, "--timeout", "1"))
    assert code == 3
    assert "sinks-0 starting" in said
    with process({"/readyz": (200, {"waiting": {}})}) as place:
        assert ended(started("ready", place))[0] == 0


def test_a_place_that_is_none_is_one_sentence() -> None:
    """Something else than host:port is a wrong command."""
    code, said = ended(started("ready", "pipelines"))
    assert code == 2
    assert "'pipelines' is not host:port" in said
