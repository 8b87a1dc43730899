"""Found by Python when this folder is on PYTHONPATH: a worker of the router counts how long it holds turns to write.

It writes `<TURNS_OUT>/<role>-<slot>.json` twice a second: name of the lock file -> [how often, seconds held, seconds of
processor while it was held, seconds waited for].
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

WORKER = "router.runtime.process"
EVERY = 0.5


def watch(folder: Path) -> None:
    """Count the turns of this process from now on."""
    from router.locks import TurnLock

    book: dict[str, list[float]] = {}
    began: dict[int, tuple[float, float]] = {}
    names: dict[int, str] = {}
    make, take, release = TurnLock.__init__, TurnLock.take, TurnLock.release

    def made(self: TurnLock, path: Path) -> None:
        names[id(self)] = path.name
        make(self, path)

    def taken(self: TurnLock, timeout: float) -> bool:
        asked = time.perf_counter()
        if not take(self, timeout):
            return False
        now = time.perf_counter()
        book.setdefault(names[id(self)], [0, 0.0, 0.0, 0.0])[3] += now - asked
        began[id(self)] = now, time.thread_time()
        return True

    def released(self: TurnLock) -> None:
        wall, processor = began.pop(id(self))
        line = book[names[id(self)]]
        line[0] += 1
        line[1] += time.perf_counter() - wall
        line[2] += time.thread_time() - processor
        release(self)

    patched: Any = TurnLock
    patched.__init__, patched.take, patched.release = made, taken, released
    threading.Thread(target=_tell, args=(book, folder), daemon=True).start()


def _tell(book: dict[str, list[float]], folder: Path) -> None:
    role, slot = sys.orig_argv[-2:]
    while True:
        time.sleep(EVERY)
        part = folder / f".{role}-{slot}"
        part.write_text(json.dumps(book))
        part.replace(folder / f"{role}-{slot}.json")


if WORKER in sys.orig_argv and "TURNS_OUT" in os.environ:
    watch(Path(os.environ["TURNS_OUT"]))
