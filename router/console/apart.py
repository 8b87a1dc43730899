"""Work on what a stranger wrote, in a process of its own: what it breaks, fills or keeps busy is that process.

The program is a module with `main`: it reads the content from its standard input, and writes the answer.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

from router.errors import Malformed, Unavailable

AT_ONCE: Final = 2
"""Such processes at the same time; each may take `MEMORY`."""
WAITING: Final = 8
"""Requests that may wait for their turn: each holds a thread of the console."""
MEMORY: Final = 1 << 30
_TURN: Final = 5.0
"""Seconds that a request waits for its turn."""
_places: Final = threading.BoundedSemaphore(AT_ONCE + WAITING)
_turns: Final = threading.BoundedSemaphore(AT_ONCE)


def answer_of(module: str, content: bytes, *words: str, seconds: int, fault: Malformed) -> bytes:
    """What the module answers. seconds: of processor time, and of the clock.

    Raises `fault` when it breaks or takes too long, `Unavailable` (`CONSOLE-BUSY`) when too many ask at once.
    """
    if not _places.acquire(blocking=False):
        raise _busy()
    try:
        if not _turns.acquire(timeout=_TURN):
            raise _busy()
        try:
            return _run(module, content, words, seconds, fault)
        finally:
            _turns.release()
    finally:
        _places.release()


def _run(module: str, content: bytes, words: tuple[str, ...], seconds: int, fault: Malformed) -> bytes:
    command = [sys.executable, "-m", module, *words]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise fault from error
    if done.returncode or not done.stdout:
        raise fault
    return done.stdout


def work(seconds: int, job: Callable[[bytes], bytes]) -> int:
    """The body of such a module's `main`: bounded in memory and time; a fault is an exit code and no text."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        answer = job(sys.stdin.buffer.read())
    except Exception:  # whatever a library says would quote the content
        return 1
    sys.stdout.buffer.write(answer)
    return 0


def _busy() -> Unavailable:
    return Unavailable("CONSOLE-BUSY", "console", "too many contents are made ready to be shown: try again in a minute")
