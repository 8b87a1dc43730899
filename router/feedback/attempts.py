"""Which mail was being read when the process ended: the file tells the next process, which does not read it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


class Attempts:
    """The reading that is under way, by the mail's digest, in a file of one line. Without a path nothing is remembered.

    Only the reading itself stands there, which takes a millisecond: a process that is killed at any other moment leaves
    no mark, and its mail is simply read again. A file that can't be written is no reason to read no mail.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._before = self._found()

    def unfinished(self, mark: str) -> bool:
        """Whether an earlier process began to read this mail, and did not end."""
        return bool(mark) and mark == self._before

    def forget(self, mark: str) -> None:
        """It is decided where that mail goes: put back into the inbox by a person, it is read anew."""
        if self.unfinished(mark):
            self._before = ""
            self._write("")

    @contextmanager
    def reading(self, mark: str) -> Iterator[None]:
        """While this mail is read. What the reader raises is an end too: only the end of the process is none."""
        self._write(mark)
        try:
            yield
        finally:
            self._write(self._before)

    def _found(self) -> str:
        try:
            return self._path.read_text().strip() if self._path else ""
        except (OSError, UnicodeDecodeError):
            return ""

    def _write(self, mark: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(f"{mark}\n")
        except OSError as error:
            log.warning("the mail being read can't be remembered", extra={"error": type(error).__name__})
