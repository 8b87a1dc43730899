"""`segur-router topics`: what the bus must look like for this site, and whether it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from router.audit.event import Action
from router.cli import audited, rights
from router.cli.output import Exit, console, fail, said, show_json, told
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.language import _, filled_plural, plural, translated
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from router.contracts import TopicPlan
    from router.runtime.site_services import SiteServices

MOST_PARTITIONS: Final = 1024
"""What a site file may ask for (`limits.partitions`)."""

commands = typer.Typer(no_args_is_help=True, help="Topics of the bus: plan, apply, migrate.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="topics")


def _services(site: Path) -> SiteServices:
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.site_services import SiteServices

    logs.configure(level="WARNING")
    return SiteServices(Site(site))


def _retention(plan: TopicPlan) -> str:
    if plan.retention is None:
        return _("without end")
    return translated(filled_plural("{count} day", "{count} days", plan.retention / 86_400))


@commands.command()
def plan(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Show the topics this site needs, and how the bus differs. Ends with 1 when it does."""
    from router.bus.opening import open_bus

    services = _services(site)
    try:
        plans = services.plans()
        bus = open_bus(services.bus_config())
        differences = list(bus.check(plans))
        bus.close()
    finally:
        services.close()
    if as_json:
        show_json(
            {
                "plans": [{"name": p.name, "partitions": p.partitions, "retention": p.retention} for p in plans],
                "differences": differences,
            }
        )
    else:
        rows = Rows(_("Topic"), _("Partitions"), _("Retention"), _("Largest record"), right=(1,))
        for one in plans:
            largest = _("{mib} MiB", mib=f"{one.max_bytes / 2**20:g}")
            rows.add(said(one.name), str(one.partitions), _retention(one), largest)
        rows.show(console)
        _show(differences)
    raise typer.Exit(Exit.BAD if differences else Exit.GOOD)


def _show(differences: list[str]) -> None:
    for difference in differences:
        console.print(f"[yellow]≠[/] {told(difference)}", soft_wrap=True)


@commands.command()
def apply(site: SiteOption = DEFAULT_SITE) -> None:
    """Create what is missing, set what may be set in place. Ends with 1 when the bus still differs, and says how."""
    services = _services(site)
    try:
        rights.need_administrator(services, Action.DECIDED, "topics")
        plans = services.plans()
        left = list(services.bus.check(plans))  # the bus that `SiteServices` opens has every topic of the site
    finally:
        services.close()
    console.print(f"[green]✓[/] {said(plural('{count} topic', '{count} topics', len(plans)))}")
    _show(left)
    raise typer.Exit(Exit.BAD if left else Exit.GOOD)


@commands.command()
def migrate(
    topics: Annotated[list[str], typer.Argument(help="Drained topics to make anew, e.g. in.sil.")],
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Give drained topics their planned partitions. Stop the router first; their consumed records are gone."""
    from router.bus.opening import open_bus
    from router.contracts import out_topic

    services = _services(site)
    try:
        rights.need_administrator(services, Action.DECIDED, "topics", " ".join(topics))
        audited.record(services, Action.DECIDED, "topics", topics, detail="migrate")
        plans = {plan.name: plan for plan in services.plans()}
        unknown = sorted(set(topics) - plans.keys())
        if unknown:
            fail(_("not a topic of this site: {names}", names=", ".join(unknown)))
        standing = _standing(services, frozenset(topics))
        if standing:
            fail(
                plural(
                    "{count} delivery still stands on these topics: let it end, or resolve it, then try again",
                    "{count} deliveries still stand on these topics: let them end, or resolve them, then try again",
                    standing,
                )
            )
        for sink in services.config.sinks:
            if out_topic(sink) in topics:  # places begin at 0 again: a deletion must still come after what it deletes
                services.ledger().outdate(sink)
        bus = open_bus(services.bus_config())
        try:
            changed = bus.migrate([plans[name] for name in topics])
        finally:
            bus.close()
        services.ledger().remade(changed)
    finally:
        services.close()
    for name in changed:
        console.print(
            f"[green]✓[/] {said(name)}: {plural('{count} partition', '{count} partitions', plans[name].partitions)}"
        )
    done = plural(
        "topics made anew: {count} of {total}", "topics made anew: {count} of {total}", len(changed), total=len(topics)
    )
    console.print(done)


def _standing(services: SiteServices, topics: frozenset[str]) -> int:
    """Deliveries, unfinished or dead-lettered, whose bytes or whose place in the order are on one of the topics."""
    from router.contracts import out_topic

    ledger = services.ledger()
    rows = [row for name in services.config.sinks for row in ledger.unfinished(name, range(MOST_PARTITIONS))]
    rows += [row for row in ledger.dead() if row.delivery.strict]  # what follows it is parked where it stands
    lanes = sum(out_topic(row.delivery.sink) in topics for row in rows)
    bytes_only = [row for row in rows if out_topic(row.delivery.sink) not in topics]
    bytes_only += [row for row in ledger.dead() if not row.delivery.strict]
    return lanes + sum(row.bytes_at.topic in topics or row.delivery.origin.topic in topics for row in bytes_only)
