"""`segur-router reference`: what is generated from the models, so that nothing is written twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router.cli.output import Exit, console


def add_to(app: typer.Typer) -> None:
    app.command()(reference)


def reference(
    write: Annotated[bool, typer.Option("--write", help="Write the files; else say which are stale.")] = False,
    root: Annotated[Path, typer.Option(help="Root of the checkout.")] = Path(),
) -> None:
    """Generate schemas, reference and the chart's values from the models. Without --write: 1 when one is stale."""
    from router.config.chart.files import chart_files
    from router.config.reference import files

    stale = []
    for name, text in {**files(), **chart_files(root)}.items():
        path = root / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in stale:
        console.print(f"{'written' if write else 'stale'}: {name}")
    raise typer.Exit(Exit.GOOD if write or not stale else Exit.BAD)
