"""A change that one of several people makes: audited before, and said in the audit too when another was faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LATE: Final = "too-late"
"""In the detail of the second line: nothing came of what the first line says, somebody else had decided."""


def once(write: Callable[[str, bool], None], change: Callable[[], bool], *, refused: bool = False) -> bool:
    """Whether it was done. The line of the audit is durable before; a second one tells when nothing came of it.

    write: a line, with what is added to its detail, and whether it says "refused"
    change: False where it came too late
    """
    write("", refused)
    if change():
        return True
    write(LATE, True)
    return False
