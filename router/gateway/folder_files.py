"""The files of one watched folder: read, answered in `done` or `refused`, and moved there.

Each method opens the folders anew and works by their descriptors (`files.Directory`). A descriptor that lived longer
could be closed, and its number given to another file, while a thread still works with it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from router.gateway import cda_request, files
from router.gateway.cda_request import MAX_HEADERS, Request, beside
from router.gateway.files import Directory, Look, Unfit
from router.gateway.received import Kind, Received
from router.gateway.settings import FolderConfig
from router.hl7 import layout
from router.hl7.mllp import HEAD

KINDS: Final[dict[str, Kind]] = {".hl7": "hl7", ".er7": "hl7", ".xml": "cda"}
DONE, REFUSED = "done", "refused"
_REQUEST_ID: Final = 190
"""Bytes of a file's name that serve as its request id (R14 allows 199 characters)."""


class FileRead(NamedTuple):
    """A file as it was read.

    pieces: its messages; of a file too large its beginning
    excess: its size when it is too large, else 0
    """

    name: str
    pieces: Sequence[Received]
    excess: int
    look: Look
    request: Request | None


class FolderFiles:
    """Used by threads, one file in one thread at a time."""

    def __init__(self, config: FolderConfig) -> None:
        self._path, self._max_file = config.path, config.max_file
        group = config.readable_by == "group"
        self._file_mode, self._folder_mode = (0o640, 0o750) if group else (0o600, 0o700)

    def prepare(self) -> None:
        """Make our folders, and see that we can write in them. Raises `OSError`."""
        self._path.mkdir(parents=True, exist_ok=True)
        with Directory.open(self._path) as root:
            for name in (DONE, REFUSED):
                with root.ours(name, self._folder_mode) as folder:
                    folder.write(".segur-write", b"", self._file_mode)
                    folder.remove(".segur-write")
            found = [entry.name for entry in root.entries() if entry.name.endswith(beside(""))]
            for name in found:
                if self._left_behind(root, name):
                    root.remove(name)

    def looks(self) -> Iterator[tuple[str, Look | Unfit]]:
        """Every entry with a message's name: how it looks, or why it can't be taken, with its inode."""
        with Directory.open(self._path) as root:
            for name in (DONE, REFUSED):
                with root.ours(name, self._folder_mode):
                    pass
            for entry in root.entries():
                if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in KINDS:
                    continue
                try:
                    yield entry.name, files.look_of(entry.stat(follow_symlinks=False))
                except Unfit as unfit:
                    yield entry.name, Unfit(unfit.code, entry.inode())
                except FileNotFoundError:  # its writer took it back
                    continue

    def read(self, name: str, now: float) -> FileRead:
        """A file and its messages. Raises `Unfit`, `FileNotFoundError`, `OSError`."""
        kind = KINDS[Path(name).suffix.lower()]
        with Directory.open(self._path) as root:
            request = cda_request.read(root, name) if kind == "cda" else None
            data, look = root.read(name, self._max_file)
        if look.size > self._max_file:
            return FileRead(name, [Received(data=data[:HEAD], source="folder", at=now)], look.size, look, request)
        if kind == "cda":
            identifier = os.fsencode(Path(files.short(name, _REQUEST_ID)).stem).decode("utf-8", "replace")
            headers = {"request-id": identifier, **cda_request.headers(request)}
            pieces = [Received(data=data, source="folder", at=now, kind="cda", headers=headers)]
        else:
            messages = list(layout.messages(data)) or [data]
            pieces = [Received(data=piece, source="folder", at=now) for piece in messages]
        return FileRead(name, pieces, 0, look, request)

    def finish(self, file: FileRead, name: str, acks: bytes) -> None:
        """Write its answer into our folder of that name, then move it there. Raises `OSError`.

        In the other order a crash would leave a file without its answer. A raw CDA keeps its request beside it until
        it is gone itself: read again without, it would be another one. What its writer has put in their places
        meanwhile stays, nobody has read it: the last look comes after the disk has had its time, and what was moved
        is looked at once more. The request is copied from the bytes that were read, never from its file.
        """
        with Directory.open(self._path) as root, root.ours(name, self._folder_mode) as folder:
            target = folder.free(files.short(file.name))
            draft, ack, copy = f".{target}.ack", f"{target}.ack", beside(target)
            folder.write(draft, acks, self._file_mode)
            request = file.request
            ours = request is not None and root.look(beside(file.name)) == request.look
            if request is not None and ours:
                folder.write(copy, request.data, self._file_mode, request.look.changed)
            if root.look(file.name) != file.look:
                _drop(folder, draft, copy if ours else "")
                return
            folder.move(draft, folder, ack)
            root.move(file.name, folder, target)
            if folder.look(target) != file.look:  # replaced between the look and the move
                folder.give_back(target, root, file.name)
                _drop(folder, ack, copy if ours else "")
                return
            folder.tighten(target, file.look, self._file_mode)
            if request is not None and ours and root.look(beside(file.name)) == request.look:
                root.remove(beside(file.name))

    def _left_behind(self, root: Directory, name: str) -> bool:
        """Whether these headers are those of a file that was moved a moment before we died: no other may get them."""
        owner = name.removesuffix(beside(""))
        found = root.look(name)
        if root.exists(owner) or found is None or found.size > MAX_HEADERS:
            return False
        stem, suffix = Path(files.short(owner)).stem, Path(owner).suffix
        pattern = re.compile(f"{re.escape(stem)}.*{re.escape(beside(suffix))}", re.DOTALL)
        try:
            data = root.read(name, MAX_HEADERS)[0]
            others = [one for kept in (DONE, REFUSED) for one in self._copies(root, kept, pattern)]
        except (OSError, Unfit):
            return False
        return any(look[:2] == found[:2] and copied == data for copied, look in others)

    def _copies(self, root: Directory, kept: str, pattern: re.Pattern[str]) -> list[tuple[bytes, Look]]:
        with root.ours(kept, self._folder_mode) as folder:
            names = [entry.name for entry in folder.entries() if pattern.fullmatch(entry.name)]
            return [folder.read(name, MAX_HEADERS + 1) for name in names]


def _drop(folder: Directory, *names: str) -> None:
    for name in filter(None, names):
        folder.remove(name)
