"""`segur-router check` and `test`: are the operator's files right, and do they do what their examples say?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from router.cli.output import Exit, console, described, errors, said, show_json, told
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.language import _, plural


def add_to(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(test)


def check(
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
    container: Annotated[
        bool, typer.Option("--in-container", help="Also refuse listeners that nobody outside a container reaches.")
    ] = False,
) -> None:
    """Check the site file and every pipeline: all problems at once, with file, line, column and what to write."""
    from router.config.pipeline import read_folder
    from router.config.safety import in_container, refusals
    from router.config.site import Site
    from router.config.unmatched import unmatched
    from router.errors import ConfigFault

    try:
        read = Site(site)
        files, problems = read_folder(read.pipelines, sinks=read.config.sink_types, feeds=set(read.config.feeds))
        problems = [*refusals(read), *(in_container(read) if container else ()), *problems]
    except ConfigFault as fault:
        files, problems = {}, list(fault.problems)
    for warning in unmatched(read.config.feeds, files.values()) if files else ():
        errors.print(f"[yellow]![/] {told(warning)}", soft_wrap=True)
    if as_json:
        show_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            console.print(f"[red]✗[/] {described(problem)}", soft_wrap=True)
        if not problems:
            text = plural(
                "{site} and {count} pipeline: {names}",
                "{site} and {count} pipelines: {names}",
                len(files),
                site=site,
                names=", ".join(files),
            )
            console.print(f"[green]✓[/] {said(text)}")
    raise typer.Exit(Exit.USAGE if problems else Exit.GOOD)


def test(site: SiteOption = DEFAULT_SITE, as_json: JsonOption = False) -> None:
    """Run the examples of every pipeline: what the gateway answers, who would get what. Nothing is sent."""
    from router.config.site import Site
    from router.runtime.examples import play_all

    results = play_all(Site(site))
    if as_json:
        show_json([asdict(result) for result in results])
    else:
        for result in results:
            mark = "[red]✗[/]" if result.problems else "[green]✓[/]"
            console.print(f"{mark} {said(result.pipeline)}: {said(result.example)}")
            for problem in result.problems:
                console.print(f"    {told(problem)}", soft_wrap=True)
        failed = sum(bool(result.problems) for result in results)
        console.print(_("{passed} passed, {failed} failed", passed=len(results) - failed, failed=failed))
    raise typer.Exit(Exit.BAD if any(result.problems for result in results) else Exit.GOOD)
