"""Measures of several processes in one answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os
import sys
from pathlib import Path
from router.observe.metrics import Metrics, exposition, share_between_processes
share_between_processes(Path(sys.argv[1]))
if os.fork() == 0:
    Metrics().count("acks_total", feed="sil", ack="AA")
    os._exit(0)
os.wait()
metrics = Metrics()
for name in ("liste_blanche_timestamp_seconds", "journal_timestamp_seconds", "disk_free_bytes", "disk_size_bytes"):
    metrics.set(name, 1796040000)
print(exposition().decode())
"""
ONE_PROCESS_ALONE = (
    "liste_blanche_timestamp_seconds",
    "journal_timestamp_seconds",
    "disk_free_bytes",
    "disk_size_bytes",
)


def test_a_process_that_measures_nothing_does_not_count(tmp_path: Path) -> None:
    """A gauge without labels is that of the processes that have set it; others do not say 0."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "metrics")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for name in ONE_PROCESS_ALONE:
        assert f"\nsegur_{name} 1.79604e+09\n" in done.stdout, name
    assert 'segur_acks_total{ack="AA",feed="sil"} 1.0' in done.stdout
    assert "segur_topics_differing" not in done.stdout, "nobody has compared the topics"
