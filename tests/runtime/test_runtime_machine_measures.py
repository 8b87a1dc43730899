"""What the supervisor measures of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.config.load import Source
from router.contracts import Unobserved
from router.runtime.supervisor.machine_measures import BACKUP, MachineMeasures


class Seen(Unobserved):
    """An observer that keeps what is set."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.values[measure] = value


def _site(folder: Path) -> Source:
    path = folder / "router.yaml"
    path.write_text("environment: qualification\nadmin: {port: 0}\n")
    return Source(path)


def test_the_disk_of_the_data_folder_is_measured(tmp_path: Path) -> None:
    """Free bytes and the size; a folder that is away leaves the last values as they are."""
    seen = Seen()
    MachineMeasures(tmp_path, _site(tmp_path), seen).look()
    assert 0 < seen.values["disk_free_bytes"] < seen.values["disk_size_bytes"]
    MachineMeasures(tmp_path / "away", _site(tmp_path), seen).look()


@pytest.mark.parametrize(
    ("text", "expected"),
    [(json.dumps({"finished": 1796040000.5}), 1796040000.5), (None, 0), ("{", 0), ('{"finished": null}', 0), ("[]", 0)],
)
def test_the_last_backup_is_known_by_its_file(tmp_path: Path, text: str | None, expected: float) -> None:
    """When the last good backup ended; 0 where there was none, or the file says nothing that can be read."""
    if text is not None:
        (tmp_path / BACKUP).write_text(text)
    seen = Seen()
    MachineMeasures(tmp_path, _site(tmp_path), seen).look()
    assert seen.values["backup_timestamp_seconds"] == expected


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("environment: qualification\nadmin: {port: 0}\n", 0),
        ("# a remark\nadmin:\n  port: 0\nenvironment: qualification\n", 0),
        ("environment: qualification\nadmin: {port: 9464}\n", 1),
        ("environment: [", 1),
        (None, 1),
    ],
    ids=["same", "remarks and order", "another value", "no YAML", "removed"],
)
def test_a_site_file_that_says_something_else_than_at_the_start_is_seen(
    tmp_path: Path, text: str | None, changed: int
) -> None:
    """`status` and an alert say so until the router is restarted, or the file is what it was."""
    seen = Seen()
    started_with = _site(tmp_path)
    measures = MachineMeasures(tmp_path, started_with, seen)
    if text is None:
        started_with.path.unlink()
    else:
        started_with.path.write_text(text)
    measures.look()
    assert seen.values["site_file_changed"] == changed
    started_with.path.write_text(started_with.text)
    measures.look()
    assert seen.values["site_file_changed"] == 0
