"""`segur-router status`: how the site is, on one screen."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from router.cli.address import host_and_port
from router.cli.output import Exit, console, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from router.runtime.status.views import Status


def add_to(app: typer.Typer) -> None:
    app.command()(status)


def status(
    site: SiteOption = DEFAULT_SITE,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="HOST:PORT", help="Also ask these administration ports, of other machines."),
    ] = None,
    watch: Annotated[
        float | None, typer.Option("--watch", metavar="SECONDS", min=0.5, help="Look again so often, until Ctrl-C.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the router is: processes, feeds, sinks, mailboxes, certificates, dead letters, what waits for a person.

    Ends with 0 when all is well, 1 when something waits for a person, 3 when the router is not running.
    """
    from router.cli.status_screen import screen
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.status.gather import Gatherer

    logs.configure(level="ERROR")
    gatherer = Gatherer(Site(site), [host_and_port(place) for place in at or ()])
    try:
        while True:
            found = gatherer.gather()
            if as_json:
                show_json(asdict(found) | {"exit": int(_exit(found))})
            else:
                lines = screen(found, site)
                if watch is not None and console.is_terminal:
                    console.clear()
                for line in lines:
                    _print(line)
            if watch is None:
                break
            time.sleep(watch)
    finally:
        gatherer.close()
    raise typer.Exit(_exit(found))


def _print(line: RenderableType) -> None:
    """A dead letter is cut at the terminal's width; a pipe gets it whole, and so does who copies a command."""
    overflow = line.overflow if isinstance(line, Text) else None
    whole = overflow == "ignore" or (isinstance(line, Text) and not console.is_terminal)
    console.print(line, no_wrap=overflow == "ellipsis", soft_wrap=whole, crop=not isinstance(line, Rows))


def _exit(found: Status) -> Exit:
    if not found.presence.running:
        return Exit.AWAY
    return Exit.BAD if found.attention else Exit.GOOD
