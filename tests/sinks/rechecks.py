"""An attempt that a deletion overtakes at the sink's n-th last look."""

from __future__ import annotations

from router.contracts import Attempt
from router.errors import Overtaken


class Looks:
    """Counts the last looks; from the `fatal`-th on, nothing may leave any more."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.count = 0
        self.attempt = Attempt(1, 1_795_000_000.0, recheck=self._look)

    def _look(self) -> None:
        self.count += 1
        if self.count >= self.fatal:
            raise Overtaken("OVERTAKEN")
