"""`segur-router run`: the router itself."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from router.cli.output import Exit, console, fail, said
from router.cli.site import DEFAULT_SITE, SiteOption
from router.language import _


def add_to(app: typer.Typer) -> None:
    app.command()(run)


def run(
    site: SiteOption = DEFAULT_SITE,
    only: Annotated[
        str, typer.Option(help="Only these roles here: gateway, pipelines, sinks, feedback, journal, console (commas).")
    ] = "",
    slot: Annotated[
        int | None,
        typer.Option(help="Run one worker, under this number; --only names its role.", envvar="SEGUR_SLOT", min=0),
    ] = None,
) -> None:
    """Run the router: one process per role, restarted when they fall; Ctrl-C drains and stops within 10 s."""
    signal.signal(signal.SIGTERM, _stopped_early)
    import asyncio

    from router.config.site import Site
    from router.observe import logs
    from router.runtime.roles import ROLES
    from router.runtime.supervisor.router_process import RouterProcess

    roles = [role.strip() for role in only.split(",") if role.strip()]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        fail(_("no such role: {names} (one of {known})", names=", ".join(unknown), known=", ".join(ROLES)))
    logs.configure(role="supervisor")
    running = RouterProcess(Site(site), roles, slot)

    console.print(said(_("starting: {roles}", roles=", ".join(running.counts))))

    def ready() -> None:
        for name, port in running.ports().items():
            console.print(said(_("listening: {name}, port {port}", name=name, port=port)), style="green")
        admin = running.site.config.admin
        if admin.port:
            address = f"http://{admin.host}:{admin.port}/metrics"
            console.print(said(_("listening: administration, {address}", address=address)), style="green")
        console.print(said(_("ready: {roles}", roles=", ".join(running.counts))), style="bold green")

    raise typer.Exit(Exit.GOOD if asyncio.run(running.run(ready)) == 0 else Exit.BAD)


def _stopped_early(*_: object) -> None:
    """Before there is anything to drain. Process 1 of a container has no default action for a signal."""
    raise SystemExit(0)
