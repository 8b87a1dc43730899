"""What works in the background goes on after what nobody expected, and says so; or it ends where it is seen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from router.contracts import SystemClock, Unobserved
from router.directory import directory
from router.directory.settings import DirectoryConfig
from router.feedback.mailbox import Mailbox
from router.gateway.writer import BatchWriter, GroupCommit, Item
from router.runtime import maintenance, reload
from router.sinks.mssante.settings import ImapConfig


class Surprise(Exception):
    """What nobody expects."""


def surprising(then: Callable[[], Any]) -> tuple[Callable[..., Any], threading.Event]:
    """A function that fails once, and an event that says when it was called again."""
    calls, again = list[int](), threading.Event()

    def run(*_: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise Surprise
        again.set()
        return then()

    return run, again


def test_the_mailbox_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that come later are told to their senders all the same; meanwhile it measures that nobody reads it."""
    alerts: list[Mapping[str, str]] = []
    measured: list[tuple[str, float, Mapping[str, str]]] = []

    class Measuring(Unobserved):
        def set(self, measure: str, value: float, **labels: str) -> None:
            measured.append((measure, value, labels))

    config = ImapConfig.model_validate({"host": "127.0.0.1", "poll_seconds": 0.01})
    unused = cast(Any, SimpleNamespace(close=lambda: None))
    mailbox = Mailbox(
        "mssante.essai", config, unused, unused, tls=unused, user="", clock=SystemClock(), observer=Measuring(),
        alert=lambda _what, facts: alerts.append(facts), number=2,
    )  # fmt: skip
    poll, again = surprising(lambda: 0)
    monkeypatch.setattr(mailbox, "poll", poll)
    thread = threading.Thread(target=mailbox.run)
    thread.start()
    assert again.wait(20)
    mailbox.stop()
    thread.join(20)
    assert [facts["code"] for facts in alerts if "code" in facts] == ["BUG-Surprise"]
    labels = {"sink": "mssante.essai", "mailbox": "2"}
    assert measured[:2] == [("mailbox_ok", 0, labels), ("mailbox_ok", 1, labels)]


def test_the_directory_is_refreshed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The liste blanche does not grow old in silence."""
    monkeypatch.setattr(directory, "FAILED_SECONDS", 0.01)
    kept = directory.Directory(DirectoryConfig(), tmp_path, clock=SystemClock(), observer=Unobserved())
    refresh, again = surprising(lambda: True)
    monkeypatch.setattr(kept, "refresh", refresh)
    kept.start()
    assert again.wait(20)
    kept.close()


def test_the_pipelines_are_looked_at_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An edit that our own code fails on does not end the taking of edits."""
    monkeypatch.setattr(reload, "WATCH_SECONDS", 0.01)
    watched = reload.PipelineSet.__new__(reload.PipelineSet)
    watched._stop, watched._seen = threading.Event(), {}
    stamps = iter([{tmp_path: (one // 2, 0)} for one in range(1, 1_000)])
    monkeypatch.setattr(watched, "_stamps", lambda: next(stamps))
    again_once, again = surprising(lambda: None)
    monkeypatch.setattr(watched, "_again", again_once)
    thread = watched.watch()
    assert again.wait(20)
    watched.close()
    thread.join(20)


def test_the_log_of_the_bus_is_copied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(maintenance, "GAUGE_SECONDS", 0.01)
    checkpoint, again = surprising(lambda: None)
    kept = maintenance.Maintenance.__new__(maintenance.Maintenance)
    kept._stop = threading.Event()
    thread = threading.Thread(target=kept._checkpoints, args=(checkpoint,))
    thread.start()
    assert again.wait(20)
    kept._stop.set()
    thread.join(20)


def test_a_gateway_that_can_write_no_more_ends() -> None:
    """Its senders would wait for an answer for ever; a new one answers them."""

    class Failing:
        def write(self, _items: object) -> None:
            raise Surprise

    commit = GroupCommit(cast(BatchWriter, Failing()), lambda _items: None)
    commit.start()
    commit.put(cast(Item, SimpleNamespace(weight=1, error=None)))
    commit.close(20)
    assert commit.fatal is not None and commit.fatal.code == "BUG-Surprise"
