"""`segur-router directory`: who has which mailbox, why one is chosen, and where site file and annuaire differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from router.cli import audited, rights
from router.cli.output import Exit, console, fail, said, sentence_of, show_json, told
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.cli.times import moment
from router.errors import Invalid, OperatorFault, RouterError, Unavailable
from router.language import _, plural, translated
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from router.directory.annuaire import Imported
    from router.directory.check import Checked
    from router.directory.choice import Chosen
    from router.directory.directory import Directory
    from router.directory.finding import Named
    from router.directory.mailboxes import Mailbox, MailboxSource
    from router.directory.resolve import Asked, Found

commands = typer.Typer(no_args_is_help=True, help="Annuaire and liste blanche: import, refresh, find, explain, check.")

RppsArgument = Annotated[str, typer.Argument(metavar="RPPS", help="11 digits, or an IDNPS: `8` and 11 digits.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="directory")


@contextmanager
def _directory(site: Path) -> Iterator[Directory]:
    """The directory of a site, as its messages see it."""
    with open_site(site) as services:
        yield services.directory


# -------------------------------------------------------------------------------------------- extraction


@commands.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The extraction of the annuaire: zip or text.")],
    fewer: Annotated[
        bool, typer.Option("--accept-fewer", help="Take it although it holds much less than the one in use.")
    ] = False,
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Import an extraction file and say what it changed. A file that is not believable changes nothing."""
    from router.audit.event import Action

    if not file.is_file():
        fail(_("{file}: no such file", file=file))
    with open_site(site) as services:
        rights.need_administrator(services, Action.DECIDED, "directory")
        audited.record(services, Action.DECIDED, "directory", [file.name], detail=f"import accept-fewer={fewer}")
        directory = services.directory
        try:
            with _bar(quiet=as_json) as bar:
                report = directory.annuaire.load(file, bar, fewer=fewer)
        except Invalid as fault:
            fail(_("the extraction is refused, the one in use stays: {fault}", fault=sentence_of(fault)))
        _tell(directory, report, as_json=as_json)


