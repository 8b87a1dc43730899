"""`segur-router explain`: the whole story of any identifier, on one screen."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from router.cli import criteria
from router.cli.output import Exit, console, fail, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.language import _

if TYPE_CHECKING:
    from router.journal.render import Line

_NARROWEST: Final = 60
_STYLES = {"title": "bold", "plain": "", "good": "green", "warning": "yellow", "bad": "red", "dim": "dim"}


def add_to(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="MSH-10, document OID, Message-ID, delivery or event id; with --patient an INS, an IPP, or names and "
            "birth date.",
        ),
    ],
    site: SiteOption = DEFAULT_SITE,
    patient: Annotated[
        bool, typer.Option("--patient", help="ID is a patient, as `search --patient` takes him: his last stories.")
    ] = False,
    feed: criteria.FeedOption = "",
    since: criteria.SinceOption = "",
    until: criteria.UntilOption = "",
    limit: Annotated[int, typer.Option(help="At most so many stories.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a message: received, decided and why, attempts, receipts, what went back to the sender."""
    from router.cisis.patient_search import is_identity
    from router.cli.presence import absence_from
    from router.journal import lateness
    from router.journal.render import mentioned, render

    with open_site(site) as services:
        wanted = criteria.asked(services, feed=feed, since=since, until=until)
        names = [id_]
        if patient or is_identity(id_):
            names = criteria.patient_asked(services, id_)
        look = partial(services.journal.story, limit=limit, wanted=wanted, look_back=True)
        found = {story.event.event_id: story for name in names for story in look(name)}
        stories = sorted(found.values(), key=lambda story: story.event.received, reverse=True)[:limit]
        behind = lateness.behind(services.bus, services.journal, services.clock.now())
        absent = absence_from(services)
        others = services.journal.control_ids(set().union(*map(mentioned, stories)))
    if not stories:
        fail(f"{_why_nothing(absent, behind)}. {_forms()}", Exit.BAD)
    if as_json:
        show_json([asdict(story) | {"journal_behind_seconds": behind, "running": not absent} for story in stories])
        return
    for story in stories:
        for line in render(story, behind=behind, names=others, absent=absent):
            _print(line)
        console.print()


def _why_nothing(absent: str, behind: float | None) -> str:
    if absent:
        return _("nothing is known under this identifier, and {reason}", reason=absent)
    if behind:
        return _(
            "nothing is known under this identifier: the journal is {seconds} s late, try again",
            seconds=f"{behind:.0f}",
        )
    return _("nothing is known under this identifier")


def _forms() -> str:
    return _(
        "Known are: an MSH-10, the OID of a document, a Message-ID, the id of a delivery or of an event (its first 8"
        " digits are enough); a patient with --patient; a doctor, a sender or a period with `search`"
    )


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
