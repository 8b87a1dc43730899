"""How a worker's process begins, before it imports anything large: a fifth of what its imports cost is saved."""

from __future__ import annotations

import gc
import sys
from typing import Any, Final, cast

NOT_HERE: Final = ("rich",)
"""Libraries that another one imports only if they are there: structlog, for the colours of a screen."""


def begin() -> None:
    """What is imported is not garbage, so cycles are not collected meanwhile. What is `NOT_HERE` is not found."""
    gc.disable()
    for name in NOT_HERE:
        sys.modules.setdefault(name, cast(Any, None))


def imported() -> None:
    """The imports are done: what they made is never looked through again, the collection of cycles works as usual."""
    gc.freeze()
    gc.enable()
