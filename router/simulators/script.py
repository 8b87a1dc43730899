"""What a simulator was told to do wrong: behaviours that wait for the requests they are meant for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


@dataclass(slots=True)
class Planned(Generic[Subject]):
    """One behaviour: its `kind` and `arguments`, for the next `count` subjects that match (None: until reset)."""

    kind: str
    matches: Callable[[Subject], bool]
    count: int | None
    arguments: dict[str, str | float] = field(default_factory=dict)


class Script(Generic[Subject]):
    """Behaviours in the order they were planned; the first that matches is taken."""

    def __init__(self) -> None:
        self._planned: list[Planned[Subject]] = []

    def plan(
        self,
        kind: str,
        *,
        count: int | None = 1,
        matches: Callable[[Subject], bool] = lambda _: True,
        **arguments: str | float,
    ) -> None:
        self._planned.append(Planned(kind, matches, count, arguments))

    def take(self, subject: Subject, *kinds: str) -> Planned[Subject] | None:
        """The first behaviour of these kinds that is meant for `subject`, used up by one; None without any."""
        for planned in self._planned:
            if planned.kind in kinds and planned.matches(subject):
                if planned.count is not None:
                    planned.count -= 1
                    if planned.count <= 0:
                        self._planned.remove(planned)
                return planned
        return None

    def reset(self) -> None:
        self._planned.clear()


def pseudonym(*parts: str) -> str:
    """What stands for an identity in a simulator's lists: 16 hex digits, the same for the same parts."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
