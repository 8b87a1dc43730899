"""The demo is killed without a word: nothing of it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is told by Linux alone"),
]
PATIENCE = 60.0
_STAGE = """
import asyncio, sys
from pathlib import Path
from router.demo.stage import stage

async def main():
    async with stage(Path(sys.argv[1]), seed=9) as played:
        await played.start()
        print(played.router.pid, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def _runs(pid: int) -> bool:
    """Whether a process is there and does something: one that nobody has buried yet does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_demo_leaves_no_router_behind(tmp_path: Path) -> None:
    """SIGKILL to the demo: its router and every worker of it end too."""
    demo = subprocess.Popen([sys.executable, "-c", _STAGE, str(tmp_path / "stage")], stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        router = int(demo.stdout.readline())
        pids = [router, *_children(router)]
        assert len(pids) >= 6
        assert all(map(_runs, pids))
    finally:
        demo.send_signal(signal.SIGKILL)
        demo.communicate()
    deadline = time.monotonic() + PATIENCE
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [pid for pid in pids if _runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
