"""One process per role and slot: starts them, starts them again, drains them, and says how they are.

A worker is a command line; it drains when it gets SIGTERM. If the supervisor itself dies, whatever the way, the
kernel kills the workers (Linux: PR_SET_PDEATHSIG), so that two generations never work side by side.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from router.contracts import Alert, Observer, Unobserved, no_alert
from router.engine.retry_policy import backoff

DRAIN: Final = 10.0
"""Seconds a worker has to drain after SIGTERM; then it is killed."""
STEADY: Final = 30.0
"""When a worker has run for so many seconds, its earlier falls no longer count."""
FROZEN: Final = 30.0
"""Seconds a worker may stay stopped (SIGSTOP) before it is killed: it keeps its partitions and, if it was stopped in
the middle of a write, the embedded bus."""
EXIT_CONFIG: Final = 78
"""Exit code of a worker whose configuration is wrong (sysexits EX_CONFIG): starting it again at once can't help."""
BEAT: Final = 10.0
"""Seconds between two signs of life in the state file: whoever is killed is known to have lived until about then."""
_PR_SET_PDEATHSIG: Final = 1

Status = Literal["starting", "running", "waiting", "draining", "stopped"]


@dataclass(frozen=True, slots=True)
class Role:
    """Workers of one kind. `argv`: slot number -> command line. `environment` is added to ours.

    `first`: number of the first slot; others are taken by other machines.
    """

    name: str
    argv: Callable[[int], Sequence[str]]
    slots: int = 1
    first: int = 0
    environment: Mapping[str, str] | None = None


@dataclass(slots=True)
class WorkerState:
    """One slot, as `/readyz` and `status` read it. `since`: Unix time of the present status."""

    role: str
    slot: int
    status: Status = "starting"
    pid: int = 0
    since: float = 0.0
    restarts: int = 0
    last_exit: int | None = None

    @property
    def name(self) -> str:
        return f"{self.role}-{self.slot}"


