"""docs/install.md: what it tells to type is what the program prints and what the simulators obey."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path

from router.simulators.mssante import MssanteConfig, MssanteSimulator
from router.starter.profiles import PROFILES
from tests.cli.cli import command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "install.md").read_text(encoding="utf-8")
CONTROL = re.compile(r"^curl -s (?:-d '(?P<body>[^']*)' )?http://127\.0\.0\.1:PORT(?P<path>/\w+)", re.MULTILINE)


def test_the_commands_of_the_page_are_those_that_init_prints(tmp_path: Path) -> None:
    """Whoever reads the page and whoever reads the screen type the same."""
    printed = [line.partition("&& ")[2] for line in command("init", str(tmp_path / "essai")).out.splitlines()]
    commands = [line for line in printed if line.startswith("segur-router ")]
    assert len(commands) == 4
    assert [line for line in commands if line not in PAGE] == []


def test_the_page_names_every_profile() -> None:
    """A profile that nobody reads of is not used."""
    assert set(re.findall(r"`--profile (\w+)`", PAGE)) == set(PROFILES)


def test_the_simulated_operator_obeys_the_commands_of_the_page() -> None:
    """Each line for a control port is taken as it stands there."""
    lines = list(CONTROL.finditer(PAGE))
    assert len(lines) == 5

    def ask(port: int) -> None:
        for line in lines:
            body = line["body"].encode() if line["body"] is not None else None
            request = urllib.request.Request(f"http://127.0.0.1:{port}{line['path']}", body)
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                assert answer.status == 200

    async def play() -> None:
        async with MssanteSimulator(MssanteConfig()) as operator:
            await asyncio.to_thread(ask, operator.control_port)

    asyncio.run(play())
