"""The command line as an operator uses it, beside a router that runs in processes of its own.

Called in this process: a story types many commands, and each process would load the whole router again.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from router.cli.main import app


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*words: str, typed: str = "") -> Said:
    """Run a command; it ends by itself or by one of our sentences, never by an exception."""
    result = CliRunner().invoke(app, words, input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


async def typed(site: Path, *words: str, answer: str = "") -> Said:
    """The same beside a running event loop, on a site."""
    return await asyncio.to_thread(command, *words, "--site", str(site), typed=answer)
