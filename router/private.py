"""What we keep is ours alone: documents in clear stand in the data folder (decisions D12).

`mask` is called first in every process of the router; what it then makes, nobody else can read, whatever the account's
own umask is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

UMASK: Final = 0o077
FOLDER: Final = 0o700
_OTHERS: Final = 0o077
_MOST: Final = 100_000
"""Entries of a data folder that are looked at."""


def mask() -> None:
    """From now on this process makes files 0600 and folders 0700."""
    os.umask(UMASK)


def make(folder: Path) -> None:
    """A folder of ours, and those above it where they lack. One that exists keeps its mode: see `open_to_others`."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=FOLDER, exist_ok=True)


def open_to_others(path: Path) -> bool:
    """Whether other accounts of this machine may do anything with a file or folder. What is not there is not open.

    A file of another account that only our own group may read is lent to us: so come the Secrets of Kubernetes.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    mode = stat.S_IMODE(status.st_mode) & _OTHERS
    lent = mode == stat.S_IRGRP and status.st_uid != os.geteuid() and status.st_gid == os.getegid()
    return bool(mode) and not lent


def close_inside(folder: Path) -> int:
    """Take from others what they may do with what stands in our folder; returns for how many entries it was needed."""
    closed = 0
    for path in islice(_entries(folder), _MOST):
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
            if path.is_symlink() or not mode & _OTHERS:
                continue
            path.chmod(mode & ~_OTHERS)
        except OSError:  # gone meanwhile, or somebody else's: the folder above it is closed
            continue
        closed += 1
    return closed


def _entries(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(root, name)
