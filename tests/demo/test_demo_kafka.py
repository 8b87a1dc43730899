"""The story on a real broker and a real database."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from router.demo.play import play
from router.demo.services import kafka_and_postgresql

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]


def test_story_on_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every outcome of the demo is as promised on Kafka and PostgreSQL, kill -9 included."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "SEGUR_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    said = io.StringIO()
    with kafka_and_postgresql() as keys:
        story = play(tmp_path / "demo", seed=1, keep=False, console=Console(file=said, width=200), bus=keys)
        good = asyncio.run(story)
    assert good, said.getvalue()
    assert "demo: 16 of 16 outcomes as promised" in said.getvalue()
