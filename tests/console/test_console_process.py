"""The console as it is started: by its command, and by the supervisor as a role."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from router.config.site import Site
from router.console.live import STREAMS
from router.console.service import ConsoleService
from router.errors import OperatorFault
from router.gateway.places import GRACE
from router.runtime.site_services import SiteServices
from tests.console.console_world import SITE, World

_CONSOLE = "console: {port: 0}\n"


def test_the_service_answers_until_it_is_stopped(tmp_path: Path) -> None:
    """It says its address, sends strangers to the form, and ends in order."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE + _CONSOLE, encoding="utf-8")
    ready = threading.Event()
    with closing(SiteServices(Site(site))) as services, closing(ConsoleService(services)) as service:
        thread = threading.Thread(target=service.run, args=[ready.set])
        thread.start()
        try:
            assert ready.wait(20)
            answer = httpx.get(f"{service.address}/choices?since=today")
            assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fchoices%3Fsince%3Dtoday")
        finally:
            service.stop()
            thread.join(10)
        assert not thread.is_alive()


def test_connections_that_ask_for_nothing_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger holds every connection and sends half a header: whoever comes is answered."""
    monkeypatch.setattr("router.console.service.CONNECTIONS", 5)
    site = tmp_path / "router.yaml"
    site.write_text(SITE + _CONSOLE, encoding="utf-8")
    ready = threading.Event()
    with closing(SiteServices(Site(site))) as services, closing(ConsoleService(services)) as service:
        thread = threading.Thread(target=service.run, args=[ready.set])
        thread.start()
        try:
            assert ready.wait(20)
            held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(5)]
            for one in held:
                one.sendall(b"GET /login HTTP/1.1\r\nHost:")
            time.sleep(GRACE + 0.2)
            assert httpx.get(f"{service.address}/login", timeout=10).status_code == 200
            for one in held:
                one.close()
        finally:
            service.stop()
            thread.join(10)


def test_one_session_holds_a_few_streams(world: World) -> None:
    """Each stream holds a connection: an eleventh is refused, and taken once another has ended."""
    cookies = {"segur": world.client("marie").cookies["segur"]}
    with world.served() as address, ExitStack() as held, httpx.Client(cookies=cookies, timeout=10) as client:

        def stream(stack: ExitStack) -> int:
            answer = stack.enter_context(client.stream("GET", f"{address}/live"))
            if answer.status_code == 200:
                lines = answer.iter_lines()
                next(lines)
                stack.callback(lines.close)  # an iterator that is dropped would end the stream
            return answer.status_code

        assert [stream(held) for _ in range(STREAMS)] == [200] * STREAMS
        assert stream(held) == 429
        held.close()
        until = time.monotonic() + 10
        with ExitStack() as later:
            while stream(later) != 200:
                assert time.monotonic() < until


def test_the_worker_says_where_it_listens(tmp_path: Path) -> None:
    """As the supervisor starts it: its file names the port, and is gone when it has drained."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE + _CONSOLE, encoding="utf-8")
    argv = [sys.executable, "-m", "router.console.process", str(site), "console", "0"]
    ready = tmp_path / "var" / "run" / "console-0.json"
    with subprocess.Popen(argv) as run:
        try:
            until = time.monotonic() + 90
            while not ready.exists() and time.monotonic() < until and run.poll() is None:
                time.sleep(0.05)
            said = re.search(r'"console": "(\d+)"', ready.read_text())
            assert said and httpx.get(f"http://127.0.0.1:{said[1]}/login", timeout=20).status_code == 200
        finally:
            run.send_signal(signal.SIGTERM)
        assert run.wait(20) == 0
    assert not ready.exists()


def test_a_site_without_a_console_says_so(tmp_path: Path) -> None:
    """In one sentence, with what to add."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE, encoding="utf-8")
    with closing(SiteServices(Site(site))) as services, pytest.raises(OperatorFault, match=r"add `console: \{port"):
        ConsoleService(services)
