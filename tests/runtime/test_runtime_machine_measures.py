"""What the supervisor measures of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.contracts import Unobserved
from router.runtime.supervisor.machine_measures import BACKUP, MachineMeasures


class Seen(Unobserved):
    """An observer that keeps what is set."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.values[measure] = value


def test_the_disk_of_the_data_folder_is_measured(tmp_path: Path) -> None:
    """Free bytes and the size; a folder that is away leaves the last values as they are."""
    seen = Seen()
    MachineMeasures(tmp_path, seen).look()
    assert 0 < seen.values["disk_free_bytes"] < seen.values["disk_size_bytes"]
    MachineMeasures(tmp_path / "away", seen).look()


@pytest.mark.parametrize(
    ("text", "expected"),
    [(json.dumps({"finished": 1796040000.5}), 1796040000.5), (None, 0), ("{", 0), ('{"finished": null}', 0), ("[]", 0)],
)
def test_the_last_backup_is_known_by_its_file(tmp_path: Path, text: str | None, expected: float) -> None:
    """When the last good backup ended; 0 where there was none, or the file says nothing that can be read."""
    if text is not None:
        (tmp_path / BACKUP).write_text(text)
    seen = Seen()
    MachineMeasures(tmp_path, seen).look()
    assert seen.values["backup_timestamp_seconds"] == expected
