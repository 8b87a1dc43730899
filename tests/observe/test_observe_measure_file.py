"""Measures on a full disk: no process ends for want of room for its counters."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.observe import measure_file
from router.observe.measure_file import MeasureFile
from tests.small_disk import mounted

PROGRAM = """
import sys
import time
from pathlib import Path
from router.observe.metrics import Metrics, exposition, share_between_processes
folder = Path(sys.argv[1])
share_between_processes(folder / "metrics")
(folder / "metrics").mkdir(exist_ok=True)
with (folder / "filler").open("wb", buffering=0) as filler:
    for size in (1 << 16, 1 << 12, 1):
        try:
            while True:
                filler.write(bytes(size))
        except OSError:
            pass
metrics = Metrics()
def count(number):
    metrics.count("messages_received_total", feed=f"feed-{number}", source="mllp")
for number in range(3000):
    count(number)
print("alive")
assert b"feed-1" not in exposition()
(folder / "filler").unlink()
time.sleep(0.3)
count(1)
text = exposition().decode()
assert 'segur_messages_received_total{feed="feed-1",source="mllp"} 2.0' in text, text[:500]
assert 'segur_messages_received_total{feed="feed-2999",source="mllp"} 1.0' in text
print("told")
"""


def _stored(path: str) -> Iterator[tuple[str, float, float, int]]:
    found: Iterator[tuple[str, float, float, int]] = MeasureFile.read_all_values_from_file(path)  # type: ignore[no-untyped-call]
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB."""
    with mounted(tmp_path / "disk", 2) as folder:
        yield folder


def test_a_process_that_starts_on_a_full_disk_works_and_tells_its_measures_later(small_disk: Path) -> None:
    """No SIGBUS at the first measure, nor at a later one; what was counted meanwhile is told once there is room."""
    program = "import router.observe.measure_file as m; m._AGAIN = 0.2" + PROGRAM
    ended = subprocess.run(
        [sys.executable, "-c", program, str(small_disk)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout.splitlines()[-2:]) == (0, ["alive", "told"]), ended.stderr
    assert ended.stdout.count("alert=metrics-lost") == 1


def test_room_that_ends_later_keeps_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can't grow goes on with the measures that it has; the new ones follow when it can."""
    monkeypatch.setattr(measure_file, "_AGAIN", 0.0)
    path = str(tmp_path / "counter_1.db")
    values = MeasureFile(path)
    values.write_value("first", 1.0, 0.0)
    real = os.posix_fallocate

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(4000):
        values.write_value(f"key-{number:04}", float(number), 0.0)
    values.write_value("first", 2.0, 0.0)
    kept = {key: value for key, value, *_ in _stored(path)}
    assert kept["first"] == 2.0 and kept["key-0001"] == 1.0 and "key-3999" not in kept
    assert values.read_value("key-3999") == (3999.0, 0.0)
    monkeypatch.setattr(os, "posix_fallocate", real)
    values.write_value("last", 3.0, 0.0)
    kept = {key: value for key, value, *_ in _stored(path)}
    assert len(kept) == 4002 and kept["key-3999"] == 3999.0 and kept["last"] == 3.0
    values.close()  # type: ignore[no-untyped-call]


def test_a_process_of_a_number_that_was_used_goes_on_counting(tmp_path: Path) -> None:
    """The counters of an ended process stay in the sum, also when another gets its number."""
    path = str(tmp_path / "counter_1.db")
    first = MeasureFile(path)
    first.write_value("a", 5.0, 0.0)
    first.close()  # type: ignore[no-untyped-call]
    assert MeasureFile(path).read_value("a") == (5.0, 0.0)
