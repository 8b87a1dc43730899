"""The watched folder: complete files are taken, answered in `<name>.ack`, and moved to `done` or `refused`.

`*.hl7` and `*.er7` hold one message or several; `*.xml` is a raw CDA, whose request stands in `<name>.headers`
beside it (lines `name: value`). A file is moved only after its answer is written, and it is answered only once
durable: a crash in between means that it is read again, recognised, and answered as before.

An entry that can't be taken (a link, a pipe, a file that we may not read…) stays where it is, is told once, and stops
no other. Its name is not told, names hold patients: its inode is (`find -inum`).
"""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple

from router.errors import Bug, OperatorFault
from router.gateway import files
from router.gateway.files import Look, Unfit
from router.gateway.intake import Intake
from router.gateway.received import Answer, Feed, Kind, Received
from router.gateway.settings import FolderConfig
from router.hl7 import layout
from router.hl7.mllp import HEAD

log = logging.getLogger(__name__)

_KINDS: Final[dict[str, Kind]] = {".hl7": "hl7", ".er7": "hl7", ".xml": "cda"}
_MAX_HEADERS: Final = 64 * 1024
"""Bytes of a `.headers` file at most."""
_LINE_END: Final = re.compile(r"\r?\n")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What ends a line in the eyes of some programs, and other controls: no value holds one."""
_REQUEST_ID: Final = 190
"""Bytes of a file's name that serve as its request id (R14 allows 199 characters)."""
_AGAIN: Final = 60.0
"""Seconds after which a file whose answer or move failed is tried again."""


class _Request(NamedTuple):
    """The request of a raw CDA, as it stood beside it."""

    data: bytes
    look: Look


