"""`segur-router run` as a process of its own, with one relay feed, for tests that ask what it says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import router
from router.starter.pipeline_files import PIPELINES

#: Where `router` is imported from: the checkout, or an installed wheel.
HOME = Path(router.__file__).resolve().parents[1]
SITE = """
environment: qualification
data: var
pipelines: {pipelines}
{more}
admin: {{port: {admin}}}
feeds:
  labo-relais: {{kind: relay, http: true}}
http: {{port: {http}}}
sinks:
  hl7.dpi: {{type: hl7, host: 127.0.0.1, port: 9}}
"""
SECRET = "secret: {env: SEGUR_TEST_KEY}"


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Router:
    """`segur-router run` in a folder of its own."""

    def __init__(self, folder: Path, more: str = SECRET) -> None:
        pipelines = folder / "pipelines"
        (pipelines / "samples").mkdir(parents=True)
        for name in ("relais-dpi.yaml", "samples/adt-admission.hl7"):
            (pipelines / name).write_bytes((PIPELINES / name).read_bytes())
        self.folder, self.admin, self.http = folder, free(), free()
        self.site = folder / "router.yaml"
        self.site.write_text(SITE.format(pipelines=pipelines, more=more, admin=self.admin, http=self.http))
        self.environment = {**os.environ, "SEGUR_TEST_KEY": "k" * 32, "PYTHONPATH": str(HOME)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "router.cli.main", "run", "--site", str(self.site), *words]

    def refused(self, *words: str, **environment: str) -> str:
        """What it says when it does not start."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**self.environment, **environment},
        )
        assert done.returncode == 2, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    @contextlib.contextmanager
    def running(self, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "log").open("wb") as log:
            started = subprocess.Popen(
                self.command(*words), stdout=log, stderr=log, env={**self.environment, **environment}
            )
        try:
            yield started
        finally:
            started.kill()
            started.wait()

    def page(self, path: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=2) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, {}

    def until(self, path: str, status: int, seconds: float = 60) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found, said = self.page(path)
            if found == status:
                return said
            time.sleep(0.05)
        raise AssertionError(f"{path} never answered {status}: {(self.folder / 'log').read_text()[-2000:]}")
