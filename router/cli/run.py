"""`segur-router run`: the router itself."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from router.cli.output import Exit, console, fail
from router.cli.site import DEFAULT_SITE, SiteOption


def add_to(app: typer.Typer) -> None:
    app.command()(run)


def run(
    site: SiteOption = DEFAULT_SITE,
    only: Annotated[
        str, typer.Option(help="Run only these roles here: gateway, pipelines, sinks, feedback, journal (commas).")
    ] = "",
    slot: Annotated[
        int | None,
        typer.Option(help="Run one worker, under this number; --only names its role.", envvar="SEGUR_SLOT", min=0),
    ] = None,
) -> None:
    """Run the router: one process per role, restarted when they fall; Ctrl-C drains and stops within 10 s."""
    signal.signal(signal.SIGTERM, _stopped_early)
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.roles import ROLES
    from router.runtime.supervisor.router_process import RouterProcess

    roles = [role.strip() for role in only.split(",") if role.strip()]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        fail(f"no such role: {', '.join(unknown)} (one of {', '.join(ROLES)})")
    logs.configure(role="supervisor")
    running = RouterProcess(Site(site), roles, slot)

    def ready() -> None:
        for name, port in running.ports().items():
            console.print(f"[green]listening[/] {name} on port {port}")
        admin = running.site.config.admin
        if admin.port:
            console.print(f"[green]listening[/] administration on http://{admin.host}:{admin.port}/metrics")
        console.print(f"[bold green]ready[/] {', '.join(running.counts)}")

    raise typer.Exit(Exit.GOOD if asyncio.run(running.run(ready)) == 0 else Exit.BAD)


def _stopped_early(*_: object) -> None:
    """Before there is anything to drain. Process 1 of a container has no default action for a signal."""
    raise SystemExit(0)
