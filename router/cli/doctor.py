"""`segur-router doctor`: what is wrong with this installation, and the line to write or the command to run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from router.cli.output import Exit, console, described, fail, said, show_json, told
from router.cli.presence import absence
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption, paste
from router.language import N_, T_, _, plural

if TYPE_CHECKING:
    from router.runtime.doctor.check import Result, Verdict

_MARKS: Final = {"good": "[green]✓[/]", "note": "[yellow]·[/]", "wrong": "[red]✗[/]"}
_OURS: Final = "segur-router "
_SUBJECTS: Final = (
    N_("charset"),
    N_("connections"),
    N_("encoding"),
    N_("keys"),
    N_("libraries"),
    N_("memory"),
    N_("open files"),
    N_("rights"),
    N_("server"),
    N_("time zone"),
    T_("feed {name}"),
)
"""What a check says something of, where it is no name or path."""


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    site: SiteOption = DEFAULT_SITE,
    only: Annotated[str, typer.Option(metavar="NAMES", help="Only these checks (commas).")] = "",
    names: Annotated[bool, typer.Option("--list", help="List the checks, look at nothing.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show also what is well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for everything wrong with an installation: clock, disk, rights, names, servers, Kafka, PostgreSQL, versions.

    Contacts only what the site file names; sends no message, logs in nowhere but at Kafka and PostgreSQL, changes
    nothing. Ends with 1 when something is wrong.
    """
    from router.bus.settings import KafkaConfig
    from router.config.site import Site
    from router.errors import ConfigFault
    from router.observe import logs
    from router.runtime.doctor.check import Installation
    from router.runtime.doctor.examine import CHECKS, NAMES, examine
    from router.runtime.presence import presence

    logs.configure(level="CRITICAL")
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    if names:
        for check in CHECKS:
            console.print(f"{check.name:10} {said(_(check.about))}", soft_wrap=True)
        return
    if unknown := sorted(set(wanted) - set(NAMES)):
        fail(_("no such check: {names} (one of {known})", names=", ".join(unknown), known=", ".join(NAMES)))
    try:
        read = Site(site)
    except ConfigFault as fault:
        for problem in fault.problems:
            console.print(f"{_MARKS['wrong']} {described(problem)}", soft_wrap=True)
        fail(_("the site file must be right first: nothing else can be looked at"), Exit.BAD)
    found = presence(read, None)
    results = examine(Installation(read, found.state == "here"), wanted)
    if as_json:
        show_json([asdict(result) | {"wrong": result.wrong} for result in results])
    else:
        _show(results, site, everything=everything or bool(wanted))
        elsewhere = isinstance(read.config.bus, KafkaConfig)  # only the bus knows of routers elsewhere: see `status`
        if not elsewhere and (missing := absence(found, time.time())):
            console.print(said(missing), style="yellow", soft_wrap=True)
    raise typer.Exit(Exit.BAD if any(result.wrong for result in results) else Exit.GOOD)


def _show(results: Sequence[Result], site: Path, *, everything: bool) -> None:
    for result in results:
        shown = [one for one in result.verdicts if everything or one.level != "good"]
        for verdict in shown:
            _line(result.check, verdict, site)
    problems = sum(verdict.level == "wrong" for result in results for verdict in result.verdicts)
    done = plural("{count} check", "{count} checks", len(results))
    if problems:
        found = plural("{count} thing is wrong", "{count} things are wrong", problems)
        told_so = _("{done}: {found}", done=done, found=found)
        console.print(f"[bold red]{said(told_so)}[/]")
    else:
        console.print(f"[bold green]{said(_('{done}: nothing is wrong', done=done))}[/]")


def _line(check: str, verdict: Verdict, site: Path) -> None:
    text = f": {told(verdict.text)}" if verdict.text else ""
    console.print(f"{_MARKS[verdict.level]} [dim]{check:8}[/] {told(verdict.subject)}{text}", soft_wrap=True)
    if verdict.fix:
        ours = verdict.fix.startswith((_OURS, "doctor "))
        words = verdict.fix.removeprefix(_OURS).split()
        fix = paste(*words, site=site) if ours else verdict.fix
        console.print(f"           → {told(fix)}", style="yellow", soft_wrap=True)
