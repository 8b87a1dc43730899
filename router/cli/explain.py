"""`segur-router explain`: the whole story of any identifier, on one screen."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from router.cli.output import Exit, console, fail, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.language import _

if TYPE_CHECKING:
    from router.journal.render import Line
    from router.runtime.site_services import SiteServices

_NARROWEST: Final = 60
_STYLES = {"title": "bold", "plain": "", "good": "green", "warning": "yellow", "bad": "red", "dim": "dim"}


def add_to(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="MSH-10, document OID, Message-ID, delivery or event id; an INS or IPP with --patient."
        ),
    ],
    site: SiteOption = DEFAULT_SITE,
    patient: Annotated[
        bool, typer.Option("--patient", help="ID is an INS or an IPP: the last stories of a patient.")
    ] = False,
    limit: Annotated[int, typer.Option(help="At most so many stories.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a message: received, decided and why, attempts, receipts, what went back to the sender."""
    from router.cli.presence import absence_from
    from router.config.site import Site
    from router.journal import lateness
    from router.journal.render import mentioned, render
    from router.observe import logs
    from router.runtime.site_services import SiteServices

    logs.configure(level="WARNING")
    services = SiteServices(Site(site))
    try:
        names = [id_]
        if patient:
            of = services.pseudonyms.of
            names = [of("ins", id_), *(of("ipp", one.ipp_oid, id_) for one in services.config.structures.values())]
        stories = [story for name in names for story in services.journal.story(name, limit)][:limit]
        behind = lateness.behind(services.bus, services.journal, services.clock.now())
        absent = absence_from(services)
        others = _control_ids(services, set().union(*map(mentioned, stories)))
    finally:
        services.close()
    if not stories:
        if absent:
            fail(_("nothing is known under this identifier, and {reason}", reason=absent), Exit.BAD)
        if behind:
            fail(
                _(
                    "nothing is known under this identifier: the journal is {seconds} s late, try again",
                    seconds=f"{behind:.0f}",
                ),
                Exit.BAD,
            )
        fail(_("nothing is known under this identifier"), Exit.BAD)
    if as_json:
        show_json([asdict(story) | {"journal_behind_seconds": behind, "running": not absent} for story in stories])
        return
    for story in stories:
        for line in render(story, behind=behind, names=others, absent=absent):
            _print(line)
        console.print()


def _control_ids(services: SiteServices, events: set[str]) -> dict[str, str]:
    """MSH-10 by event id, of those that have one."""
    found = {event: services.journal.story(event, 1) for event in events}
    return {event: stories[0].event.control_id for event, stories in found.items() if stories}


def _print(line: Line) -> None:
    """One line, folded at the terminal's width under its own text; a pipe gets it whole."""
    folded = [line.text]
    if console.is_terminal:
        folded = wrap(
            line.text,
            max(console.width, _NARROWEST),
            subsequent_indent=" " * line.hang,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    for text in folded:
        console.print(text, style=_STYLES[line.style] or None, markup=False, soft_wrap=True)
