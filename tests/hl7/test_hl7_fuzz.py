"""A short run of the fuzz job of `benchmarks/reader`."""

from __future__ import annotations

from benchmarks.reader.fuzz import run


def test_mutated_frames_are_answered() -> None:
    """A few thousand mutated frames: each is answered, none raises anything but `Malformed`, none is slow."""
    report = run(3000, seed=20261123, seconds=4)
    assert report.findings == []
    assert report.frames > 200 and set(report.answers) == {"AA", "AE"}
