"""`segur-router wait-for`: ends once other processes are far enough. For init containers and health checks."""

from __future__ import annotations

from typing import Annotated

import typer

from router.cli.address import host_and_port
from router.cli.output import Exit, console, fail, told
from router.language import _

commands = typer.Typer(no_args_is_help=True, help="Wait until other processes of this router are far enough.")
PlacesArgument = Annotated[
    list[str], typer.Argument(help="host:port of administration ports; a name stands for every address behind it.")
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="wait-for")


def _tell(reason: str) -> None:
    console.print(told(reason), soft_wrap=True)


@commands.command()
def ready(
    places: PlacesArgument, timeout: Annotated[float, typer.Option(help="Seconds; then it ends with 3.")] = 60
) -> None:
    """Until every worker of these processes works."""
    from router.runtime.neighbours import ready as is_ready
    from router.runtime.neighbours import wait_for

    if not wait_for([host_and_port(place) for place in places], is_ready, seconds=timeout, told=_tell):
        fail(_("not ready after {seconds} s", seconds=f"{timeout:g}"), Exit.AWAY)


@commands.command()
def pipelines(
    places: PlacesArgument,
    timeout: Annotated[float, typer.Option(help="Seconds; then it ends with 3. 0: for ever.")] = 0,
    form: Annotated[
        int | None,
        typer.Option("--format", help="Number of the format of events; default: that of this version.", min=1),
    ] = None,
) -> None:
    """Until every pipelines process reads the events that this version writes: a new gateway starts after that."""
    from router.contracts import EVENT_FORMAT
    from router.runtime.neighbours import reads, wait_for

    hosts = [host_and_port(place) for place in places]
    if not wait_for(hosts, reads(form or EVENT_FORMAT), seconds=timeout or None, told=_tell):
        fail(_("pipelines are not far enough after {seconds} s", seconds=f"{timeout:g}"), Exit.AWAY)
