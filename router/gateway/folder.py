"""The watched folder: complete files are taken, answered in `<name>.ack`, and moved to `done` or `refused`.

`*.hl7` and `*.er7` hold one message or several; `*.xml` is a raw CDA, whose request stands in `<name>.headers`
beside it (lines `name: value`). A file is moved only after its answer is written, and it is answered only once
durable: a crash in between means that it is read again, recognised, and answered as before.

An entry that can't be taken (a link, a pipe, a file that we may not read…) stays where it is, is told once, and stops
no other. Its name is not told, names hold patients: its inode is (`find -inum`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final

from router.errors import Bug, OperatorFault
from router.gateway import files
from router.gateway.aside import Aside
from router.gateway.files import Look, Unfit
from router.gateway.folder_files import DONE, REFUSED, FileRead, FolderFiles
from router.gateway.intake import Intake
from router.gateway.received import Answer, Feed, Received, ValidatedMessage
from router.gateway.settings import FolderConfig

log = logging.getLogger(__name__)

_TOLD: Final = 20
"""Entries that stay, of which one look tells each by itself: who lays 100,000 links does not write our log."""
_AGAIN: Final = 60.0
"""Seconds after which a file whose answer or move failed is tried again."""


@dataclass
class _Round:
    """What one look at the folder found and did.

    left:    entries that can't be taken: code and inode, by name
    taken:   how many files were answered for good
    again:   the bus is away: this file and the others must be tried again later
    trouble: the folder itself can't be used
    """

    left: dict[str, tuple[str, int]] = field(default_factory=dict)
    taken: int = 0
    again: bool = False
    trouble: OSError | None = None


class WatchedFolder:
    """One folder, one feed. Files are taken one at a time, in the order of their names.

    The next file is read once the one before is durable, or refused: what is refused has no order to keep.
    """

    def __init__(self, config: FolderConfig, feed: Feed, intake: Intake) -> None:
        self._config, self._feed, self._intake = config, feed, intake
        self._files = FolderFiles(config)
        self._seen: dict[str, tuple[Look, float]] = {}
        self._left: dict[str, tuple[str, int]] = {}
        """Entries that can't be taken: code and inode."""
        self._later: dict[str, float] = {}
        self._aside = Aside()
        self._stop = asyncio.Event()
        self._trouble = 0
        """The error of the last look, told once."""
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin watching. Raises `OperatorFault` (`FOLDER`) when the folder can't be written."""
        await asyncio.to_thread(self._prepare)
        self._watching = asyncio.create_task(self._watch())

    async def tick(self) -> None:
        """Nothing to do from outside; but a watch that broke must be known."""
        if self._watching is not None and self._watching.done():
            self._watching.result()

    async def close(self, timeout: float) -> None:
        """Finish the file in hand, then stop."""
        self._stop.set()
        if self._watching is not None:
            done, _ = await asyncio.wait([self._watching], timeout=timeout)
            if not done:
                self._watching.cancel()

    async def look(self) -> int:
        """Take every file that is complete now; returns how many were answered for good. Raises `OSError`."""
        found = _Round()
        try:
            for name in await asyncio.to_thread(self._complete, found.left):
                if self._stop.is_set() or found.again or found.trouble is not None:
                    break
                await self._noted(name, self._take(name, found), found)
            await self._aside.finish()
        finally:
            self._aside.cancel()
        if found.trouble is not None:
            raise found.trouble
        self._tell(found.left)
        return found.taken

    # -------------------------------------------------------------------------------------------- inside

    async def _watch(self) -> None:
        while not self._stop.is_set():
            began = self._intake.clock.monotonic()
            try:
                await self.look()
                self._trouble = 0
            except OSError as error:
                # A full disk or a share that is away: the files stay, their senders wait, the other ways in go on.
                if error.errno != self._trouble:
                    log.warning("folder can't be used", extra={"code": "FOLDER", "reason": type(error).__name__})
                self._trouble = error.errno or -1
            try:
                # A folder of very many entries takes long to look at: half of the time is for others.
                took = self._intake.clock.monotonic() - began
                await asyncio.wait_for(self._stop.wait(), max(self._config.interval, min(took, _AGAIN)))
            except TimeoutError:
                continue

    def _prepare(self) -> None:
        try:
            self._files.prepare()
        except OSError as error:
            raise OperatorFault("FOLDER", str(self._config.path), error.strerror or "can't be written") from error

    def _complete(self, left: dict[str, tuple[str, int]]) -> list[str]:
        """Files that have not changed for `settle` seconds, by name; what is no such file goes to `left`."""
        now = self._intake.clock.monotonic()
        seen: dict[str, tuple[Look, float]] = {}
        for name, look in self._files.looks():
            if isinstance(look, Unfit):
                left[name] = (look.code, look.inode)
                continue
            before = self._seen.get(name)
            seen[name] = before if before is not None and before[0] == look else (look, now)
            if seen[name] is not before:
                self._later.pop(name, None)
        self._seen = seen
        self._later = {name: until for name, until in self._later.items() if name in seen and now < until}
        left.update((name, one) for name, one in self._left.items() if name in self._later)
        ready = (name for name, (_, since) in seen.items() if now - since >= self._config.settle)
        return [name for name in sorted(ready) if name not in self._later]

    async def _noted(self, name: str, work: Awaitable[None], found: _Round) -> None:
        """Work on one file: what it raises is that file's problem, or the folder's; raises nothing itself."""
        try:
            await work
        except FileNotFoundError:
            found.taken += 1  # its writer took it back
        except Unfit as unfit:
            self._leave(name, unfit.code, found)
        except OSError as error:
            if error.errno in files.OF_THE_FOLDER:
                found.trouble = error
                return
            self._later[name] = self._intake.clock.monotonic() + _AGAIN
            self._leave(name, "FOLDER-DENIED" if isinstance(error, PermissionError) else "FOLDER-ERROR", found)
        except Exception as error:
            self._later[name] = self._intake.clock.monotonic() + _AGAIN
            self._leave(name, Bug.of(error, "folder").code, found)

    def _leave(self, name: str, code: str, found: _Round) -> None:
        found.left[name] = (code, self._seen[name][0].inode)

    async def _take(self, name: str, found: _Round) -> None:
        """Read one file, and answer it: now, or aside when all of it is refused."""
        file = await asyncio.to_thread(self._files.read, name, self._intake.clock.now())
        accepted = False
        answers: list[asyncio.Future[Answer]] = []
        for received in file.pieces:
            validated, answer = await self._stored(received, file.excess)
            answers.append(answer)
            accepted = accepted or validated.code == "AA"
            if validated.code == "AA" and (await answer).code == "AR":
                found.again = True
                return
        settled = self._settled(file, answers, found)
        if accepted:
            await settled
        else:
            await self._aside.put(sum(len(one.data) for one in file.pieces), self._noted(name, settled, found))

    async def _settled(self, file: FileRead, waiting: list[asyncio.Future[Answer]], found: _Round) -> None:
        """Answer a file and move it, once all its messages have their answers."""
        answers = [await answer for answer in waiting]
        if any(answer.code == "AR" for answer in answers):
            found.again = True
            return
        accepted = all(answer.code == "AA" for answer in answers) and bool(answers)
        acks = b"".join(answer.ack for answer in answers)
        await asyncio.to_thread(self._files.finish, file, DONE if accepted else REFUSED, acks)
        self._seen.pop(file.name, None)
        found.taken += 1

    def _tell(self, left: dict[str, tuple[str, int]]) -> None:
        """Say once of each entry that it stays, and how many do; of very many at once, of some only."""
        self._intake.observer.set("files_left", len(left), feed=self._feed.name)
        new = [one for name, one in left.items() if self._left.get(name) != one]
        for code, inode in new[:_TOLD]:
            text = files.UNFIT.get(code, "the file can't be taken")
            facts = {"feed": self._feed.name, "code": code, "place": f"inode {inode}", "text": text}
            self._intake.complaints.alert("file-left", facts)
        if len(new) > _TOLD:
            facts = {"feed": self._feed.name, "code": new[_TOLD][0], "place": f"{len(new) - _TOLD} more"}
            self._intake.complaints.alert("file-left", facts)
        self._left = left

    async def _stored(self, received: Received, excess: int) -> tuple[ValidatedMessage, asyncio.Future[Answer]]:
        """One message checked, and given to the writer. Its bytes count in the budget until it is answered."""
        share, size = self._intake.budget.join(lambda: None, lambda: None), len(received.data)
        share.work(size)

        def free(_: object = None) -> None:
            share.done(size)
            share.leave()

        try:
            if excess:
                validated = self._intake.validator.oversize(self._feed, received, self._config.max_file)
            else:
                validated = await self._intake.validate(self._feed, received)
            answer = self._intake.store(validated)
        except BaseException:
            free()
            raise
        answer.add_done_callback(free)
        return validated, answer
