"""What the ledger is asked about dead letters, and what it answers: counts, and pages of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from router.contracts.bus import Record


def cause(stage: str, where: str, code: str, place: str) -> str:
    """Fingerprint of a dead letter, 12 hex digits.

    Dead letters of the same stage, code and place have the same one. `where`: the sink, the pipeline, or the feed.
    """
    return hashlib.sha256(f"{stage}|{where}|{code}|{place}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadWanted:
    """Which dead letters: those that agree with everything that is set.

    equal:        sink, cause, code, feed, pipeline -> value; of letters without a row also place, and no sink
    since, until: of the last attempt, Unix seconds; from `since` on, before `until`
    within:       only those of these structures (FINESS); None: of any and of none
    events:       only those of these events; None: of any
    """

    equal: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0
    until: float | None = None
    within: Collection[str] | None = None
    events: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Beyond:
    """The place behind which a page of dead letters begins.

    last: Unix time of the last attempt;  of_moment: of those that have the same time, the page has those behind this
    id, all (True), or none (False)
    """

    last: float
    of_moment: str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadGroup:
    """Dead rows that agree in all of this. Times are Unix seconds; `sample` is the id of one of them."""

    sink: str
    cause: str
    code: str
    feed: str
    pipeline: str
    count: int
    first: float
    last: float
    sample: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Dead letters without a row that share all of `equal`. sample: one of them, without bytes.

    equal: cause, code, place, feed, pipeline, as `DeadWanted.equal` takes them
    first, last: Unix seconds
    """

    equal: Mapping[str, str]
    sample: Record
    count: int
    first: float
    last: float
