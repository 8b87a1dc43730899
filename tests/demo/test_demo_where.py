"""What the demo tells to look at can be looked at."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from router.demo.play import _where


@pytest.mark.parametrize("lasting", [True, False])
def test_commands_are_told_only_where_they_work(tmp_path: Path, lasting: bool) -> None:
    """Broker and database of a demo on Kafka end with it: `explain` and `dlq` would find nobody."""
    played: Any = SimpleNamespace(folder=tmp_path, site=tmp_path / "router.yaml", log=tmp_path / "router.log")
    console = Console(record=True, width=300)
    _where(console, played, lasting=lasting)
    told = console.export_text()
    assert ("dlq ls" in told, "explain <MSH-10>" in told, "--keep" in told) == (lasting, lasting, not lasting)
