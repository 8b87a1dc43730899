"""An answer to a heart-beat counts from when it was asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from kafka.coordinator import heartbeat as theirs

from router.bus.kafka_beat import watch


def test_an_old_answer_read_late_proves_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked at 100, frozen, read at 107: we were a member at 100; the next question changes nothing until answered."""
    now = 100.0
    monkeypatch.setattr(theirs, "time", SimpleNamespace(monotonic=lambda: now))
    raw = SimpleNamespace(_coordinator=SimpleNamespace(heartbeat=theirs.Heartbeat(group_id="g")))
    beat = watch(raw)
    beat.sent_heartbeat()
    now = 107.0
    beat.received_heartbeat()
    assert (beat.last_receive, beat.proven) == (107.0, 100.0)
    beat.sent_heartbeat()
    assert beat.proven == 100.0
    now = 107.1
    beat.received_heartbeat()
    assert beat.proven == 107.0
