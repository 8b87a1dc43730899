"""The anchor: how far the chain was known to reach, kept in a file, away from the table.

A chain whose last rows were cut off is whole in itself. The anchor says that it was longer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from router import private
from router.audit.chain import Chain, Mark
from router.errors import OperatorFault, Unavailable
from router.language import filled
from router.locks import TurnLock

_NAME: Final = "anchor"
_SECONDS: Final = 5


class Altered(Exception):
    """The file is not one that we wrote."""


class Anchor:
    """One file of the data folder. Several processes of a machine share it."""

    def __init__(self, path: Path, chain: Chain) -> None:
        self.path = path
        self._chain = chain

    def read(self) -> Mark | None:
        """None when there is no anchor yet. Raises `Altered`."""
        try:
            said = json.loads(self.path.read_text(encoding="utf-8"))
            mark = Mark(int(said["number"]), str(said["mac"]))
            seal = str(said["seal"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Altered from error
        if not self._chain.sealed(_NAME, mark, seal):
            raise Altered
        return mark

    def there(self) -> bool:
        """Whether there is a file, ours or altered."""
        try:
            return self.read() is not None
        except Altered:
            return True

    def advance(self, to: Mark) -> None:
        """Remember this mark unless a later one is remembered. A file that was altered is left as it is."""
        with self._turn():
            try:
                known = self.read()
            except Altered:
                return
            if known is None or known.number < to.number:
                self._write(to)

    def reset(self, to: Mark) -> None:
        """Remember this mark, whatever was remembered before."""
        with self._turn():
            self._write(to)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            private.make(self.path.parent)
            turn = TurnLock(self.path.with_suffix(".lock"))
        except OSError as error:
            text = filled("the folder of the audit's anchor can't be used: {reason}", reason=error.strerror)
            raise OperatorFault("AUDIT-ANCHOR", self.path.name, text) from error
        try:
            if not turn.take(_SECONDS):
                raise Unavailable("AUDIT-ANCHOR", self.path.name, "another process holds the audit's anchor")
            yield
        finally:
            turn.close()

    def _write(self, mark: Mark) -> None:
        said = {"number": mark.number, "mac": mark.mac, "seal": self._chain.seal(_NAME, mark)}
        draft = self.path.with_suffix(f".{os.getpid()}")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(said, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            text = filled("the audit's anchor can't be written: {reason}", reason=error.strerror)
            raise OperatorFault("AUDIT-ANCHOR", self.path.name, text) from error
