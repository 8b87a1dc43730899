"""One router a data folder (decisions D12)."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from router.demo.stage import stage
from router.errors import OperatorFault
from router.runtime.tenure import FILE, Tenure, runs
from tests.cli.cli import typed

HOLD = """
import os, sys, time
from pathlib import Path
from router.runtime.tenure import Tenure
held = Tenure(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    time.sleep(60)
print("held", child, flush=True)
time.sleep(60)
"""


def test_a_folder_in_use_is_refused_with_its_holder(tmp_path: Path) -> None:
    """The sentence names the process; after kill -9 the next one runs, though a child of the dead one lives on."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    word, child = other.stdout.readline().split()
    assert word == "held"
    try:
        with pytest.raises(OperatorFault, match=f"SITE-IN-USE.*process {other.pid} on "):
            Tenure(tmp_path)
        other.kill()
        other.wait()
        mine = Tenure(tmp_path)
        assert f"process {os.getpid()} on " in (tmp_path / FILE).read_text()
        mine.end()
    finally:
        other.kill()
        os.kill(int(child), signal.SIGKILL)
        other.stdout.close()


@pytest.mark.parametrize("away", ["deleted", "moved"])
def test_a_lock_file_that_is_gone_lets_nobody_in(tmp_path: Path, away: str) -> None:
    """Deleted or moved away under the router: a second one is refused all the same, and makes no new file."""
    mine = Tenure(tmp_path)
    if away == "deleted":
        (tmp_path / FILE).unlink()
    else:
        (tmp_path / FILE).rename(tmp_path / "old.lock")
    with pytest.raises(OperatorFault, match="SITE-IN-USE"):
        Tenure(tmp_path)
    assert not (tmp_path / FILE).exists()
    mine.end()
    Tenure(tmp_path).end()


def test_where_folders_have_no_locks_the_file_alone_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that refuses a lock on a folder (NFS): the router runs, and a second one is refused."""
    real = fcntl.flock

    def as_nfs(number: int, how: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(number, how)

    monkeypatch.setattr(fcntl, "flock", as_nfs)
    mine = Tenure(tmp_path)
    with pytest.raises(OperatorFault, match=f"SITE-IN-USE.*process {os.getpid()} on "):
        Tenure(tmp_path)
    mine.end()


def test_whether_a_router_runs_is_asked_without_disturbing_it(tmp_path: Path) -> None:
    """By the lock on the file, or on the folder when somebody deleted the file; nothing is made by asking."""
    data = tmp_path / "var"
    assert not runs(data) and not data.exists()
    mine = Tenure(data)
    assert runs(data)
    (data / FILE).unlink()
    assert runs(data)
    mine.end()
    assert not runs(data)


def test_two_folders_are_two_routers(tmp_path: Path) -> None:
    """Roles of one installation on several machines have a folder each."""
    one, other = Tenure(tmp_path / "a"), Tenure(tmp_path / "b")
    one.end()
    other.end()
    Tenure(tmp_path / "a").end()


async def _second(folder: Path) -> None:
    async with stage(folder, seed=71, console=False) as played:
        await played.start()
        assert played.router is not None
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "router.cli.main", "run", "--site", str(played.site), "--only", "sinks",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await second.communicate()
        assert second.returncode not in (0, None)
        assert f"process {played.router.pid} on" in said.decode().replace("\n", " "), said.decode()
        assert b"Traceback" not in said

        report = played.maker.document("biology", played.patient())
        (sent,) = await played.send(played.maker.message(report))
        assert sent.code == "AA"
        assert await played.until(lambda: played.dmp_status(report.uid) == "Approved")
        assert "fenced" not in played.log.read_text()
        assert (await typed(played.site, "check")).code == 0
        assert (await typed(played.site, "dlq", "ls")).code == 0

        await played.kill()
        Tenure(played.folder / "var").end()  # kill -9 of all its processes leaves no lock behind


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_second_router_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    """It says who runs; reading commands work meanwhile; after kill -9 of the first its folder is free."""
    asyncio.run(_second(tmp_path / "stage"))
