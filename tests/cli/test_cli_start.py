"""What every command pays before it does anything."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pydantic", "sqlalchemy", "structlog", "asyncio", "lxml", "hl7apy", "cryptography", "starlette", "aiohttp")


def test_the_command_line_starts_without_the_libraries_of_its_commands() -> None:
    """The declaration of all commands imports typer and rich alone; each command imports its own libraries when it
    runs."""
    script = f"import sys, router.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
