"""The watched folder: complete files are taken, answered in `<name>.ack`, and moved to `done` or `refused`.

`*.hl7` and `*.er7` hold one message or several; `*.xml` is a raw CDA, whose request stands in `<name>.headers`
beside it (lines `name: value`). A file is moved only after its answer is written, and it is answered only once
durable: a crash in between means that it is read again, recognised, and answered as before.
"""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from router.errors import OperatorFault
from router.gateway.intake import Intake
from router.gateway.received import Answer, Feed, Kind, Received
from router.gateway.settings import FolderConfig
from router.hl7 import layout
from router.hl7.mllp import HEAD

log = logging.getLogger(__name__)

_KINDS: Final[dict[str, Kind]] = {".hl7": "hl7", ".er7": "hl7", ".xml": "cda"}
_Look = tuple[int, int]
_MAX_HEADERS: Final = 64 * 1024
"""Bytes of a `.headers` file that are read."""


class WatchedFolder:
    """One folder, one feed. Files are taken one at a time, in the order of their names."""

    def __init__(self, config: FolderConfig, feed: Feed, intake: Intake) -> None:
        self._config, self._feed, self._intake = config, feed, intake
        self._seen: dict[str, tuple[_Look, float]] = {}
        self._done, self._refused = config.path / "done", config.path / "refused"
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
        """Take every file that is complete now; returns how many were answered for good."""
        taken = 0
        for path in await asyncio.to_thread(self._complete):
            if self._stop.is_set() or not await self._take(path):
                break
            taken += 1
        return taken

    # -------------------------------------------------------------------------------------------- inside

    async def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                await self.look()
                self._trouble = 0
            except OSError as error:
                # A full disk or a share that is away: the files stay, their senders wait, the other ways in go on.
                if error.errno != self._trouble:
                    log.warning("folder can't be used", extra={"code": "FOLDER", "reason": type(error).__name__})
                self._trouble = error.errno or -1
            try:
                await asyncio.wait_for(self._stop.wait(), self._config.interval)
            except TimeoutError:
                continue

    def _prepare(self) -> None:
        try:
            for folder in (self._done, self._refused):
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / ".segur-write"
                probe.write_bytes(b"")
                probe.unlink()
            for beside in self._config.path.glob("*.headers"):
                if self._left_behind(beside):
                    beside.unlink()
        except OSError as error:
            raise OperatorFault("FOLDER", str(self._config.path), error.strerror or "can't be written") from error

    def _complete(self) -> list[Path]:
        """Files that have not changed for `settle` seconds, by name."""
        now = self._intake.clock.monotonic()
        seen: dict[str, tuple[_Look, float]] = {}
        with os.scandir(self._config.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in _KINDS or not entry.is_file():
                    continue
                found = entry.stat()
                look = _look(found)
                before = self._seen.get(entry.name)
                seen[entry.name] = before if before is not None and before[0] == look else (look, now)
        self._seen = seen
        ready = (name for name, (_, since) in seen.items() if now - since >= self._config.settle)
        return [self._config.path / name for name in sorted(ready)]

    async def _take(self, path: Path) -> bool:
        """One file. False when it must be tried again later."""
        try:
            beside = await asyncio.to_thread(_look_at, _beside(path))
            pieces, excess, look = await asyncio.to_thread(self._read, path)
        except FileNotFoundError:
            return True  # its writer took it back
        except PermissionError:
            return True  # not ours to read yet: the others go on, the next look tries again
        answers: list[Answer] = []
        for received in pieces:
            answers.append(await self._answer(received, excess))
            if answers[-1].code == "AR":
                return False
        accepted = all(answer.code == "AA" for answer in answers) and bool(answers)
        acks = b"".join(answer.ack for answer in answers)
        folder = self._done if accepted else self._refused
        await asyncio.to_thread(self._finish, path, look, beside, folder, acks)
        self._seen.pop(path.name, None)
        return True

    async def _answer(self, received: Received, excess: int) -> Answer:
        share = self._intake.budget.join(lambda: None, lambda: None)
        share.work(len(received.data))
        try:
            if not excess:
                return await self._intake.submit(self._feed, received)
            validate = self._intake.validator
            return await self._intake.store(validate.oversize(self._feed, received, self._config.max_file))
        finally:
            share.done(len(received.data))
            share.leave()

    def _read(self, path: Path) -> tuple[list[Received], int, _Look]:
        """The messages of a file, and 0; of one too large its beginning, and its size. Then what it looked like."""
        kind = _KINDS[path.suffix.lower()]
        now = self._intake.clock.now()
        with path.open("rb") as file:
            look = _look(os.fstat(file.fileno()))
            size = look[0]
            data = file.read(self._config.max_file if size <= self._config.max_file else HEAD)
        if size > self._config.max_file:
            return [Received(data=data, source="folder", at=now)], size, look
        if kind == "cda":
            headers = {"request-id": path.stem, **_headers(path)}
            return [Received(data=data, source="folder", at=now, kind="cda", headers=headers)], 0, look
        pieces = list(layout.messages(data)) or [data]
        return [Received(data=piece, source="folder", at=now) for piece in pieces], 0, look

    def _finish(self, path: Path, look: _Look, request: _Look | None, folder: Path, acks: bytes) -> None:
        """Answer first, then move: in the other order a crash would leave a file without its answer.

        A raw CDA keeps its request beside it until it is gone itself: read again without, it would be another one.
        What its writer has put in their places meanwhile is not moved: nobody has read it. So the last look comes after
        the disk has had its time.
        """
        target = _free(folder / path.name)
        draft = folder / f".{target.name}.ack"
        with draft.open("wb") as file:
            file.write(acks)
            file.flush()
            os.fsync(file.fileno())
        beside = _beside(path)
        ours = request is not None and _look_at(beside) == request
        if ours:
            _copy(beside, folder / f"{target.name}.headers")
        if _look_at(path) != look:
            draft.unlink()
            if ours:
                (folder / f"{target.name}.headers").unlink()
            return
        draft.replace(folder / f"{target.name}.ack")
        path.replace(target)
        if ours and _look_at(beside) == request:
            beside.unlink()

    def _left_behind(self, beside: Path) -> bool:
        """Whether these headers are those of a file that was moved a moment before we died: no other may get them."""
        name = Path(beside.name.removesuffix(".headers"))
        if (self._config.path / name).exists() or not beside.is_file():
            return False
        pattern = f"{glob.escape(name.stem)}*{glob.escape(name.suffix)}.headers"
        copies = [copy for folder in (self._done, self._refused) for copy in folder.glob(pattern)]
        found = _look(beside.stat())
        return any(_look(copy.stat()) == found and copy.read_bytes() == beside.read_bytes() for copy in copies)


def _look(found: os.stat_result) -> _Look:
    return found.st_size, found.st_mtime_ns


def _look_at(path: Path) -> _Look | None:
    """What it looks like now; None for what is no file, or none any more."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _look(found) if stat.S_ISREG(found.st_mode) else None


def _beside(path: Path) -> Path:
    """Where the request of a raw CDA stands."""
    return path.with_name(path.name + ".headers")


def _copy(source: Path, target: Path) -> None:
    """Bytes and time of change. Not the mode: there are file systems where nobody may set it."""
    found = source.stat()
    shutil.copyfile(source, target)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _free(path: Path) -> Path:
    """The path itself, or the first of `name.1.hl7`, `name.2.hl7`… that no earlier file has."""
    target, number = path, 0
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return target


def _headers(path: Path) -> dict[str, str]:
    beside = _beside(path)
    if not beside.is_file():
        return {}
    text = beside.read_bytes()[:_MAX_HEADERS].decode("utf-8", "replace")
    lines = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip().lower().removeprefix("x-segur-"): value.strip() for name, _, value in lines}