class WatchedFolder:
    """One folder, one feed. Files are taken one at a time, in the order of their names."""

    def __init__(self, config: FolderConfig, feed: Feed, intake: Intake) -> None:
        self._config, self._feed, self._intake = config, feed, intake
        self._seen: dict[str, tuple[Look, float]] = {}
        self._left: dict[str, tuple[str, int]] = {}
        """Entries that can't be taken: code and inode."""
        self._later: dict[str, float] = {}
        group = config.readable_by == "group"
        self._file_mode, self._folder_mode = (0o640, 0o750) if group else (0o600, 0o700)
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
        left: dict[str, tuple[str, int]] = {}
        for path in await asyncio.to_thread(self._complete, left):
            if self._stop.is_set():
                break
            try:
                again = not await self._take(path)
            except Unfit as unfit:
                left[path.name] = (unfit.code, self._seen[path.name][0].inode)
                continue
            if again:
                break
            taken += 1
        self._tell(left)
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
                files.folder(folder, self._folder_mode)
                probe = folder / ".segur-write"
                files.write(probe, b"", self._file_mode)
                probe.unlink()
            for beside in self._config.path.glob("*.headers"):
                if self._left_behind(beside):
                    beside.unlink()
        except OSError as error:
            raise OperatorFault("FOLDER", str(self._config.path), error.strerror or "can't be written") from error

    def _complete(self, left: dict[str, tuple[str, int]]) -> list[Path]:
        """Files that have not changed for `settle` seconds, by name; what is no such file goes to `left`."""
        now = self._intake.clock.monotonic()
        for folder in (self._done, self._refused):
            files.folder(folder, self._folder_mode)
        seen: dict[str, tuple[Look, float]] = {}
        with os.scandir(self._config.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in _KINDS:
                    continue
                try:
                    look = files.look_of(entry.stat(follow_symlinks=False))
                except Unfit as unfit:
                    left[entry.name] = (unfit.code, entry.inode())
                    continue
                except FileNotFoundError:  # its writer took it back
                    continue
                before = self._seen.get(entry.name)
                seen[entry.name] = before if before is not None and before[0] == look else (look, now)
                if seen[entry.name] is not before:
                    self._later.pop(entry.name, None)
        self._seen = seen
        self._later = {name: until for name, until in self._later.items() if name in seen and now < until}
        left.update((name, one) for name, one in self._left.items() if name in self._later)
        ready = (name for name, (_, since) in seen.items() if now - since >= self._config.settle)
        return [self._config.path / name for name in sorted(ready) if name not in self._later]

    async def _take(self, path: Path) -> bool:
        """One file. False when it, and the others, must be tried again later. Raises `Unfit` when it alone must."""
        try:
            return await self._taken(path)
        except FileNotFoundError:
            return True  # its writer took it back
        except Unfit:
            raise
        except OSError as error:
            if error.errno in files.OF_THE_FOLDER:
                raise
            self._later[path.name] = self._intake.clock.monotonic() + _AGAIN
            raise Unfit("FOLDER-DENIED" if isinstance(error, PermissionError) else "FOLDER-ERROR") from error
        except Exception as error:
            self._later[path.name] = self._intake.clock.monotonic() + _AGAIN
            raise Unfit(Bug.of(error, "folder").code) from error

    async def _taken(self, path: Path) -> bool:
        pieces, excess, look, request = await asyncio.to_thread(self._read, path)
        answers: list[Answer] = []
        for received in pieces:
            answers.append(await self._answer(received, excess))
            if answers[-1].code == "AR":
                return False
        accepted = all(answer.code == "AA" for answer in answers) and bool(answers)
        acks = b"".join(answer.ack for answer in answers)
        folder = self._done if accepted else self._refused
        await asyncio.to_thread(self._finish, path, look, request, folder, acks)
        self._seen.pop(path.name, None)
        return True

    def _tell(self, left: dict[str, tuple[str, int]]) -> None:
        """Say once of each entry that it stays, and how many do."""
        self._intake.observer.set("files_left", len(left), feed=self._feed.name)
        for name, (code, inode) in left.items():
            if self._left.get(name) != (code, inode):
                text = files.UNFIT.get(code, "the file can't be taken")
                facts = {"feed": self._feed.name, "code": code, "place": f"inode {inode}", "text": text}
                self._intake.complaints.alert("file-left", facts)
        self._left = left

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

    def _read(self, path: Path) -> tuple[list[Received], int, Look, _Request | None]:
        """The messages of a file, and 0; of one too large its beginning, and its size. Then its look; its request."""
        kind = _KINDS[path.suffix.lower()]
        now = self._intake.clock.now()
        request = _request(path) if kind == "cda" else None
        data, look = files.read(path, self._config.max_file)
        if look.size > self._config.max_file:
            return [Received(data=data[:HEAD], source="folder", at=now)], look.size, look, request
        if kind == "cda":
            name = os.fsencode(Path(files.short(path.name, _REQUEST_ID)).stem).decode("utf-8", "replace")
            headers = {"request-id": name, **_headers(request)}
            return [Received(data=data, source="folder", at=now, kind="cda", headers=headers)], 0, look, request
        pieces = list(layout.messages(data)) or [data]
        return [Received(data=piece, source="folder", at=now) for piece in pieces], 0, look, request

    def _finish(self, path: Path, look: Look, request: _Request | None, folder: Path, acks: bytes) -> None:
        """Answer first, then move: in the other order a crash would leave a file without its answer.

        A raw CDA keeps its request beside it until it is gone itself: read again without, it would be another one.
        What its writer has put in their places meanwhile is not moved: nobody has read it. So the last look comes after
        the disk has had its time. The request is copied from the bytes that were read, never from its file.
        """
        target = _free(folder / files.short(path.name))
        draft = folder / f".{target.name}.ack"
        files.write(draft, acks, self._file_mode)
        beside, copy = _beside(path), folder / f"{target.name}.headers"
        ours = request is not None and files.look_at(beside) == request.look
        if request is not None and ours:
            files.write(copy, request.data, self._file_mode, request.look.changed)
        if files.look_at(path) != look:
            draft.unlink()
            if ours:
                copy.unlink()
            return
        draft.replace(folder / f"{target.name}.ack")
        path.replace(target)
        files.tighten(target, look, self._file_mode)
        if request is not None and ours and files.look_at(beside) == request.look:
            beside.unlink()

    def _left_behind(self, beside: Path) -> bool:
        """Whether these headers are those of a file that was moved a moment before we died: no other may get them."""
        name = Path(beside.name.removesuffix(".headers"))
        found = files.look_at(beside)
        if os.path.lexists(self._config.path / name) or found is None or found.size > _MAX_HEADERS:
            return False
        pattern = f"{glob.escape(Path(files.short(name.name)).stem)}*{glob.escape(name.suffix)}.headers"
        copies = [copy for folder in (self._done, self._refused) for copy in folder.glob(pattern)]
        try:
            data = files.read(beside, _MAX_HEADERS)[0]
            others = [files.read(copy, _MAX_HEADERS + 1) for copy in copies]
        except (OSError, Unfit):
            return False
        return any(look[:2] == found[:2] and copied == data for copied, look in others)


def _beside(path: Path) -> Path:
    """Where the request of a raw CDA stands."""
    return path.with_name(path.name + ".headers")


def _free(path: Path) -> Path:
    """The path itself, or the first of `name.1.hl7`, `name.2.hl7`… that no earlier file has."""
    target, number = path, 0
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return target


def _request(path: Path) -> _Request | None:
    """What stands beside a raw CDA. Raises `Unfit` when something does that can't be read as its request."""
    beside = _beside(path)
    try:
        if not os.path.lexists(beside) or stat.S_ISDIR(os.lstat(beside).st_mode):
            return None
        data, look = files.read(beside, _MAX_HEADERS + 1)
    except FileNotFoundError:
        return None
    except (Unfit, OSError) as error:
        raise Unfit("FOLDER-HEADERS") from error
    if look.size > _MAX_HEADERS:
        raise Unfit("FOLDER-HEADERS")
    return _Request(data, look)


def _headers(request: _Request | None) -> dict[str, str]:
    """The request's headers. Raises `Unfit` for a name that stands twice, or a control character: each may hide one."""
    found: dict[str, str] = {}
    lines = _LINE_END.split(request.data.decode("utf-8", "replace")) if request is not None else []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower().removeprefix("x-segur-")
        if _CONTROL.search(line) or (colon and name in found):
            raise Unfit("FOLDER-ASKED")
        if colon:
            found[name] = value.strip()
    return found
