"""`segur-router audit`: who saw or did what; whether that is whole; a copy of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from router.cli import audited, criteria, rights
from router.cli.free_text import AuditedOption, unnamed
from router.cli.output import Exit, confirm, console, errors, fail, said, show_json
from router.cli.periods import period
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.cli.times import moment
from router.language import N_, _

if TYPE_CHECKING:
    from router.audit.chain import AuditRow, Mark
    from router.audit.rows import Wanted
    from router.audit.trail import AuditTrail
    from router.audit.verification import Verdict
    from router.runtime.site_services import SiteServices

commands = typer.Typer(no_args_is_help=True, help="Who saw or did what: list, verify, export.")

WhoOption = Annotated[str, typer.Option(metavar="NAME", help="Only this person, token or account; `system` too.")]
ActionOption = Annotated[
    str,
    typer.Option(metavar="WORD", help="Only this action: viewed, replayed, login, reloaded…; commas between several."),
]
ObjectOption = Annotated[str, typer.Option("--object", metavar="ID", help="Only what was done to this event, cause, …")]
RefusedOption = Annotated[bool, typer.Option("--refused", help="Only what was asked for and not granted.")]


class Form(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


FormOption = Annotated[Form, typer.Option("--format", help="csv, or one JSON value a line.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="audit")


@commands.command("ls")
def list_(
    site: SiteOption = DEFAULT_SITE,
    who: WhoOption = "",
    action: ActionOption = "",
    structure: criteria.StructureOption = "",
    object_: ObjectOption = "",
    refused: RefusedOption = False,
    since: criteria.SinceOption = "",
    until: criteria.UntilOption = "",
    before: Annotated[int | None, typer.Option(metavar="NUMBER", min=1, help="Rows before this one.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Rows of the audit, the newest first; `audit verify` tells whether they are as they were written."""
    from router.audit.export import audit_line

    with open_site(site) as services:
        wanted = _wanted(services, who, action, structure, object_, refused, since, until)
        rows = services.audit.search(wanted, before=before, limit=limit)
    if as_json:
        show_json([audit_line(row) for row in rows])
    elif rows:
        console.print(_table(rows))
        if len(rows) == limit:
            console.print(_("… older ones: --before {number}", number=rows[-1].number), style="dim")
    else:
        console.print(_("no row of the audit answers to this"), style="dim")


