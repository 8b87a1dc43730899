"""The anchor: how far the chain was known to reach, kept in a file, away from the table.

A chain whose last rows were cut off is whole in itself. The anchor says that it was longer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an anchor holds.

    settled: number of the row by which the table was last taken as it is (`AuditTrail.settle`), as far as this anchor
    had heard; 0 for never
    """

    mark: Mark
    settled: int = 0


class Anchor:
    """One file. Several processes of a machine share it; each machine may have its own, which is often behind."""

    def __init__(self, path: Path, chain: Chain) -> None:
        self.path = path
        self._chain = chain

    def read(self) -> Remembered | None:
        """None when there is no anchor yet. Raises `Altered`."""
        try:
            said = json.loads(self.path.read_text(encoding="utf-8"))
            known = Remembered(Mark(int(said["number"]), str(said["mac"])), int(said.get("settled", 0)))
            seal = str(said["seal"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Altered from error
        if not self._chain.sealed(_name(known.settled), known.mark, seal):
            raise Altered
        return known

    def there(self) -> bool:
        """Whether there is a file, ours or altered."""
        try:
            return self.read() is not None
        except Altered:
            return True

    def advance(self, to: Remembered) -> None:
        """Remember this unless a later one is remembered. A file that was altered is left as it is."""
        with self._turn():
            try:
                known = self.read()
            except Altered:
                return
            if known is None or (known.settled, known.mark.number) < (to.settled, to.mark.number):
                self._write(to)

    def reset(self, to: Remembered) -> None:
        """Remember this, whatever was remembered before."""
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

    def _write(self, to: Remembered) -> None:
        said: dict[str, int | str] = {"number": to.mark.number, "mac": to.mark.mac}
        said |= {"settled": to.settled} if to.settled else {}
        said["seal"] = self._chain.seal(_name(to.settled), to.mark)
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


def kept_elsewhere() -> bool:
    """Whether another machine keeps the anchor for this process too: the chart says so where a folder does not last."""
    return os.environ.get("SEGUR_AUDIT_ANCHOR") == "elsewhere"


def _name(settled: int) -> str:
    """What the seal is of: an anchor of before the table was taken as it is can't be made one of after."""
    return f"{_NAME} {settled}" if settled else _NAME
