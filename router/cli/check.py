"""`segur-router check` and `test`: are the operator's files right, and do they do what their examples say?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.output import Exit, console, described, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.language import _, plural

if TYPE_CHECKING:
    from router.config.checking import Checked


def add_to(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(test)


def check(
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
    container: Annotated[
        bool, typer.Option("--in-container", help="Also refuse listeners that nobody outside a container reaches.")
    ] = False,
    elsewhere: Annotated[
        bool,
        typer.Option("--files-elsewhere", help="The files that the site names are on another machine: do not look."),
    ] = False,
) -> None:
    """Check the site file and every pipeline: all problems at once, with file, line, column and what to write."""
    from router.config.checking import check as look

    checked = look(site, container=container, files=not elsewhere)
    if as_json:
        show_json([asdict(problem) for problem in checked.problems])
    else:
        _show(checked, site)
    raise typer.Exit(Exit.USAGE if checked.errors else Exit.GOOD)


def _show(checked: Checked, site: Path) -> None:
    """Every problem on a line of its own, then how many there are."""
    for problem in checked.problems:
        mark = "[red]✗[/]" if problem.severity == "error" else "[yellow]![/]"
        console.print(f"{mark} {described(problem)}", soft_wrap=True)
    wrong, odd = len(checked.errors), len(checked.problems) - len(checked.errors)
    if wrong:
        console.print(said(plural("{count} problem to correct", "{count} problems to correct", wrong)))
    if odd:
        console.print(said(plural("{count} thing to look at", "{count} things to look at", odd)))
    if not wrong:
        text = plural(
            "{site} and {count} pipeline: {names}",
            "{site} and {count} pipelines: {names}",
            len(checked.pipelines),
            site=site,
            names=", ".join(checked.pipelines),
        )
        console.print(f"[green]✓[/] {said(text)}")


def test(
    pipelines: Annotated[
        list[str] | None, typer.Argument(metavar="[PIPELINE]…", help="Names or files of pipelines; default: all.")
    ] = None,
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Run the examples of every pipeline: what the gateway answers, who would get what. Nothing is sent."""
    from router.config.site import Site
    from router.runtime.examples import play_all

    results = play_all(Site(site), pipelines or ())
    if as_json:
        show_json([asdict(result) for result in results])
    else:
        for result in results:
            mark = "[red]✗[/]" if result.problems else "[green]✓[/]"
            console.print(f"{mark} {said(result.pipeline)}: {said(result.example)}")
            for problem in result.problems:
                console.print(f"    {described(problem)}", soft_wrap=True)
        failed = sum(bool(result.problems) for result in results)
        console.print(_("{passed} passed, {failed} failed", passed=len(results) - failed, failed=failed))
    raise typer.Exit(Exit.BAD if any(result.problems for result in results) else Exit.GOOD)