@commands.command()
def verify(
    site: SiteOption = DEFAULT_SITE,
    known: Annotated[
        str,
        typer.Option("--known", metavar="NUMBER:MAC", help="A row that must be there, from the log or the collector."),
    ] = "",
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Its end is missing because a backup was put back: go on from what is there."),
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="With --accept: why; it is audited.", callback=unnamed)
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Walk along the chain of rows and name the first that is not as it was written. Ends with 1 when there is one."""
    from router.audit.event import Action
    from router.audit.wording import verdict as in_words

    if accept and not reason.strip():
        fail(_("a reason is needed: it is what your colleagues will read"))
    with open_site(site) as services:
        found = services.audit.verify(known=_mark(known))
        if accept:
            rights.need_administrator(services, Action.VERIFIED, "audit")
        if accept and not found.whole:
            found = _accepted(services, found, reason, certain=yes or as_json)
        lagging = services.audit.waiting() if services.config.audit.collector is not None else None
    if as_json:
        show_json(asdict(found) | {"whole": found.whole})
    else:
        console.print(f"{'[green]✓[/]' if found.whole else '[bold red]✗[/]'} {said(in_words(found))}", soft_wrap=True)
        if found.whole and not found.anchored:
            text = _("nothing outside of the table to compare its end with: a cut end would not show (--known)")
            console.print(f"  {said(text)}", style="yellow", soft_wrap=True)
        if found.whole and found.head.number:
            console.print(f"  {said(_('last row: {mark}', mark=found.head))}", style="dim", soft_wrap=True)
        if lagging is not None and lagging[0]:
            console.print("  " + _("{count} rows wait for the collector", count=lagging[0]), style="dim")
    raise typer.Exit(Exit.GOOD if found.whole else Exit.BAD)


@commands.command()
def export(
    site: SiteOption = DEFAULT_SITE,
    who: WhoOption = "",
    action: ActionOption = "",
    structure: criteria.StructureOption = "",
    object_: ObjectOption = "",
    refused: RefusedOption = False,
    since: criteria.SinceOption = "",
    until: criteria.UntilOption = "",
    form: FormOption = Form.CSV,
    reason: AuditedOption = "",
) -> None:
    """Rows of the audit on the standard output, the oldest first. That somebody took them stands in the audit."""
    from router.audit.event import Action
    from router.audit.export import AUDIT, audit_line, written

    with open_site(site) as services:
        wanted = _wanted(services, who, action, structure, object_, refused, since, until)
        end = services.audit.head().number
        audited.record(services, Action.EXPORTED, "audit", reason=reason, detail=f"format={form} up-to={end}")
        rows = _every(services.audit, wanted, end)
        sys.stdout.writelines(written(map(audit_line, rows), AUDIT, form.value))


def _accepted(services: SiteServices, found: Verdict, reason: str, *, certain: bool) -> Verdict:
    """Only a missing end can be accepted; a row that is wrong stays wrong."""
    from router.audit.event import Action
    from router.audit.verification import Fault
    from router.audit.wording import verdict as in_words

    if found.finding is None or found.finding.fault not in (Fault.CUT, Fault.REWOUND, Fault.ANCHOR, Fault.SENT):
        return found
    errors.print(said(in_words(found)), soft_wrap=True)
    if not certain:
        confirm(_("Go on from the rows that are there?"))
    said_so = replace(
        audited.event(services, Action.VERIFIED, reason=reason),
        kind="audit",
        object=str(found.finding.number),
        detail=f"accepted={found.finding.fault}",
    )
    services.audit.settle(said_so)
    return services.audit.verify()


def _wanted(
    services: SiteServices, who: str, action: str, structure: str, object_: str, refused: bool, since: str, until: str
) -> Wanted:
    from router.audit.event import Action
    from router.audit.rows import Wanted

    words = [word.strip().lower() for word in action.split(",") if word.strip()]
    if unknown := [word for word in words if word not in set(map(str, Action))]:
        known = ", ".join(map(str, Action))
        fail(_("no such action: {names} (one of {known})", names=", ".join(unknown), known=known))
    first, end = period(since, until, services.clock.now())
    wanted = Wanted(who=who, actions=tuple(map(Action, words)), object=object_, since=first, until=end)
    wanted = replace(wanted, structures=rights.audited_structures(services, structure))
    return replace(wanted, refused=True) if refused else wanted


def _mark(text: str) -> Mark | None:
    from router.audit.chain import Mark

    try:
        return Mark.parse(text) if text else None
    except ValueError:
        fail(_("{text} is no row: write its number, a colon and its 64 digits", text=repr(text[:80])))


def _every(trail: AuditTrail, wanted: Wanted, end: int) -> Iterator[AuditRow]:
    after = 0
    while rows := trail.rows(wanted, after=after):
        for row in rows:
            if row.number > end:
                return
            yield row
        after = rows[-1].number


def _table(rows: list[AuditRow]) -> Table:
    from router.audit.wording import action as in_words

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (("#", "right"), (_("when"), "left"), (_("who"), "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=name == "#")
    table.add_column(_("action"), overflow="fold")
    for row in rows:
        event = row.event
        mark = "[red]✗[/] " if event.refused else ""
        thing = " ".join(filter(None, (event.kind, _short(event.object))))
        what = f"{mark}{said(in_words(event.action, event.kind))}  {said(thing)}"
        rest = [
            *([_(N_("refused"))] if event.refused else []),
            event.reason,
            event.structure,
            event.source,
            event.detail,
        ]
        what += "".join(f"\n[dim]{said(part)}[/]" for part in [" · ".join(filter(None, rest))] if part)
        table.add_row(str(row.number), moment(event.at), said(event.who), what)
    return table


def _short(text: str) -> str:
    """An id of 64 digits by its first eight, as everywhere; anything else whole."""
    return text[:8] if len(text) == 64 and text.isalnum() else text
