"""Processes of tests.engine.crash: one child to its end, or a kill at each durable write, several of them at once."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final
from unittest.mock import patch

Killed = Callable[[Path, int], bool]
"""Kills at this half-step in this folder, starts again, looks; False when the work ended before."""
AT_ONCE: Final = 4
"""Kills that may be tried at the same time, each in a folder of its own: where a walk waits more than it computes."""
MOST: Final = 200
_ROOT: Final = Path(__file__).resolve().parents[2]
_FORKED: Final = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["tests.engine.crash"])


@functools.cache
def _server() -> None:
    """The process that all are forked from imports the router once, for all of them.

    It must find the tests for that: where it does not, it says nothing, and each child imports everything anew.
    """
    with patch.dict(os.environ, PYTHONPATH=str(_ROOT)):  # never while threads run
        forkserver.ensure_running()


def started(target: Callable[..., None], *arguments: object, **named: object) -> BaseProcess:
    """A process of its own that has begun with this work."""
    _server()
    process = _FORKED.Process(target=target, args=arguments, kwargs=named)
    process.start()
    return process


def child(target: Callable[..., None], *arguments: object, **named: object) -> int:
    """Run in a process of its own; its exit code."""
    process = started(target, *arguments, **named)
    process.join(60)
    assert process.exitcode is not None, "the worker hangs"
    return process.exitcode


def killed_at(steps: Sequence[int], folder: Path, killed: Killed, at_once: int = 1) -> list[bool]:
    """What `killed` says of each of these half-steps."""
    _server()
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda step: killed(folder / str(step), step), steps))


def killed_at_each(folder: Path, killed: Killed, at_once: int = 1) -> int:
    """Kill at half-step 0, 1, 2… in `folder/<step>`, until one is not reached any more; how many were."""
    for first in range(0, MOST, at_once):
        came = killed_at(range(first, first + at_once), folder, killed, at_once)
        if not all(came):
            return first + came.index(False)
    raise AssertionError(f"the work has not ended after {MOST} half-steps")
