"""`segur-router console`: the pages for people, alone; `run` starts them with the router."""

from __future__ import annotations

import signal
from contextlib import closing

import typer

from router.cli.output import console as screen
from router.cli.output import said
from router.cli.site import DEFAULT_SITE, SiteOption
from router.language import _


def add_to(app: typer.Typer) -> None:
    app.command()(console)


def console(site: SiteOption = DEFAULT_SITE) -> None:
    """Serve the console of this site, until Ctrl-C: on a machine of its own, or beside a router that runs."""
    from router.config.safety import refusals
    from router.config.site import Site
    from router.console.service import ConsoleService
    from router.errors import ConfigFault
    from router.observe import logs
    from router.runtime.site_services import SiteServices

    logs.configure(role="console")
    found = Site(site)
    if refused := refusals(found):
        raise ConfigFault(refused)
    with closing(SiteServices(found)) as services, closing(ConsoleService(services)) as service:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        service.run(lambda: screen.print(said(_("console: {address}", address=service.address)), style="green"))
