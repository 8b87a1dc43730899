"""A join that ended between two polls is fetched by the next one, unless it may have been overtaken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import RebalanceInProgressError
from kafka.future import Future

from router.bus.kafka.patches.kept_join import keep_join


def client(task: Future | None) -> Any:
    return SimpleNamespace(_coordinator=SimpleNamespace(_join_task=task))


def test_what_succeeded_a_moment_ago_is_still_to_be_fetched() -> None:
    raw = client(Future().success(b"assignment"))
    got: list[bytes] = []
    keep_join(raw, fresh=True)
    kept = raw._coordinator._join_task
    assert not kept.is_done
    kept.add_callback(got.append)
    assert got == [b"assignment"]


def test_what_is_in_flight_is_waited_for_even_by_a_member_that_was_long_away() -> None:
    task = Future()
    got: list[bytes] = []
    raw = client(task)
    keep_join(raw, fresh=False)
    keep_join(raw, fresh=True)
    raw._coordinator._join_task.add_callback(got.append)
    task.success(b"assignment")
    assert got == [b"assignment"]


@pytest.mark.parametrize("kept_before", [False, True])
def test_what_succeeded_long_ago_is_thrown_away(kept_before: bool) -> None:
    """The broker may have given the partitions to others since: the member joins again."""
    raw = client(task := Future())
    if kept_before:
        keep_join(raw, fresh=True)
    task.success(b"assignment")
    keep_join(raw, fresh=False)
    assert raw._coordinator._join_task is None


def test_what_failed_is_done() -> None:
    raw = client(Future().failure(RebalanceInProgressError()))
    keep_join(raw, fresh=True)
    assert raw._coordinator._join_task.is_done


def test_without_a_join_there_is_nothing_to_keep() -> None:
    raw = client(None)
    keep_join(raw, fresh=True)
    assert raw._coordinator._join_task is None
