"""`segur-router diff`: what a changed pipeline would have made of the last events; nothing is sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.output import Exit, console, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.cli.times import moment
from router.language import AS_WRITTEN, _, in_language, language, plural

if TYPE_CHECKING:
    from router.config.pipeline import PipelineFile
    from router.config.site import Site
    from router.runtime.pipeline_diff import Difference


def add_to(app: typer.Typer) -> None:
    app.command()(diff)


def diff(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The changed file, beside the folder.")
    ],
    last: Annotated[int, typer.Option(metavar="N", min=1, help="So many events of each feed.")] = 200,
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Compare a changed pipeline with the one of the same name that runs, on the last events. Nothing is sent.

    Keep the changed file out of the pipelines' folder: a running router takes what stands there. Ends with 1 when an
    event would have ended otherwise.
    """
    from router.config.pipeline import PipelineFile
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.pipeline_diff import PipelineDiff
    from router.runtime.site_services import SiteServices

    logs.configure(level="WARNING")
    read = Site(site)
    candidate = PipelineFile(file, sinks=read.config.sink_types, feeds=set(read.config.feeds), examples=False)
    present = _present(read, candidate.config.name)
    services = SiteServices(read)
    try:
        difference_run = PipelineDiff(services, candidate, present)
        with in_language(AS_WRITTEN if as_json else language()):
            found = list(difference_run.differences(last))
        seen = difference_run.seen
    finally:
        services.close()
    if as_json:
        show_json({"pipeline": candidate.config.name, "events": seen, "differences": [asdict(one) for one in found]})
    else:
        beside = "" if present else " " + _("(new here)")
        otherwise = plural(
            "{count} event of {total} would end otherwise",
            "{count} of {total} events would end otherwise",
            len(found),
            total=seen,
        )
        console.print(f"[bold]{said(candidate.config.name)}[/]{said(beside)}: {said(otherwise)}")
        for one in found:
            _print(one)
    raise typer.Exit(Exit.BAD if found else Exit.GOOD)


def _present(site: Site, name: str) -> PipelineFile | None:
    """Raises `ConfigFault` when a file of the folder is wrong: nobody knows then what runs."""
    from router.config.pipeline import read_folder
    from router.errors import ConfigFault

    config = site.config
    files, problems = read_folder(site.pipelines, sinks=config.sink_types, feeds=set(config.feeds), examples=False)
    if problems:
        raise ConfigFault(problems)
    return files.get(name)


def _print(one: Difference) -> None:
    console.print(f"  [bold]{said(one.control_id or one.event_id)}[/]  [dim]{moment(one.at)}[/]")
    for mark, colour, lines in (("-", "red", one.gone), ("+", "green", one.new), ("~", "yellow", one.changed)):
        for line in lines:
            console.print(f"    [{colour}]{mark} {said(line)}[/]", soft_wrap=True)
