"""Walks along the chain and says where it is not as it was written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from router.audit.chain import AuditRow, Chain, Mark

Rows = Callable[[int, int], Sequence[AuditRow]]
"""(after this number, so many): rows in the order of their numbers."""

_AT_ONCE: Final = 1000


class Fault(StrEnum):
    """What is wrong with the chain."""

    KEY = "key"
    """It was made with another secret: nothing can be said of it."""
    BEGIN = "begin"
    """The mark that says up to where it was purged is not ours."""
    CHANGED = "changed"
    """The row at this number was changed; the one after it still hangs on it."""
    REMOVED = "removed"
    """No row has this number, but later ones are there."""
    INSERTED = "inserted"
    """The row at this number was put in; the one that was written there stands behind it."""
    REORDERED = "reordered"
    """Another row stands at this number, and the one that was written there stands later."""
    ALTERED = "altered"
    """The row at this number does not hang on the one before: changed, put in, or those between were removed."""
    CUT = "cut"
    """The chain ends before this number, which it had reached."""
    REWOUND = "rewound"
    """At this number stands another row than the one that was known: rows were cut off, and others written since."""
    SENT = "sent"
    """The mark that says how far the collector has the rows is not ours, or names a row that is not there."""
    ANCHOR = "anchor"
    """The file that remembers how far the chain reached is not ours."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong. `number`: of the row, 0 where none is meant."""

    fault: Fault
    number: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk found.

    rows: how many were looked at;  begin: the last row that was purged, or the mark where the walk began
    head: the last row that is right;  finding: None when all is
    anchored: whether something outside of the table was there to compare the end with
    """

    rows: int
    begin: Mark
    head: Mark
    finding: Finding | None = None
    anchored: bool = False

    @property
    def whole(self) -> bool:
        return self.finding is None


def walk(chain: Chain, rows: Rows, begin: Mark) -> Verdict:
    """Every row after `begin`, up to the first that is wrong."""
    head, count = begin, 0
    while batch := rows(head.number, _AT_ONCE):
        for place, row in enumerate(batch):
            if row.number != head.number + 1:
                return Verdict(count, begin, head, Finding(Fault.REMOVED, head.number + 1))
            if not chain.follows(head, row):
                later = [*batch[place + 1 :], *rows(batch[-1].number, _AT_ONCE)]
                return Verdict(count, begin, head, Finding(_kind(chain, head, row, later), row.number))
            head = row.mark
            count += 1
    return Verdict(count, begin, head)


def _kind(chain: Chain, before: Mark, row: AuditRow, later: Sequence[AuditRow]) -> Fault:
    """What was done to the row that does not fit after `before`, as far as those behind it tell."""
    if later and chain.follows(row.mark, later[0]):
        return Fault.CHANGED
    for place, other in enumerate(later):
        if chain.follows(before, other):
            own = Mark(before.number + 1, other.mac)
            following = later[place + 1 :]
            shifted = not following or chain.follows(own, following[0])
            return Fault.INSERTED if shifted else Fault.REORDERED
    return Fault.ALTERED
