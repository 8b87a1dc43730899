"""The console as it is started: by its command, and by the supervisor as a role."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.console.console_world import SITE

_CONSOLE = "console: {port: 0}\n"


def test_the_command_serves_the_pages_until_it_is_stopped(tmp_path: Path) -> None:
    """It says its address, sends strangers to the form, and ends in order."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE + _CONSOLE, encoding="utf-8")
    command = [sys.executable, "-m", "router.cli.main", "console", "--site", str(site)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}) as run:
        try:
            assert run.stdout is not None
            said = re.search(r"http://127\.0\.0\.1:\d+", run.stdout.readline())
            assert said
            answer = httpx.get(f"{said[0]}/search?since=today")
            assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fsearch%3Fsince%3Dtoday")
            assert httpx.get(f"{said[0]}/login").status_code == 200
        finally:
            run.send_signal(signal.SIGTERM)
        assert run.wait(15) == 0


def test_the_worker_says_where_it_listens(tmp_path: Path) -> None:
    """As the supervisor starts it: its file names the port, and is gone when it has drained."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE + _CONSOLE, encoding="utf-8")
    command = [sys.executable, "-m", "router.console.process", str(site), "console", "0"]
    ready = tmp_path / "var" / "run" / "console-0.json"
    with subprocess.Popen(command) as run:
        until = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < until and run.poll() is None:
            time.sleep(0.05)
        said = re.search(r'"console": "(\d+)"', ready.read_text())
        assert said and httpx.get(f"http://127.0.0.1:{said[1]}/login").status_code == 200
        run.send_signal(signal.SIGTERM)
        assert run.wait(15) == 0
    assert not ready.exists()


def test_a_site_without_a_console_says_so(tmp_path: Path) -> None:
    """In one sentence, with what to add."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE, encoding="utf-8")
    command = [sys.executable, "-m", "router.cli.main", "console", "--site", str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "add `console: {port: 8443}`" in " ".join((done.stdout + done.stderr).split())
