"""The command line as an operator uses it: a process of its own, while the router runs in others."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*words: str, folder: Path = ROOT, typed: str = "") -> Said:
    """Run a command; no traceback ever reaches an operator."""
    line = [sys.executable, "-m", "router.cli.main", *words]
    done = subprocess.run(line, cwd=folder, input=typed, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


async def typed(site: Path, *words: str, answer: str = "") -> Said:
    """The same beside a running event loop, on a site."""
    return await asyncio.to_thread(command, *words, "--site", str(site), typed=answer)