class Supervisor:
    """Runs the roles until SIGTERM, SIGINT or `stop`. `state`: file that always holds the present state as JSON.

    `ended` hears the number of each process that is no more.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        state: Path | None = None,
        observer: Observer | None = None,
        alert: Alert = no_alert,
        ended: Callable[[int], None] = lambda _pid: None,
        drain: float = DRAIN,
        frozen: float = FROZEN,
        first_wait: float = 0.5,
        longest_wait: float = 30.0,
    ) -> None:
        self._roles = roles
        self._state_file = state
        self._observer = observer or Unobserved()
        self._alert = alert
        self._ended = ended
        self._drain = drain
        self._frozen = frozen
        self._waits = (first_wait, longest_wait)
        self._stop: asyncio.Event | None = None
        self._stopping = False
        self._started = 0.0
        self.workers = [
            WorkerState(role.name, slot) for role in roles for slot in range(role.first, role.first + role.slots)
        ]

    def stop(self) -> None:
        """Drain and return from `run`. From the loop's thread."""
        self._stopping = True
        if self._stop is not None:
            self._stop.set()

    async def run(self) -> int:
        """Until told to stop; returns 0, or 1 when a worker had to be killed."""
        self._stop = asyncio.Event()
        if self._stopping:
            self._stop.set()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        roles = {role.name: role for role in self._roles}
        self._started = time.time()
        beating = asyncio.ensure_future(self._beat())
        try:
            clean = await asyncio.gather(
                *(self._slot(roles[worker.role], worker, self._stop) for worker in self.workers)
            )
        finally:
            beating.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        return 0 if all(clean) else 1

    async def _beat(self) -> None:
        """The state file is as young as the supervisor's last sign of life (`LastState.written`)."""
        while self._state_file is not None:
            await asyncio.sleep(BEAT)
            with suppress(OSError):
                os.utime(self._state_file)

    @property
    def ready(self) -> bool:
        """Whether every worker runs."""
        return all(worker.status == "running" for worker in self.workers)

    # ------------------------------------------------------------------------------------------ one slot

    async def _slot(self, role: Role, worker: WorkerState, stop: asyncio.Event) -> bool:
        """Keep one worker running; True when it ended by itself after SIGTERM."""
        falls = 0
        while not stop.is_set():
            process = await self._start(role, worker)
            if process is not None:
                started = time.monotonic()
                watching = asyncio.ensure_future(self._watch(process, worker))
                try:
                    ending = await _either(process.wait(), stop.wait())
                finally:
                    watching.cancel()
                if ending and process.returncode is None:
                    return await self._end(process, worker)
                worker.last_exit = process.returncode
                self._ended(process.pid)
                if time.monotonic() - started >= STEADY:
                    falls = 0
            if stop.is_set():
                break
            falls += 1
            await self._wait(worker, falls, stop)
        self._note(worker, "stopped")
        return True

    async def _start(self, role: Role, worker: WorkerState) -> asyncio.subprocess.Process | None:
        argv = role.argv(worker.slot)
        environment = {**os.environ, **(role.environment or {})}
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, env=environment, preexec_fn=die_with_parent if sys.platform == "linux" else None
            )
        except OSError as error:
            worker.last_exit = 127
            self._alert("worker-does-not-start", {"worker": worker.name, "error": type(error).__name__})
            return None
        worker.pid = process.pid
        self._note(worker, "running")
        return process

    async def _watch(self, process: asyncio.subprocess.Process, worker: WorkerState) -> None:
        """Kill the worker once it has been stopped for too long; one that wakes before goes on."""
        look, stopped = min(1.0, self._frozen / 4), 0.0
        while process.returncode is None:
            await asyncio.sleep(look)
            stopped = stopped + look if _stopped(process.pid) else 0.0
            if stopped >= self._frozen and process.returncode is None:
                self._alert("worker-frozen", {"worker": worker.name})
                process.kill()
                return

    async def _wait(self, worker: WorkerState, falls: int, stop: asyncio.Event) -> None:
        first, longest = self._waits
        attempts = falls + 4 if worker.last_exit == EXIT_CONFIG else falls
        delay = backoff(attempts, first, 2.0, longest, first / 2)
        worker.restarts += 1
        worker.pid = 0
        self._note(worker, "waiting")
        self._observer.count("worker_restarts_total", role=worker.role)
        facts = {"worker": worker.name, "exit": str(worker.last_exit), "next": f"{delay:.1f}"}
        self._alert("worker-ended", facts)
        await _either(asyncio.sleep(delay), stop.wait())

    async def _end(self, process: asyncio.subprocess.Process, worker: WorkerState) -> bool:
        """SIGTERM, time to drain, then SIGKILL."""
        self._note(worker, "draining")
        clean = True
        try:
            process.terminate()
            await asyncio.wait_for(process.wait(), self._drain)
        except ProcessLookupError:
            await process.wait()
        except TimeoutError:
            clean = False
            self._alert("worker-killed", {"worker": worker.name})
            process.kill()
            await process.wait()
        worker.last_exit, worker.pid = process.returncode, 0
        self._note(worker, "stopped")
        return clean

    def _note(self, worker: WorkerState, status: Status) -> None:
        """Change a status, and the file that shows it: whole or not at all."""
        worker.status, worker.since = status, time.time()
        if self._state_file is None:
            return
        text = json.dumps(
            {"pid": os.getpid(), "started": self._started, "workers": [asdict(one) for one in self.workers]}
        )
        try:
            part = self._state_file.with_suffix(".part")
            part.write_text(text)
            part.replace(self._state_file)
        except OSError as error:
            self._alert("state-file", {"error": type(error).__name__})


@dataclass(frozen=True, slots=True)
class LastState:
    """What a supervisor wrote last, whether or not it still runs. Times are Unix seconds.

    started: when it began to start its workers, 0 when that is not known;  written: its last sign of life
    """

    pid: int
    started: float
    written: float
    workers: tuple[WorkerState, ...]

    @property
    def drained(self) -> bool:
        """Whether it stopped all its workers before it ended: nobody killed it."""
        return all(worker.status == "stopped" for worker in self.workers)


def last_state(path: Path) -> LastState | None:
    """What the state file says; None when there is none that can be read."""
    try:
        said = json.loads(path.read_text())
        workers = tuple(WorkerState(**worker) for worker in said["workers"])
        return LastState(int(said["pid"]), float(said.get("started", 0.0)), path.stat().st_mtime, workers)
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _either(first: Awaitable[object], second: Awaitable[object]) -> bool:
    """Wait for one of two; the other is cancelled. True when the second came."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[1].done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stopped(pid: int) -> bool:
    """Whether somebody stopped the process (not: a debugger traces it). Never, where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].startswith(b"T")
    except OSError:
        return False


_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """In the child, before its program starts: SIGKILL when the parent's thread ends, whatever the way.

    The library was loaded before the fork: nothing here may allocate or take a lock.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
