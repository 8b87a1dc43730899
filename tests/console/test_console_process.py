"""The console as it is started: by its command, and by the supervisor as a role."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from router.config.site import Site
from router.console.service import ConsoleService
from router.errors import OperatorFault
from router.runtime.site_services import SiteServices
from tests.console.console_world import SITE

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