@commands.command()
def refresh(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Read liste blanche and extraction again now, from where the site file says. Ends with 3 when one could not be."""
    with _directory(site) as directory:
        failures: list[RouterError] = []
        report = None
        try:
            directory.liste_blanche.refresh()
        except RouterError as fault:
            failures.append(fault)
        try:
            report = directory.fetch()
        except RouterError as fault:
            failures.append(fault)
        if as_json:
            show_json(_facts(directory, report) | {"failures": [one.code for one in failures]})
        else:
            size = directory.liste_blanche.size
            console.print(said(plural("liste blanche: {count} domain", "liste blanche: {count} domains", size)))
            if report is not None:
                _tell(directory, report)
            elif directory.config.annuaire.extraction is None:
                console.print(said(_("the site file names no extraction of the annuaire")), style="dim")
            for one in failures:
                console.print(f"[red]✗[/] {said(sentence_of(one))}", soft_wrap=True)
    raise typer.Exit(Exit.AWAY if failures else Exit.GOOD)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Any]:
    """A progress bar as a function of (bytes read, bytes in all); it is drawn on a terminal alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(_("extraction"), total=None)
        yield lambda read, size: progress.update(task, completed=read, total=size)


def _facts(directory: Directory, report: Imported | None) -> dict[str, object]:
    facts: dict[str, object] = {"liste_blanche": directory.liste_blanche.size, "annuaire": len(directory.annuaire)}
    if report is not None:
        facts |= asdict(report) | {"domains": len(report.domains), "outside": directory.outside(report)}
    return facts


def _tell(directory: Directory, report: Imported, *, as_json: bool = False) -> None:
    if as_json:
        show_json(_facts(directory, report))
        return
    console.print(f"[green]✓[/] {said(plural('{count} mailbox', '{count} mailboxes', report.lines))}")
    if report.added is not None:
        text = _(
            "+{added} new, −{removed} gone, {moved} with another holder",
            added=report.added,
            removed=report.removed,
            moved=report.moved,
        )
        console.print(f"  {said(text)}")
    if report.duplicates:
        console.print(f"  {said(plural('{count} repeated line', '{count} repeated lines', report.duplicates))}")
    if report.malformed:
        text = plural(
            "{count} line that can't be read, left out", "{count} lines that can't be read, left out", report.malformed
        )
        console.print(f"  [yellow]{said(text)}[/]")
    if not directory.liste_blanche.size:
        text = _("no liste blanche was read yet (`segur-router directory refresh`): nobody knows whom it admits")
        console.print(f"  [yellow]{said(text)}[/]", soft_wrap=True)
    elif outside := directory.outside(report):
        text = plural(
            "{count} domain of {all} is not in the liste blanche: nothing is sent to its mailboxes",
            "{count} domains of {all} are not in the liste blanche: nothing is sent to their mailboxes",
            outside,
            all=len(report.domains),
        )
        console.print(f"  [yellow]{said(text)}[/]", soft_wrap=True)


# --------------------------------------------------------------------------------------------- find, explain


@commands.command()
def find(
    word: Annotated[str, typer.Argument(metavar="WHO", help="A RPPS, a FINESS, or an address.")],
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Show every mailbox that each source names, and whether it may be used. Ends with 1 when there is none."""
    from router.directory.finding import named

    with _directory(site) as directory:
        answers = named(directory, word)
        if as_json:
            show_json([_answer(directory, one) for one in answers])
        else:
            if not answers:
                fail(_("this site has no annuaire: name `directory.annuaire.extraction`, or import a file"))
            _show_answers(directory, answers)
        found = any(one.boxes for one in answers)
        away = any(one.fault is not None for one in answers)
    raise typer.Exit(Exit.GOOD if found else Exit.AWAY if away else Exit.BAD)


def _answer(directory: Directory, one: Named | Asked) -> Any:
    own = one.source.name == "table"
    listed = [asdict(box) | {"refused": directory.choice.judged(box, own=own)} for box in one.boxes]
    return {"source": one.source.name, "mailboxes": listed, "fault": one.fault.code if one.fault else ""}


def _show_answers(directory: Directory, answers: Sequence[Named | Asked]) -> None:
    from router.directory.mailboxes import NAMES

    for one in answers:
        source, boxes, fault = one.source, one.boxes, one.fault
        console.print(f"[bold]{told(NAMES[source.name])}[/]")
        if fault is not None:
            console.print(f"  [red]✗[/] {said(sentence_of(fault))}", soft_wrap=True)
        elif not boxes:
            console.print(f"  [dim]{said(_('nothing'))}[/]")
        if name := next((_name(source, box.structure) for box in boxes if not box.rpps), ""):
            console.print(f"  [dim]{said(_('structure: {name}', name=name))}[/]")
        for box in boxes:
            _show_box(directory, box, own=source.name == "table")


def _name(source: MailboxSource, number: str) -> str:
    try:
        return source.structure_name(number) if number else ""
    except (Unavailable, OperatorFault):
        return ""


def _show_box(directory: Directory, box: Mailbox, *, own: bool) -> None:
    why = directory.choice.judged(box, own=own)
    facts = [box.type]
    facts += [_("structure {number}", number=box.structure)] if box.structure else []
    facts += [f"RPPS {box.rpps}"] if box.rpps else []
    facts += [box.service] if box.service else []
    facts += [_("preference {rank}", rank=box.rank)] if box.rank is not None else []
    mark = f"[yellow]✗[/] {said(box.address)}  [yellow]{told(why)}[/]" if why else f"[green]✓[/] {said(box.address)}"
    console.print(f"  {mark}  [dim]{said(' · '.join(filter(None, facts)))}[/]", soft_wrap=True)


@commands.command()
def explain(
    who: RppsArgument,
    structure: Annotated[str, typer.Option(help="FINESS that the message would name as the place of practice.")] = "",
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Tell which mailbox a message without an address would go to, and why. Ends with 1 when there is none."""
    from router.directory.mailboxes import finess, rpps

    number = rpps(who)
    if not number:
        fail(_("{who} is no RPPS: 11 digits, or an IDNPS of 12 that begins with 8", who=who))
    with _directory(site) as directory:
        found, asked, chosen = directory.resolver().professional(number, finess(structure))
        known = directory.professions().known(number)
        if as_json:
            show_json(
                {
                    "addresses": found.addresses,
                    "reason": found.reason,
                    "steps": chosen.steps if chosen else (),
                    "asked": [_answer(directory, one) for one in asked],
                    "professions": [asdict(one) for one in known.professions],
                }
            )
        else:
            _show_choice(directory, found, asked, chosen)
            for one in known.professions:
                parts = (one.label or one.code, one.skill_label or one.skill)
                console.print(said(_("profession: {what}", what=" – ".join(filter(None, parts)))))
    raise typer.Exit(Exit.GOOD if found.addresses else Exit.BAD)


def _show_choice(directory: Directory, found: Found, asked: tuple[Asked, ...], chosen: Chosen | None) -> None:
    from router.directory.choice import RULES

    _show_answers(directory, asked)
    for rule, left in chosen.steps if chosen else ():
        text = plural("{count} mailbox left", "{count} mailboxes left", left)
        console.print(said(_("rule {rule} ({text}): {left}", rule=rule, text=translated(RULES[rule]), left=text)))
    mark = "[green]→[/]" if found.addresses else "[red]✗[/]"
    console.print(f"{mark} {said(', '.join(found.addresses) or _('no mailbox'))}", soft_wrap=True)
    console.print(f"  {told(found.reason)}", soft_wrap=True)


# -------------------------------------------------------------------------------------------------- check


@commands.command()
def check(
    last: Annotated[bool, typer.Option("--last", help="Show the last comparison instead of making one.")] = False,
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Compare mailboxes, labels and structures of the site file with annuaire and liste blanche: a work-list.

    Ends with 1 when something differs. The running router compares every night.
    """
    with _directory(site) as directory:
        checked = directory.nightly.last() if last else directory.nightly.run()
        if checked is None:
            fail(_("nothing was compared yet"), Exit.BAD)
        if as_json:
            show_json(asdict(checked))
        else:
            _show_checked(directory, checked)
    raise typer.Exit(Exit.BAD if checked.differences else Exit.GOOD)


def _show_checked(directory: Directory, checked: Checked) -> None:
    if not any(source.name != "table" for source in directory.all_sources()):
        console.print(f"[yellow]{said(_('no annuaire: only the liste blanche was compared'))}[/]", soft_wrap=True)
    rows = Rows(_("Place"), _("Difference"))
    for one in checked.differences:
        rows.add(said(one.place), told(one.text))
    if checked.differences:
        rows.show(console)
    count = len(checked.differences)
    text = plural("{count} difference", "{count} differences", count) if count else _("no difference")
    mark = "[yellow]≠[/]" if count else "[green]✓[/]"
    compared = plural("{count} thing compared", "{count} things compared", checked.compared)
    console.print(f"{mark} {said(text)}  [dim]{said(compared)}, {said(moment(checked.at))}[/]")
