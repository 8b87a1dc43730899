"""The supervisor with real processes: restarts, drains, never leaves orphans."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from router.runtime.supervisor.workers import Role, Supervisor, WorkerState, last_state

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, sys, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path({path!r}).touch(); time.sleep(60)"
)


def python(code: str) -> Callable[[int], list[str]]:
    return lambda slot: [sys.executable, "-c", code, str(slot)]


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def until(truth: Callable[[], bool], seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not truth():  # noqa: ASYNC110 - the truth is in another process
            await asyncio.sleep(0.02)


async def supervised(supervisor: Supervisor, story: Callable[[], object]) -> int:
    task = asyncio.create_task(supervisor.run())
    try:
        await story()  # type: ignore[misc]
    finally:
        supervisor.stop()
        code = await asyncio.wait_for(task, 15)
    return code


def _workers(state: Path) -> tuple[WorkerState, ...]:
    """What the supervisor says of them; none before it has said anything."""
    said = last_state(state)
    return said.workers if said is not None else ()


def test_a_killed_worker_is_started_again(tmp_path: Path) -> None:
    """A worker that dies comes back with a new process; the other slot is not touched; the file says so."""
    state = tmp_path / "state.json"
    supervisor = Supervisor([Role("sinks", python(SLEEPER), slots=2)], state=state, first_wait=0.05)

    async def story() -> None:
        await until(lambda: supervisor.ready)
        first, second = (w.pid for w in _workers(state))
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.workers[0].restarts == 1 and supervisor.ready)
        now = _workers(state)
        assert now[0].pid not in (0, first)
        assert now[1].pid == second
        assert (now[0].last_exit, now[0].name) == (-signal.SIGKILL, "sinks-0")

    assert asyncio.run(supervised(supervisor, story)) == 0
    assert {w.status for w in supervisor.workers} == {"stopped"}


def test_a_worker_that_stays_stopped_is_killed_and_started_again() -> None:
    """A process that somebody stopped holds partitions and files: after a while it ends, one that wakes does not."""
    alerts: list[str] = []
    supervisor = Supervisor(
        [Role("sinks", python(SLEEPER), slots=2)],
        first_wait=0.05,
        frozen=2.0,
        alert=lambda what, facts: alerts.append(f"{what} {facts['worker']}"),
    )

    async def story() -> None:
        await until(lambda: supervisor.ready)
        first, second = (worker.pid for worker in supervisor.workers)
        os.kill(second, signal.SIGSTOP)
        await asyncio.sleep(0.3)
        os.kill(second, signal.SIGCONT)
        os.kill(first, signal.SIGSTOP)
        await until(lambda: supervisor.workers[0].restarts == 1 and supervisor.ready, 30)
        assert supervisor.workers[0].last_exit == -signal.SIGKILL
        assert supervisor.workers[1].pid == second

    assert asyncio.run(supervised(supervisor, story)) == 0
    assert alerts == ["worker-frozen sinks-0", "worker-ended sinks-0"]


def test_restarts_back_off() -> None:
    """A worker that falls at once is started less and less often."""
    waits: list[tuple[str, float]] = []
    supervisor = Supervisor(
        [Role("gateway", python("raise SystemExit(3)"))],
        first_wait=0.05,
        longest_wait=10,
        alert=lambda _, facts: waits.append((facts["exit"], float(facts["next"]))),
    )

    async def story() -> None:
        await until(lambda: len(waits) >= 5)

    asyncio.run(supervised(supervisor, story))
    assert {code for code, _ in waits[:5]} == {"3"}
    assert waits[4][1] >= 0.8 > waits[0][1]


def test_a_command_that_does_not_exist_is_tried_again_later() -> None:
    """A missing program is an alert, not the end of the other workers."""
    alerts: list[str] = []
    roles = [Role("a", lambda _: ["/does/not/exist"]), Role("b", python(SLEEPER))]
    supervisor = Supervisor(roles, first_wait=0.05, alert=lambda what, _: alerts.append(what))

    async def story() -> None:
        await until(lambda: supervisor.workers[0].restarts >= 2)
        assert supervisor.workers[1].status == "running"
        assert not supervisor.ready

    asyncio.run(supervised(supervisor, story))
    assert "worker-does-not-start" in alerts


def test_a_worker_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    """SIGTERM, then SIGKILL after the time to drain; the exit code says that it was not clean."""
    deaf = tmp_path / "deaf"
    supervisor = Supervisor([Role("sinks", python(STUBBORN.format(path=str(deaf))))], drain=0.3)

    async def story() -> None:
        await until(deaf.exists)

    assert asyncio.run(supervised(supervisor, story)) == 1
    assert supervisor.workers[0].last_exit == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_workers_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor takes its workers down; the state file no longer counts."""
    state = tmp_path / "state.json"
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from router.runtime.supervisor.workers import Role, Supervisor\n"
        f"argv = lambda slot: [sys.executable, '-c', {SLEEPER!r}]\n"
        f"asyncio.run(Supervisor([Role('sinks', argv, slots=2)], state=Path({str(state)!r})).run())"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2]) as process:
        end = time.monotonic() + 10
        while len([w for w in _workers(state) if w.status == "running"]) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        pids = [w.pid for w in _workers(state)]
        assert all(map(alive, pids))
        process.kill()
        process.wait()
    while any(map(alive, pids)):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_sigterm_drains(tmp_path: Path) -> None:
    """SIGTERM of the supervisor ends its workers and itself with code 0."""
    state = tmp_path / "state.json"
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from router.runtime.supervisor.workers import Role, Supervisor\n"
        f"argv = lambda slot: [sys.executable, '-c', {SLEEPER!r}]\n"
        f"sys.exit(asyncio.run(Supervisor([Role('sinks', argv)], state=Path({str(state)!r})).run()))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2]) as process:
        end = time.monotonic() + 10
        while not [w for w in _workers(state) if w.status == "running"]:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.terminate()
        assert process.wait(10) == 0
