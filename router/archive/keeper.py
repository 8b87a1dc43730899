"""Takes what is kept from those who send, and writes it in a thread of its own, many at once.

The archive never holds up a delivery unless the site says `required`. What is not written when the process dies is
lost as a content only: its digest stands in the receipt.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from router.archive.store import Archive
from router.contracts import Observer
from router.contracts.keeping import Kept
from router.errors import RouterError, Unavailable

log = logging.getLogger(__name__)

MOST_BYTES: Final = 32 * 2**20
"""Bytes that wait to be written; one item alone may be larger. What comes then is not kept, unless it must be."""
_BATCH_BYTES: Final = 8 * 2**20
_GATHER: Final = 0.25
"""Seconds that a batch is gathered, where nobody waits for it."""
_AGAIN: Final = 2.0
_LARGE: Final = 1 << 20
_CLOSING: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Job:
    what: Kept
    digest: str
    done: Future[None] | None


class ArchiveKeeper:
    """`contracts.keeping.Keeper`. Any thread, any event loop."""

    def __init__(self, archive: Archive, observer: Observer, *, required: bool) -> None:
        self._archive, self._observer, self._required = archive, observer, required
        self._jobs: deque[_Job] = deque()
        self._bytes = 0
        self._handed = self._ended = self._hurried = 0
        """Jobs that were taken; those of them that are written or given up, in their order; who waits for them."""
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._thread.start()

    async def keep(self, what: Kept) -> str:
        """See the contract."""
        digest = what.digest() if what.size < _LARGE else await asyncio.to_thread(what.digest)
        if (done := self._take(what, digest)) is not None:
            await asyncio.wrap_future(done)
        return digest

    def keep_now(self, what: Kept) -> str:
        """See the contract."""
        digest = what.digest()
        if (done := self._take(what, digest)) is not None:
            done.result()
        return digest

    def settled(self, seconds: float) -> bool:
        """See the contract."""
        with self._changed:
            mark = self._handed
            self._hurried += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._ended >= mark, seconds)
            finally:
                self._hurried -= 1

    def close(self) -> None:
        """Write what waits, for some seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSING)

    def _take(self, what: Kept, digest: str) -> Future[None] | None:
        """What to wait for; None where nobody waits."""
        done: Future[None] | None = Future() if self._required else None
        with self._changed:
            room = not self._bytes or self._bytes + what.size <= MOST_BYTES
            if room and not self._closing:
                self._jobs.append(_Job(what, digest, done))
                self._bytes += what.size
                self._handed += 1
                self._changed.notify_all()
                return done
        if done is None:
            self._observer.count("archive_lost_total", kind=str(what.kind))
        else:
            done.set_exception(_away("too much waits to be kept"))
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    self._changed.wait()
                if not self._jobs:
                    return
                if not self._required and not self._closing:
                    self._changed.wait_for(self._gathered, _GATHER)
                jobs = self._drawn()
            self._write(jobs)

    def _gathered(self) -> bool:
        return self._closing or self._hurried > 0 or self._bytes >= _BATCH_BYTES

    def _drawn(self) -> list[_Job]:
        jobs: list[_Job] = []
        size = 0
        while self._jobs and (not jobs or size < _BATCH_BYTES):
            jobs.append(self._jobs.popleft())
            size += jobs[-1].what.size
        return jobs

    def _write(self, jobs: list[_Job]) -> None:
        """Those that nobody waits for are tried again for as long as the others have room."""
        size = sum(job.what.size for job in jobs)
        fault = self._tried(jobs)
        if fault is not None and not self._required:
            log.warning("the archive waits: %s", fault.code)
            with self._changed:
                if not self._closing:
                    self._jobs.extendleft(reversed(jobs))
                    self._changed.wait_for(lambda: self._closing, _AGAIN)
                    return
            for job in jobs:
                self._observer.count("archive_lost_total", kind=str(job.what.kind))
        for job in jobs:
            if job.done is not None and job.done.set_running_or_notify_cancel():
                if fault is None:
                    job.done.set_result(None)
                else:
                    job.done.set_exception(fault)
        with self._changed:
            self._bytes -= size
            self._ended += len(jobs)
            self._changed.notify_all()

    def _tried(self, jobs: list[_Job]) -> Unavailable | None:
        try:
            self._archive.write([(job.what, job.digest) for job in jobs])
        except RouterError as error:
            return _away(error.text, error.code)
        except OSError as error:
            return _away(error.strerror or type(error).__name__)
        except Exception as error:  # a thread that ended would keep nothing more, and say nothing
            log.exception("the archive failed", extra={"alert": "archive"})
            return _away(type(error).__name__, f"BUG-{type(error).__name__}")
        return None


def _away(text: str, code: str = "ARCHIVE-WRITE") -> Unavailable:
    return Unavailable(code, "archive", text, circuit=False)
