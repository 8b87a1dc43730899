"""`segur-router topics`: what the bus must look like for this site, and whether it does."""

from __future__ import annotations

import typer
from rich.table import Table

from router.cli.output import Exit, console, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.config.site import Site
from router.contracts import TopicPlan
from router.observe import logs
from router.runtime.house import House

commands = typer.Typer(no_args_is_help=True, help="Topics of the bus: plan, apply.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="topics")


def _retention(plan: TopicPlan) -> str:
    return "for ever" if plan.retention is None else f"{plan.retention / 86_400:g} days"


@commands.command()
def plan(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Show the topics this site needs, and how the bus differs. Ends with 1 when it does."""
    logs.configure(level="WARNING")
    house = House(Site(site))
    try:
        plans = house.plans()
        bus = house.bus_config().open()
        differences = list(bus.check(plans))
        bus.close()
    finally:
        house.close()
    if as_json:
        show_json(
            {
                "plans": [{"name": p.name, "partitions": p.partitions, "retention": p.retention} for p in plans],
                "differences": differences,
            }
        )
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("Topic", "Partitions", "Retention", "Largest record"):
            table.add_column(name)
        for one in plans:
            table.add_row(one.name, str(one.partitions), _retention(one), f"{one.max_bytes / 2**20:g} MiB")
        console.print(table)
        for difference in differences:
            console.print(f"[yellow]≠[/] {difference}", soft_wrap=True)
    raise typer.Exit(Exit.BAD if differences else Exit.GOOD)


@commands.command()
def apply(site: SiteOption = DEFAULT_SITE) -> None:
    """Create what is missing. What exists and can't keep our promises is refused, with what to change."""
    logs.configure(level="WARNING")
    house = House(Site(site))
    try:
        house.bus.create(house.plans())
        console.print(f"[green]✓[/] {len(house.plans())} topics")
    finally:
        house.close()
