"""`segur-router try`: one message through one pipeline file, step by step; nothing is sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.output import Exit, console, fail, said, show_json
from router.cli.site import DEFAULT_SITE, JsonOption, SiteOption
from router.language import AS_WRITTEN, N_, _, in_language, language

if TYPE_CHECKING:
    from router.config.pipeline import PipelineFile
    from router.runtime.dry_run import Effect

_GATEWAY = N_("gateway")
"""The only stage that is no step, whose name an operator writes in a file."""
_COLOURS = {"good": "green", "warning": "yellow", "bad": "red", "plain": "default"}


def add_to(app: typer.Typer) -> None:
    app.command("try")(try_)


def try_(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A pipeline file.")],
    message: Annotated[Path, typer.Argument(metavar="MESSAGE", exists=True, dir_okay=False, help="A message (ER7).")],
    feed: Annotated[
        str, typer.Option(metavar="NAME", help="Of a pipeline with several feeds; default: the first.")
    ] = "",
    site: SiteOption = DEFAULT_SITE,
    as_json: JsonOption = False,
) -> None:
    """Show what each step of a pipeline makes of a message. Nothing is sent. Ends with 1 when nobody would get it."""
    from router.config.pipeline import PipelineFile
    from router.config.site import Site
    from router.observe import logs
    from router.runtime.dry_run import run_dry
    from router.runtime.site_services import SiteServices

    logs.configure(level="WARNING")
    read = Site(site)
    pipeline = PipelineFile(file, sinks=read.config.sink_types, feeds=set(read.config.feeds), examples=False)
    chosen = _feed(pipeline, feed)
    services = SiteServices(read)
    try:
        with in_language(AS_WRITTEN if as_json else language()):
            told = run_dry(services, pipeline, chosen, message.read_bytes())
    finally:
        services.close()
    if as_json:
        show_json({"pipeline": pipeline.config.name, "feed": chosen, "effects": [asdict(one) for one in told.effects]})
    else:
        text = _("feed {feed}, {message}", feed=chosen, message=message.name)
        console.print(f"[bold]{said(pipeline.config.name)}[/] {said(text)}")
        for effect in told.effects:
            _print(effect)
        console.print(_("nothing was stored or sent"), style="dim")
    raise typer.Exit(Exit.GOOD if told.reached else Exit.BAD)


def _feed(pipeline: PipelineFile, name: str) -> str:
    feeds = pipeline.config.feeds
    if name and name not in feeds:
        fail(_("this pipeline does not read feed {name} (one of {known})", name=name, known=", ".join(feeds)))
    return name or feeds[0]


def _print(effect: Effect) -> None:
    for rank, line in enumerate(effect.lines):
        stage = (_(_GATEWAY) if effect.stage == _GATEWAY else effect.stage) if rank == 0 else ""
        colour = _COLOURS[effect.style] if rank == 0 or effect.style != "good" else "default"
        console.print(f"  [bold]{stage:<11}[/][{colour}]{said(line)}[/]", soft_wrap=True)
