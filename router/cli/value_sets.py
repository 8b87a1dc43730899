"""`segur-router cisis value-sets`: what is loaded, and renewing it from files or addresses that the operator names."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.output import Exit, console, one_sentence, said, show_json, told
from router.cli.site import JsonOption
from router.language import _
from router.terminal.rows import Rows

if TYPE_CHECKING:
    from router.cisis.valuesets_import import ImportReport

value_sets = typer.Typer(no_args_is_help=True, help="National value sets (JDV): what is loaded, and renewing it.")

LIMIT = 64 * 2**20
"""Bytes of an official file at most."""

FolderOption = Annotated[Path, typer.Option(help="Folder that the site names in `value_sets`.")]


@value_sets.command("list")
def list_(to: FolderOption = Path("valuesets"), as_json: JsonOption = False) -> None:
    """The sets as the router loads them: version, number of codes, OID, source."""
    from router.cisis.valuesets import ValueSets

    sets = ValueSets.load(to if to.is_dir() else None).sets
    told = [
        {"set": key, "version": one.version, "codes": len(one.concepts), "oid": one.oid, "source": one.source}
        for key, one in sorted(sets.items())
    ]
    if as_json:
        show_json(told)
        return
    rows = Rows(_("Set"), _("Version"), _("Codes"), "OID", _("Source"), right=(2,))
    for row in told:
        rows.add(*(said(value) for value in row.values()))
    rows.show(console)


@value_sets.command()
def update(
    sources: Annotated[
        list[str], typer.Argument(help="Official files, or their https addresses: SVS XML, FHIR ValueSet, ConceptMap.")
    ],
    to: FolderOption = Path("valuesets"),
    ca: Annotated[Path | None, typer.Option(help="The authority of the addresses; default: the system's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, write nothing.")] = False,
) -> None:
    """Renew value sets from the files or addresses named here, all or none, and report what changed."""
    from router.cisis.valuesets_import import import_official

    with tempfile.TemporaryDirectory() as folder, one_sentence():
        files = _gathered(sources, Path(folder), ca)
        report = import_official(files, to, dry_run=dry_run)
    tell(report)
    raise typer.Exit(Exit.USAGE if report.problems else Exit.GOOD)


def tell(report: ImportReport) -> None:
    """Print what an import changed, and why it could not."""
    for change in report.changes:
        if not change.changed:
            console.print(said(_("{key}: unchanged ({value})", key=change.key, value=change.after)), style="dim")
            continue
        console.print(f"[bold]{said(change.key)}[/]: {said(change.before or _('absent'))} → {said(change.after)}")
        for sign, codes in (("+", change.added), ("-", change.removed)):
            if codes:
                console.print(f"  {sign} {said(', '.join(codes))}", soft_wrap=True)
        for code, before, after in change.relabelled:
            console.print(f"  {said(code)}: {said(before)} → {said(after)}", soft_wrap=True)
    for problem in report.problems:
        console.print(f"[red]✗[/] {told(problem)}", soft_wrap=True)


def _gathered(sources: Sequence[str], folder: Path, ca: Path | None) -> list[Path]:
    """The files, those of addresses fetched. Raises `OperatorFault`, or `Unavailable` when an address is away."""
    from router.directory.fetch import fetch, remote

    found: list[Path] = []
    for number, source in enumerate(sources):
        if not remote(source):
            found.append(Path(source))
            continue
        name = source.partition("?")[0].rstrip("/").rpartition("/")[2] or "value-set"
        (folder / str(number)).mkdir()
        target = folder / str(number) / name
        fetch(source, target, ca=ca, limit=LIMIT)
        found.append(target)
    return found
