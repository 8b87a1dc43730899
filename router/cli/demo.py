"""`segur-router demo`: the story of `make demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router.cli.output import Exit, console, fail
from router.language import _


def add_to(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, for your own messages.")] = False,
    bus: Annotated[str, typer.Option(help="sqlite, or kafka (a broker and PostgreSQL are started).")] = "sqlite",
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("var/demo"),
    seed: Annotated[int, typer.Option(help="Another seed, other patients.")] = 1,
) -> None:
    """Play a hospital's day on simulators: every outcome is checked from the outside. Ends with 1 when one differs."""
    import asyncio

    from router.demo.backends import backend
    from router.demo.play import play

    if bus not in ("sqlite", "kafka"):
        fail(_("no such bus: {name} (one of {known})", name=bus, known="sqlite, kafka"))
    if not console.is_terminal:
        console.width = 150  # a log or a pipe folds nothing
    with backend(bus) as extra:
        good = asyncio.run(play(folder.resolve(), seed=seed, keep=keep, console=console, bus=extra))
    raise typer.Exit(Exit.GOOD if good else Exit.BAD)
