"""`segur-router search`: the documents that a person means by a doctor, a morning, a name; one paragraph for each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from router.cli import criteria
from router.cli.output import Exit, console, fail, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site, paste
from router.language import N_, _, plural

if TYPE_CHECKING:
    from pathlib import Path

    from router.journal.criteria import Found, FoundEvent
    from router.journal.views import DeliveryState

_OUTCOMES: Final = {
    "delivered": (N_("delivered"), "green"),
    "dead_lettered": (N_("failed"), "red"),
    "": (N_("waiting"), "yellow"),
    "filtered": (N_("filtered"), "yellow"),
    "superseded": (N_("superseded"), ""),
    "refused": (N_("refused"), "red"),
}
_MOST: Final = 1000


def add_to(app: typer.Typer) -> None:
    app.command()(search)


def search(
    site: SiteOption = DEFAULT_SITE,
    recipient: criteria.RecipientOption = "",
    structure: criteria.StructureOption = "",
    sender: criteria.SenderOption = "",
    type_: criteria.TypeOption = "",
    patient: criteria.PatientOption = "",
    outcome: criteria.OutcomeOption = "",
    code: criteria.CodeOption = "",
    feed: criteria.FeedOption = "",
    pipeline: criteria.PipelineOption = "",
    sink: criteria.SinkOption = "",
    since: criteria.SinceOption = "",
    until: criteria.UntilOption = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=_MOST, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Find messages by recipient, sender, patient, type, period, outcome…: all conditions together, newest first."""
    texts = {"recipient": recipient, "structure": structure, "sender": sender, "type": type_, "outcome": outcome}
    texts |= {"code": code, "feed": feed, "pipeline": pipeline, "sink": sink}
    with open_site(site) as services:
        wanted = criteria.asked(services, patient=patient, since=since, until=until, **texts)
        found = services.journal.search(wanted, limit)
    if as_json:
        show_json(asdict(found))
    else:
        _show(found, site)
    raise typer.Exit(Exit.GOOD if found.events else Exit.BAD)


def _show(found: Found, site: Path) -> None:
    for one in found.events:
        _event(one)
    if found.cut:
        console.print(said(_cut(found)), style="yellow", soft_wrap=True)
    elif not found.events:
        fail(
            _("no message answers to all of this; without a condition, or with an earlier --since, there may be"),
            Exit.BAD,
        )
    elif not found.complete:
        told = plural(
            "the {count} newest is shown, there are more: --limit, or one more condition",
            "the {count} newest are shown, there are more: --limit, or one more condition",
            len(found.events),
        )
        console.print(said(told), style="yellow", soft_wrap=True)
    else:
        count = len(found.events)
        console.print(said(plural("{count} message", "{count} messages", count)), soft_wrap=True)
    if found.events:
        event = found.events[0].event
        console.print(f"  {said(paste('explain', event.event_id, site=site))}", style="dim", soft_wrap=True)


def _cut(found: Found) -> str:
    from router.cli.times import moment

    advice = _("the search was cut after 5 s: give a period, or one more condition")
    if found.reached is None:
        return advice
    return f"{advice} ({_('everything since {moment} was looked at', moment=moment(found.reached))})"


def _event(one: FoundEvent) -> None:
    """When, MSH-10, from whom; below it what became of it."""
    from router.cli.times import moment

    event = one.event
    facts = [event.feed, event.sender, event.document_type, ", ".join(event.asked)]
    name = event.control_id or event.event_id
    told = "  ".join(said(fact) for fact in facts if fact)
    console.print(f"{moment(event.received)}  [bold]{said(name)}[/]  [dim]{told}[/]", soft_wrap=True)
    for end in one.ends:
        if not (end == "filtered" and one.deliveries):
            _line(end, event.code)
    for delivery in one.deliveries:
        _delivery(delivery)


def _delivery(delivery: DeliveryState) -> None:
    where = f"{delivery.sink} ({delivery.label})" if delivery.label else delivery.sink
    _line(delivery.disposition, "" if delivery.disposition == "delivered" else delivery.code, where)


def _line(outcome: str, code: str, where: str = "") -> None:
    word, style = _OUTCOMES.get(outcome, (outcome, ""))
    shown = f"[{style}]{said(_(word))}[/]" if style else said(_(word))
    console.print(f"    {shown}  {said(' '.join(part for part in (code, where) if part))}", soft_wrap=True)
