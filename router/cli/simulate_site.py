"""`segur-router simulate site`: one command for everything outside the router."""

from __future__ import annotations

from router.cli.output import console, said
from router.cli.site import DEFAULT_SITE, SiteOption
from router.language import _


def simulate_site(site: SiteOption = DEFAULT_SITE) -> None:
    """Everything that a site file names outside the router: DMP, MSSanté operator, receivers. Ctrl-C ends them all."""
    import asyncio

    from router.config.site import Site
    from router.starter.simulated import simulated

    read = Site(site)

    async def run() -> None:
        async with simulated(read) as stands:
            for stand in stands:
                console.print(f"[green]✓[/] {said(', '.join(stand.sinks))}", soft_wrap=True)
                control = _("its control port: {address}", address=stand.control)
                console.print(f"    {said('  '.join(stand.addresses))}\n    [dim]{said(control)}[/]", soft_wrap=True)
            console.print(f"[bold green]{said(_('ready: Ctrl-C ends them all'))}[/]")
            await asyncio.Event().wait()

    asyncio.run(run())
