"""The master keys of the site file, also after it was changed under a router that runs."""

from __future__ import annotations

import logging
from pathlib import Path

from router.config.site import Site
from router.errors import OperatorFault
from router.sealing.master import Masters
from router.sealing.settings import EncryptionConfig

log = logging.getLogger(__name__)


class SiteMasters:
    """Asked when a data key is made, or one comes that no master key known so far opens: a few times a day."""

    def __init__(self, path: Path, config: EncryptionConfig) -> None:
        self._path = path
        self._config = config
        self._seen = _mark(path)

    def __call__(self) -> Masters:
        """Those of the site file as it is now; while it can't be read, those of before.

        Raises `OperatorFault` for a master key that is missing, or is no key.
        """
        if _mark(self._path) != self._seen:
            self._read()
        try:
            return Masters.of(self._config)
        except OperatorFault:  # the file may have changed between its reading and our first look at it
            self._read()
            return Masters.of(self._config)

    def _read(self) -> None:
        mark = _mark(self._path)
        try:
            found = Site(self._path).config.encryption
        except OperatorFault as fault:
            log.warning("the master keys stay as they were: no new site file is readable", extra={"code": fault.code})
        else:
            self._config = found or self._config
            self._seen = mark


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
