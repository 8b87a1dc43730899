"""Keeps a join that ended between two polls.

kafka-python (3.0.12, `BaseCoordinator.join_group_async`) takes up a join that is still in flight when it is polled
again, but throws away one that has meanwhile succeeded, and joins anew. Members whose polls are short, or far
between, would do so again and again, and none of them would ever be given a partition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer as RawConsumer
from kafka.future import Future


def keep_join(raw: RawConsumer, *, fresh: bool) -> None:
    """Before each poll. `fresh`: the last one was so lately that what ended since can't have been overtaken."""
    coordinator = raw._coordinator
    task = coordinator._join_task
    if task is None:
        return
    if task.succeeded() and not fresh:
        coordinator._join_task = None
    elif not isinstance(task, _Kept):
        coordinator._join_task = _Kept(task)


class _Kept:
    """The coordinator's own task, done only when it failed: a success is still to be fetched."""

    def __init__(self, task: Future) -> None:
        self._task = task

    @property
    def is_done(self) -> bool:
        return bool(self._task.failed())

    def succeeded(self) -> bool:
        return bool(self._task.succeeded())

    def add_callback(self, call: Callable[[Any], None]) -> None:
        self._task.add_callback(call)

    def add_errback(self, call: Callable[[BaseException], None]) -> None:
        self._task.add_errback(call)
