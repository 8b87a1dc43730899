"""`segur-router explain`: the whole story of any identifier, on one screen."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from router.cli.output import Exit, console, fail, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption

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
    from router.config.site import Site
    from router.journal.render import render
    from router.observe import logs
    from router.runtime.house import House

    logs.configure(level="WARNING")
    house = House(Site(site))
    try:
        names = [id_]
        if patient:
            of = house.pseudonyms.of
            names = [of("ins", id_), *(of("ipp", one.ipp_oid, id_) for one in house.config.structures.values())]
        stories = [story for name in names for story in house.journal.story(name, limit)][:limit]
        behind = house.journal.written_up_to()
    finally:
        house.close()
    if not stories:
        late = "" if behind is None else f" (journal written up to {time.strftime('%H:%M:%S', time.localtime(behind))})"
        fail(f"nothing is known under this identifier{late}", Exit.BAD)
    if as_json:
        show_json([asdict(story) for story in stories])
        return
    for story in stories:
        for line in render(story):
            console.print(line.text, style=_STYLES[line.style] or None, markup=False, soft_wrap=True)
        console.print()
