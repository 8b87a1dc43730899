"""A thread that does one client's blocking calls, so that they can be given up, and their callbacks handled.

kafka-python runs rebalance listeners on its own event loop, and some of its calls never end. A call made through
this thread ends after its time-out. Meanwhile the caller's own thread runs what the listener asks for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

KERNEL_NAME: Final = "kafka-client"
"""The name of the threads that do the clients' work. With it `top -H` and the benchmarks tell them from ours."""


class Late(TimeoutError):
    """The job takes longer than we wait; it goes on."""


class ClientThread:
    """One worker thread. `call` is used by one thread at a time."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[object, Callable[[], Any]] | None] = SimpleQueue()
        self._events: SimpleQueue[tuple[object, Any, BaseException | None]] = SimpleQueue()
        self._asked = object()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(self, job: Callable[[], Any], timeout: float) -> Any:
        """Its result, or its exception. Raises `Late` when it takes longer: throw the hand away then."""
        return self.result(self.begin(job), timeout)

    def begin(self, job: Callable[[], Any]) -> object:
        """Have a job done; returns what to ask its result by."""
        token = object()
        self._jobs.put((token, job))
        return token

    def result(self, token: object, timeout: float) -> Any:
        """As of `call`. Who was `Late` may ask for the same job again; the result of any other one is dropped."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                kind, value, error = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise Late from None
            if kind is self._asked:
                value()
                deadline = max(deadline, time.monotonic() + 1)
            elif kind is token:
                if error is not None:
                    raise error
                return value

    def ask(self, question: Callable[[], None]) -> None:
        """From any thread: have this done by who is in `call`, or by the next one."""
        self._events.put((self._asked, question, None))

    def drop(self) -> None:
        """Let the thread end when its present job ends, if it ever does."""
        self._jobs.put(None)

    def _work(self) -> None:
        label(threading.current_thread())
        while (job := self._jobs.get()) is not None:
            token, work = job
            try:
                self._events.put((token, work(), None))
            except BaseException as error:
                self._events.put((token, None, error))


def label(*threads: threading.Thread) -> None:
    """Name threads for the kernel too (Linux; elsewhere nothing happens)."""
    for thread in threads:
        with suppress(OSError):
            Path(f"/proc/self/task/{thread.native_id}/comm").write_text(KERNEL_NAME)
