"""Drill C: another machine gets the router back from a backup and from `docs/backup.md` alone, by its commands."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from router.starter.pipeline_files import SAMPLES
from tests.runtime.own_process import SECRET, Router
from tests.runtime.test_runtime_drills import Drill, drill

__all__ = ["drill"]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "backup.md"


def commands(section: str, places: dict[str, str]) -> list[list[str]]:
    """The commands of a section of the page, one a line of its `sh` blocks, with the places of this test."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    for written, ours in places.items():
        lines = [line.replace(written, ours) for line in lines]
    return [shlex.split(line, comments=True) for line in lines]


def typed(router: Router, words: list[str]) -> str:
    """What a command of the page prints. It must end well."""
    assert words[0] == "segur-router"
    done = subprocess.run(
        [sys.executable, "-m", "router.cli.main", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        env={**router.environment, "COLUMNS": "200"},
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def send(router: Router, number: int) -> int:
    """One message by HTTP; the status of its answer."""
    body = (SAMPLES / "adt-admission.hl7").read_bytes()
    fields = body.split(b"\r")[0].split(b"|")
    connection = http.client.HTTPConnection("127.0.0.1", router.http, timeout=10)
    named = body.replace(fields[9], b"DRILL%d" % number, 1)
    connection.request("POST", "/feeds/labo-relais", named, {"Content-Type": "application/hl7-v2"})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_drill_c_another_machine(tmp_path: Path, drill: Drill) -> None:
    """A machine is lost. From the backup and the page another one runs: what waited is held, new messages go on."""
    first = tmp_path / "first"
    first.mkdir()
    router = Router(first, SECRET)
    backups = tmp_path / "backups"
    places = {"/srv/backups": str(backups), "/etc/segur-router/router.yaml": str(router.site)}
    with router.running():
        router.until("/readyz", 200)
        assert [send(router, number) for number in range(3)] == [200] * 3
        (make,) = commands("Make a backup", places)
        said = typed(router, make)
        assert "read again: whole" in said
    last = json.loads((first / "var" / "backup.json").read_bytes())
    assert time.time() - last["finished"] < 120
    manifest = json.loads((Path(last["folder"]) / "manifest.json").read_bytes())
    assert manifest["running"] and manifest["files"]["bus.db"]["rows"]["records"] >= 3
    shutil.rmtree(first)  # the disk is gone

    begun = time.monotonic()
    other = tmp_path / "second" / "router.yaml"
    restore, check, run, look = commands("Another machine", {**places, "/etc/segur-router/router.yaml": str(other)})
    assert "site file" not in typed(router, restore)
    assert "✓" in typed(router, check)
    router.site, router.folder = other, tmp_path / "second"
    assert run[1:] == ["run", "--site", str(other)]
    with router.running():
        router.until("/readyz", 200)
        seconds = time.monotonic() - begun
        assert send(router, 9) == 200
        held = typed(router, [*look, "--json"])
        (group,) = json.loads(held)
        assert group["count"] == 3 and group["code"] == "UNKNOWN-HELD"
    found = json.loads((tmp_path / "second" / "var" / "restored.json").read_bytes())
    assert sum(found["held"].values()) + sum(found["undecided"].values()) >= 3
    drill.report(to_ready=round(seconds, 1), held=group["count"], restored=found)
