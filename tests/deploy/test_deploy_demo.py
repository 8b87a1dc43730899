"""values-demo.yaml, run: its simulators, started as its sidecars are, and the router with its site file deliver."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import kubelet
from tests.deploy.chart import ROOT, Manifest, of_kind

PORTS = (2575, 8080, 9464, 9443, 9587, 9143, 2675)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Pod:
    """The one pod of the demo as processes of this machine: its paths and its fixed ports are put elsewhere."""

    def __init__(self, folder: Path) -> None:
        (workload,) = of_kind("demo", "StatefulSet")
        self.spec: Manifest = workload["spec"]["template"]["spec"]
        self.folder = folder
        self.changed = {str(port): str(_free()) for port in PORTS}
        self.changed |= {"/var/lib/segur-router": str(folder / "state"), "/etc/segur-router": str(folder / "etc")}
        maps = {one["metadata"]["name"]: one for one in of_kind("demo", "ConfigMap")}
        for volume in self.spec["volumes"]:
            if volume["name"] in ("site", "pipelines"):
                files = kubelet.contents(volume, maps)
                if volume["name"] == "site":
                    files = {name: self.here(data.decode()).encode() for name, data in files.items()}
                kubelet.write(folder / "etc" / volume["name"], files)
        (folder / "state").mkdir()
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        for one in self.spec["containers"][0]["env"]:
            self.environment[one["name"]] = self.here(one["value"])

    def here(self, text: str) -> str:
        for old, new in self.changed.items():
            text = text.replace(old, new)
        return text

    def command(self, words: list[str]) -> list[str]:
        return [sys.executable, "-m", "router.cli.main", *map(self.here, words)]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Sidecars one after the other, each until its probe passes; then the router, until it is ready."""
        with contextlib.ExitStack() as stack:
            for sidecar in self.spec["initContainers"]:
                words = sidecar["args"] + (["--imap", "9143"] if "mssante" in sidecar["args"] else [])
                words += {"dmp": ["--port", "9443"], "mssante": ["--smtp", "9587"]}.get(sidecar["args"][1], [])
                stack.enter_context(self._process(words))
                probe = sidecar["startupProbe"]["exec"]["command"]
                _until(lambda probe=probe: self._passes(probe), 60)  # type: ignore[misc]
            stack.enter_context(self._process(self.spec["containers"][0]["args"]))
            ready = self.command(["wait-for", "ready", "127.0.0.1:9464", "--timeout", "120"])
            done = subprocess.run(ready, env=self.environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (self.folder / "log").read_text()[-3000:]
            yield

    @contextlib.contextmanager
    def _process(self, words: list[str]) -> Iterator[None]:
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen(self.command(words), env=self.environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            started.terminate()
            started.wait(30)

    def _passes(self, probe: list[str]) -> bool:
        command = [sys.executable, *map(self.here, probe[1:])]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def say(self, *words: str) -> Any:
        done = subprocess.run(
            self.command(list(words)), env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(truth: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_the_demo_delivers(tmp_path: Path) -> None:
    """A document for the DMP and one for a doctor are acknowledged, and delivered to the simulators."""
    pod = Pod(tmp_path)
    with pod.running():
        for name in ("dmp-seul", "mss-seul"):
            sample = ROOT / "pipelines" / "samples" / f"{name}.hl7"
            code, said = pod.say("send", "--to", "127.0.0.1:2575", str(sample))
            assert code == 0, said
            control = sample.read_bytes().split(b"|")[9].decode()
            _until(lambda control=control: _delivered(pod, control), 60)  # type: ignore[misc]


def _delivered(pod: Pod, control: str) -> bool:
    code, said = pod.say("explain", control, "--json")
    if code:
        return False
    text = json.dumps(json.loads(said))
    assert '"dead' not in text, text
    return '"delivered"' in text or '"done"' in text
