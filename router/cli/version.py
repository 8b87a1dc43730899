"""`segur-router --version`, and `segur-router version` for that of the libraries too."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed
from typing import Annotated

import typer

from router.cli.output import console, show_json
from router.software import our_version


def add_to(app: typer.Typer) -> None:
    app.command()(version)


def add_option_to(app: typer.Typer) -> None:
    """The `--version` option of the command itself."""

    @app.callback()
    def options(
        shown: Annotated[
            bool, typer.Option("--version", help="Show the version and end.", is_eager=True, callback=_show)
        ] = False,
    ) -> None:
        """What stands before the name of a command."""


def _show(asked: bool) -> None:
    if asked:
        print(f"segur-router {our_version()}")
        raise typer.Exit


def version(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show the version of the router and of what it stands on."""
    values = {name: installed(name) for name in ("segur-router", "kafka-python", "lxml", "hl7apy", "pydantic")}
    values["python"] = platform.python_version()
    if as_json:
        show_json(values)
        return
    for name, value in values.items():
        console.print(f"{name:14} {value}")
