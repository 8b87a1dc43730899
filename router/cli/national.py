"""Commands about the national rules and the register: `cisis rules`, `cda audit`, `valuesets import`, `impact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router.cli import audited, rights
from router.cli.output import Exit, console, fail, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, open_site
from router.cli.value_sets import tell, value_sets
from router.french_time import in_france
from router.language import _, plural, translated
from router.terminal.rows import Rows

cisis = typer.Typer(no_args_is_help=True, help="The national profile (CI-SIS).")
cda = typer.Typer(no_args_is_help=True, help="CDA documents.")
valuesets = typer.Typer(no_args_is_help=True, help="Value sets (JDV, ASS).")
register = typer.Typer(no_args_is_help=True, help="What the ADT feeds say of patients.")


@register.callback()
def _register() -> None:
    """A group of one command, so that `rebuild` is named."""


def add_to(app: typer.Typer) -> None:
    cisis.add_typer(value_sets, name="value-sets")
    app.add_typer(cisis, name="cisis")
    app.add_typer(cda, name="cda")
    app.add_typer(valuesets, name="valuesets")
    app.command()(impact)
    app.add_typer(register, name="register")


@cisis.command()
def rules(as_json: JsonOption = False) -> None:
    """The table of rules, by number: number, dialects, severity, ERR fields, sentence."""
    from router.cisis.rules import TABLE
    from router.cisis.rules import as_json as described

    told = [described(rule) for rule in TABLE.values()]
    if as_json:
        show_json(told)
        return
    rows = Rows(_("Rule"), _("Severity"), "ERR-3", "ERR-2", "ERR-5", _("Condition"))
    for rule in told:
        cells = (str(rule[key] or "") for key in ("rule", "severity", "err3", "err2", "err5", "condition"))
        rows.add(*(said(translated(cell)) for cell in cells))
    rows.show(console)


@cda.command()
def audit(
    document: Annotated[Path, typer.Argument(help="A CDA document.", exists=True)],
    schematron: Annotated[Path, typer.Argument(help="A CI-SIS Schematron (.sch), with its includes.", exists=True)],
    as_json: JsonOption = False,
) -> None:
    """Run the national Schematron on a document (about 15 s and 0.9 GB: never in the path of a message)."""
    from dataclasses import asdict

    from router.cda.audit import audit as run

    report = run(document, schematron)
    if as_json:
        show_json(asdict(report))
    else:
        for failure in report.failures:
            console.print(f"[red]✗[/] {said(failure.place)}: {said(failure.text)}", soft_wrap=True)
        fired = plural("{count} rule fired", "{count} rules fired", report.rules)
        console.print(f"{fired}, {plural('{count} failure', '{count} failures', len(report.failures))}")
    raise typer.Exit(Exit.BAD if report.failures else Exit.GOOD)


@valuesets.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Official files: SVS XML, FHIR ValueSet or ConceptMap.", exists=True)
    ],
    to: Annotated[Path, typer.Option(help="Folder that the site names in `value_sets`.")] = Path("valuesets"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, write nothing.")] = False,
) -> None:
    """Import the official value sets, and report what changed."""
    from router.cisis.valuesets_import import import_official

    report = import_official(files, to, dry_run=dry_run)
    tell(report)
    raise typer.Exit(Exit.USAGE if report.problems else Exit.GOOD)


@register.command()
def rebuild(
    site: SiteOption = DEFAULT_SITE,
    yes: Annotated[bool, typer.Option("--yes", help="The pipelines are stopped: do it.")] = False,
    partly: Annotated[
        bool, typer.Option("--partly", help="Forget what the topics no longer tell: oppositions, withdrawn INS.")
    ] = False,
) -> None:
    """Make the register anew from the ADT topics; departures and the work-list stay. Stop the pipelines first."""
    from router.audit.event import Action
    from router.runtime.rebuild import rebuild as run

    if not yes:
        fail(_("stop the pipelines, then say --yes: until it is rebuilt no opposition is known"), Exit.USAGE)
    with open_site(site) as services:
        rights.need_administrator(services, Action.DECIDED, "register")
        audited.record(services, Action.DECIDED, "register", detail=f"rebuilt partly={partly}")
        done = run(services, partly=partly)
    applied = plural("{count} event applied", "{count} events applied", done.events)
    feeds = plural("of {count} ADT feed", "of {count} ADT feeds", len(done.feeds))
    unreadable = plural("{count} unreadable", "{count} unreadable", done.unreadable)
    console.print(f"{applied} ({feeds}), {unreadable}")
    raise typer.Exit(Exit.BAD if done.unreadable else Exit.GOOD)


def impact(
    ipp: Annotated[str, typer.Argument(help="IPP, or INS, of the patient whose identity changed.")],
    authority: Annotated[str, typer.Option(help="Authority of the IPP (OID); '' tries those of the structures.")] = "",
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """The work-list: documents that left under an identity that was withdrawn, merged or moved since."""
    from dataclasses import asdict

    with open_site(site) as services:
        of = services.pseudonyms.of
        authorities = [authority] if authority else [one.ipp_oid for one in services.config.structures.values()]
        names = [of("ins", ipp), *(of("ipp", one, ipp) for one in authorities)]
        audited.patient_asked(services, names)
        entries = [entry for name in names for entry in services.register.impact(name)]
    if as_json:
        show_json([asdict(entry) for entry in entries])
    elif not entries:
        fail(_("nothing is known to have left under this identity"), Exit.BAD)
    else:
        for entry in entries:
            left = in_france(entry.left).strftime("%d/%m/%Y %H:%M")
            text = _(
                "{kind}: {document} left on {moment} by {sink}, delivery {delivery}",
                kind=entry.kind,
                document=entry.document,
                moment=left,
                sink=entry.sink,
                delivery=entry.delivery_id,
            )
            console.print(said(text))
