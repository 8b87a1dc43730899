"""Reading and writing in a folder that others write too: regular files only, no link is followed, ours are private.

Who may write into a watched folder could otherwise have us copy a file that only we can read, or write where only
we may. A path says nothing certain there: between two calls somebody may put a link in the place of a folder. So a
folder is opened once, and all work in it goes by its descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_LONGEST: Final = 255 - len(".9999.headers") - 1
"""The longest name, in bytes, to which we can still add our suffixes (NAME_MAX of Linux is 255)."""

#: Errors that are the folder's, not one file's: nothing else could be done either.
OF_THE_FOLDER: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTCONN, errno.ESTALE, errno.ENODEV, errno.EMFILE, errno.ENFILE}
)

#: What is wrong with an entry, as the operator reads it.
UNFIT: Final[dict[str, str]] = {
    "FOLDER-LINK": "a symbolic link is not followed",
    "FOLDER-KIND": "not a regular file (a directory, a pipe, a device)",
    "FOLDER-LINKS": "the file has other names (hard links): it could be somebody else's",
    "FOLDER-DENIED": "the file can't be read, or not be moved",
    "FOLDER-HEADERS": "the `.headers` beside it are no readable regular file of 64 kB at most",
    "FOLDER-ASKED": "the `.headers` beside it say a name twice, or hold a control character",
    "FOLDER-ERROR": "the file can't be taken",
}


class Unfit(Exception):
    """This entry can't be taken; `code` is a key of `UNFIT`. `inode`: of the entry, 0 when it was not looked at."""

    def __init__(self, code: str, inode: int = 0) -> None:
        super().__init__(code)
        self.code, self.inode = code, inode


class Look(NamedTuple):
    """What a file looks like: another look says whether somebody has changed or replaced it."""

    size: int
    changed: int
    inode: int


def look_of(found: os.stat_result) -> Look:
    """See `Look`. Raises `Unfit` for what is no regular file with one name."""
    if stat.S_ISLNK(found.st_mode):
        raise Unfit("FOLDER-LINK")
    if not stat.S_ISREG(found.st_mode):
        raise Unfit("FOLDER-KIND")
    if found.st_nlink > 1:
        raise Unfit("FOLDER-LINKS")
    return Look(found.st_size, found.st_mtime_ns, found.st_ino)


class Directory:
    """A folder, held open: whatever somebody puts in its place meanwhile, we read and write in the one that we opened.

    Names are those of entries in it; no link is followed. Close it, or use it in a `with`.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    @classmethod
    def open(cls, path: Path) -> Directory:
        """The operator's folder; its own path may hold links. Raises `OSError`."""
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def ours(self, name: str, mode: int) -> Directory:
        """A folder of ours in it, made when absent. Raises `OSError` when something else has its name, a link too."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=self._number)  # a Path knows no `dir_fd`
            made = self._opened(name)
            with made:
                _set_mode(made._number, mode)
        return self._opened(name)

    def _opened(self, name: str) -> Directory:
        return Directory(
            os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._number)
        )

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._number)

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """All entries, as they come."""
        with os.scandir(self._number) as found:
            yield from found

    def exists(self, name: str) -> bool:
        """Whether anything has this name."""
        try:
            os.lstat(name, dir_fd=self._number)
        except FileNotFoundError:
            return False
        return True

    def is_directory(self, name: str) -> bool:
        return stat.S_ISDIR(os.lstat(name, dir_fd=self._number).st_mode)

    def look(self, name: str) -> Look | None:
        """The file as it is now; None when there is no file, or no file that we would take."""
        try:
            return look_of(os.lstat(name, dir_fd=self._number))
        except (FileNotFoundError, Unfit):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # no such name can be
                return None
            raise

    def read(self, name: str, most: int) -> tuple[bytes, Look]:
        """At most so many bytes of a regular file, and its look. Raises `Unfit`, `FileNotFoundError`, `OSError`.

        Opening never waits: a pipe without a writer would hold the thread for ever.
        """
        try:
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._number)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Unfit("FOLDER-LINK") from error
            if error.errno in (errno.EACCES, errno.EPERM):
                raise Unfit("FOLDER-DENIED") from error
            if error.errno in (errno.ENXIO, errno.ENODEV):
                raise Unfit("FOLDER-KIND") from error
            raise
        with os.fdopen(number, "rb") as file:
            look = look_of(os.fstat(file.fileno()))
            return file.read(most), look

    def write(self, name: str, data: bytes, mode: int, changed: int | None = None) -> None:
        """Write a new file of ours, down to the disk, in the place of what has that name. `changed`: its mtime, ns."""
        with contextlib.suppress(FileNotFoundError):
            self.remove(name)  # a link is removed, not followed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        number = os.open(name, flags, mode, dir_fd=self._number)
        with os.fdopen(number, "wb") as file:
            _set_mode(number, mode)
            file.write(data)
            file.flush()
            os.fsync(number)
            if changed is not None:
                os.utime(number, ns=(changed, changed))

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._number)  # a Path knows no `dir_fd`

    def move(self, name: str, folder: Directory, target: str) -> None:
        """Into that folder, under that name, in the place of what has it."""
        os.rename(name, target, src_dir_fd=self._number, dst_dir_fd=folder._number)

    def give_back(self, name: str, folder: Directory, target: str) -> None:
        """As `move`, but what has that name stays: the file gets a free one beside it."""
        while True:
            free = folder.free(target)
            try:
                os.link(name, free, src_dir_fd=self._number, dst_dir_fd=folder._number, follow_symlinks=False)
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links
                self.move(name, folder, free)
            else:
                self.remove(name)
            return

    def free(self, name: str) -> str:
        """The name itself, or one of `name.1.hl7`, `name.2.hl7`… that nothing has; found in few questions."""
        if not self.exists(name):
            return name
        stem, suffix = Path(name).stem, Path(name).suffix
        taken, free = 0, 1
        while self.exists(f"{stem}.{free}{suffix}"):
            taken, free = free, free * 2
        while free - taken > 1:
            middle = (taken + free) // 2
            taken, free = (middle, free) if self.exists(f"{stem}.{middle}{suffix}") else (taken, middle)
        return f"{stem}.{free}{suffix}"

    def tighten(self, name: str, look: Look, mode: int) -> None:
        """Give a file that we have moved our own mode, where it is ours to set. Not every file system has modes."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            number = os.open(name, flags, dir_fd=self._number)
        except OSError:
            return
        try:
            if os.fstat(number).st_ino == look.inode:
                _set_mode(number, mode)
        finally:
            os.close(number)


def short(name: str, longest: int = _LONGEST) -> str:
    """The name, or a shorter one that still tells it apart, so that ours beside it fit too. `longest`: in bytes."""
    if len(os.fsencode(name)) <= longest:
        return name
    stem, suffix = Path(name).stem, Path(name).suffix
    mark = "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    room = longest - len(os.fsencode(suffix)) - len(mark)
    return os.fsencode(stem)[:room].decode("utf-8", "ignore") + mark + suffix


def _set_mode(number: int, mode: int) -> None:
    with contextlib.suppress(OSError):
        os.fchmod(number, mode)
