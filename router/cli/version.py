"""`segur-router version`: that of the router and of its libraries."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed
from typing import Annotated

import typer

from router.cli.output import console, show_json


def add_to(app: typer.Typer) -> None:
    app.command()(version)


def version(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show the version of the router and of what it stands on."""
    values = {name: installed(name) for name in ("segur-router", "kafka-python", "lxml", "hl7apy", "pydantic")}
    values["python"] = platform.python_version()
    if as_json:
        show_json(values)
        return
    for name, value in values.items():
        console.print(f"{name:14} {value}")
