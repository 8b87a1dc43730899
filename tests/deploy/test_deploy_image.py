"""The image is made by the steps of its Containerfile, and runs as in Kubernetes: process 1, not root, read-only."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.simulators.sender.mllp import MllpSender
from tests.deploy import image as images
from tests.deploy.chart import ROOT
from tests.deploy.read_only import hook
from tests.deploy.test_deploy_containerfile import pinned

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

SITE = """
environment: qualification
data: /mnt/state/data
pipelines: pipelines
admin: {{host: 127.0.0.1, port: {admin}}}
feeds:
  labo-relais: {{kind: relay, mllp: {{port: {mllp}}}}}
sinks:
  hl7.dpi: {{type: hl7, host: 127.0.0.1, port: 9}}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image, made once."""
    folder = tmp_path_factory.mktemp("image")
    folder.parent.chmod(0o755)
    yield images.build(folder)
    subprocess.run(["rm", "-rf", str(folder)], check=False)  # many thousand files: quicker than Python is


def test_the_image_holds_its_libraries_and_says_so(image: Path) -> None:
    """The bill of materials in the image names what is installed, with the versions of the lock; pip is not there."""
    inside = image / "image" / "upper" / "opt" / "segur-router"
    bill = json.loads((inside / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    told = {one["name"].lower().replace("_", "-").replace(".", "-"): one["version"] for one in bill["components"]}
    lock = pinned(ROOT / "deploy" / "image" / "requirements.lock")
    assert {name: told.get(name) for name in lock} == lock
    assert "segur-router" in told
    assert not list(inside.glob("lib/python*/site-packages/pip"))
    assert not list(inside.glob("bin/pip*"))


def test_the_image_belongs_to_root(image: Path) -> None:
    """The account of the router can't write its own program: only its data folder is its own."""
    upper = image / "image" / "upper"
    for path in (upper / "opt" / "segur-router").rglob("*"):
        assert path.lstat().st_uid == 0
    data = (upper / "var" / "lib" / "segur-router").stat()
    assert (data.st_uid, data.st_mode & 0o777) == (10001, 0o700)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("early", [False, True], ids=["when-ready", "while-starting"])
def test_the_program_is_process_one_and_stops_on_sigterm(image: Path, tmp_path: Path, early: bool) -> None:
    """Without tini, not root, on a read-only root: it becomes ready, drains on SIGTERM and ends with 0, at any moment.

    The kernel gives process 1 no default action: a signal that it has no handler for is lost. None of its processes
    asks to write anywhere but in the data folder and in /tmp.
    """
    state, site = tmp_path / "state", tmp_path / "site"
    (site / "pipelines" / "samples").mkdir(parents=True)
    state.mkdir()
    os.chown(state, 10001, 10001)
    shutil.copy(ROOT / "pipelines" / "relais-dpi.yaml", site / "pipelines")
    shutil.copy(ROOT / "pipelines" / "samples" / "adt-admission.hl7", site / "pipelines" / "samples")
    admin, mllp = _free(), _free()
    (site / "router.yaml").write_text(SITE.format(admin=admin, mllp=mllp))
    (site / "hook").mkdir()
    (site / "hook" / "sitecustomize.py").write_text(hook("/mnt/state", "/tmp"))
    log = tmp_path / "log"
    started = images.start(image, ["run"], state, site, log, PYTHONPATH="/mnt/site/hook")
    try:
        page = "livez" if early else "readyz"
        assert _answers(f"http://127.0.0.1:{admin}/{page}", 60, started), log.read_text()
        if not early:
            assert _accepted(mllp) == "AA"
        os.kill(images.process_one(started), signal.SIGTERM)
        began = time.monotonic()
        assert started.wait(20) == 0, log.read_text()
        assert time.monotonic() - began < 15
    finally:
        started.kill()
    notes = state / "notes"
    assert not notes.exists(), notes.read_text()
    assert {path.name for path in state.iterdir()} == {"data"}


def _accepted(port: int) -> str:
    """What a message is answered: it is decided and tried then, too."""

    async def send() -> str:
        async with MllpSender("127.0.0.1", port) as sender:
            message = (ROOT / "pipelines" / "samples" / "adt-admission.hl7").read_bytes()
            return (await sender.send(message)).code

    return asyncio.run(send())


def _answers(url: str, seconds: float, started: object) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and started.poll() is None:  # type: ignore[attr-defined]
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.05)
    return False
