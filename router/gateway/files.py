"""Reading and writing in a folder that others write too: regular files only, no link is followed, ours are private.

Who may write into a watched folder could otherwise have us copy a file that only we can read, or write where only
we may.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
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
    """This entry can't be taken; `code` is a key of `UNFIT`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


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


def look_at(path: Path) -> Look | None:
    """The file as it is now; None when there is no file, or no file that we would take."""
    try:
        return look_of(os.lstat(path))
    except (FileNotFoundError, Unfit):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no such name can be
            return None
        raise


def read(path: Path, most: int) -> tuple[bytes, Look]:
    """At most so many bytes of a regular file, and what it looked like. Raises `Unfit`, `FileNotFoundError`, `OSError`.

    Opening never waits: a pipe without a writer would hold the thread for ever.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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


def write(path: Path, data: bytes, mode: int, changed: int | None = None) -> None:
    """Write a new file of ours, down to the disk, in the place of what has that name. `changed`: its mtime, in ns."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  # a link is removed, not followed
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(number, "wb") as file:
        _set_mode(number, mode)
        file.write(data)
        file.flush()
        os.fsync(number)
        if changed is not None:
            os.utime(number, ns=(changed, changed))


def tighten(path: Path, look: Look, mode: int) -> None:
    """Give a file that we have moved our own mode, where it is ours to set. Not every file system has modes."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if os.fstat(number).st_ino == look.inode:
            _set_mode(number, mode)
    finally:
        os.close(number)


def folder(path: Path, mode: int) -> None:
    """Make a folder of ours. Raises `OSError` when something else has its name: a link would lead elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=mode)
        path.chmod(mode)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise


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
