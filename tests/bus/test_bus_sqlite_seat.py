"""A member of the embedded bus whose seat could not be written, as on a full disk."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import TopicPlan
from router.errors import Unavailable
from router.locks import FileLock


def test_a_member_whose_disk_was_full_as_it_joined_gets_its_share_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others count who has written what it reads: one that did not would get nothing for as long as it lives."""
    with closing(SqliteBus(tmp_path / "bus.db")) as bus:
        bus.create([TopicPlan("in.x", 4, None, 1000)])
        first = bus.consumer("g", ["in.x"], member="m-0")
        first.poll(max_records=1, max_bytes=1, timeout=0)
        assert len(first.assignment()) == 4
        second = bus.consumer("g", ["in.x"], member="m-1")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(FileLock, "write", full)
            with pytest.raises(Unavailable):
                second.poll(max_records=1, max_bytes=1, timeout=0)
        end = time.monotonic() + 5
        while len(second.assignment()) < 2 and time.monotonic() < end:
            for consumer in (first, second):
                consumer.poll(max_records=1, max_bytes=1, timeout=0.05)
        assert (len(first.assignment()), len(second.assignment())) == (2, 2)
        first.close()
        second.close()
