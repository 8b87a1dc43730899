"""The story of `make demo`, as a newcomer runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typed import present

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def _play(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "router.cli.main", "--lang", "en", "demo", "--folder", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_every_outcome_is_as_promised(tmp_path: Path) -> None:
    """Nominal, replaced, deleted, refused, retried, repeated, killed: the last line says that all are as promised."""
    last = _play(tmp_path / "demo").splitlines()[-1]
    kept, of = present(re.fullmatch(r"demo: (\d+) of (\d+) outcomes as promised", last)).groups()
    assert kept == of
    assert int(of) >= 19


@pytest.mark.integration
def test_the_same_story_on_kafka_and_postgresql(tmp_path: Path) -> None:
    """Nothing above the bus knows which one it is."""
    last = _play(tmp_path / "demo", "--bus", "kafka").splitlines()[-1]
    assert re.fullmatch(r"demo: (\d+) of \1 outcomes as promised", last)
