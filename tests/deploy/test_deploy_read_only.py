"""On a read-only root, without a home: commands write in the data folder and in TMPDIR alone.

The router itself is watched in the same way by tests/deploy/test_deploy_image.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import read_only
from tests.deploy.chart import ROOT

pytestmark = pytest.mark.skipif(
    bool(read_only.permitted()), reason=f"mounts of one's own are not permitted here: {read_only.permitted()}"
)
HIDDEN = """
import contextlib, pathlib, sys, tempfile
for place in sys.argv[1:]:
    with contextlib.suppress(OSError):
        pathlib.Path(place).mkdir()
with tempfile.TemporaryFile():
    pass
"""
COMMANDS = Path(__file__).with_name("every_command.py")


@pytest.mark.timeout(400)
def test_every_command_works_on_a_read_only_root(tmp_path: Path) -> None:
    """Commands end as they do elsewhere, and a document without PDF gets one; nothing else was to be written."""
    done = subprocess.run(
        read_only.command(tmp_path, [sys.executable, str(COMMANDS), str(tmp_path / "site")]),
        env=read_only.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    ended = said["commands"].items()
    assert {name: one for name, one in ended if one["code"] == 4 or "ead-only" in one["said"]} == {}
    assert said["pdf"].startswith("PDF/A")
    assert read_only.noted(tmp_path) == []


def test_what_is_written_elsewhere_is_noted(tmp_path: Path) -> None:
    """The check itself: a cache in the home, a file in /tmp and one in the checkout, all in a `try`, are found."""
    places = ["/nonexistent/.cache", "/tmp/cache", str(ROOT / "cache")]
    done = subprocess.run(
        read_only.command(tmp_path, [sys.executable, "-c", HIDDEN, *places]),
        env=read_only.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_only.noted(tmp_path) == [f"os.mkdir {place}" for place in sorted(places)]
