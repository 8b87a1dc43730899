"""A topic's partitions as one sequence, by time: what an operator's command shows."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

from router.contracts import Record


def merged(parts: Iterable[Iterable[Record]], *, newest_first: bool, limit: int | None) -> Iterator[Record]:
    """Records of ordered partitions in one order; a partition's own order is kept whatever its clocks said."""
    joined = heapq.merge(*parts, key=lambda record: record.timestamp, reverse=newest_first)
    return itertools.islice(joined, limit)
