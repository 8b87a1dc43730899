"""`segur-router init`: a site that runs at once, against simulators."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from router.cli.output import console, fail, said
from router.cli.site import called
from router.language import _


def add_to(app: typer.Typer) -> None:
    app.command()(init)


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder, or an empty one.", metavar="DIR")],
    profile: Annotated[
        str,
        typer.Option(help="minimal: one sender; hopital: laboratory and radiology, HTTP; ght: two hospitals."),
    ] = "minimal",
    bus: Annotated[
        str, typer.Option(help="sqlite: nothing to install; kafka: a cluster, at 127.0.0.1:9092.")
    ] = "sqlite",
) -> None:
    """Write a site that runs at once, against simulators: site file, pipelines, samples, throw-away certificates."""
    from router.starter.profiles import BUSES, PROFILES
    from router.starter.write import write_site

    if profile not in PROFILES:
        fail(_("no such profile: {name} (one of {known})", name=profile, known=", ".join(PROFILES)))
    if bus not in BUSES:
        fail(_("no such bus: {name} (one of {known})", name=bus, known=", ".join(BUSES)))
    write_site(folder, PROFILES[profile], bus)
    _tell(folder, bus)


def _tell(folder: Path, bus: str) -> None:
    """What was written, and the commands that follow, as they can be pasted."""
    from router.starter.pipeline_files import FIRST, FIRST_ID

    own = said(str(folder))
    console.print(f"[green]✓[/] {said(_('a site is written in {folder}', folder=folder))}", soft_wrap=True)
    for name, what in _written():
        console.print(f"    [bold]{name:20}[/] {said(what)}", soft_wrap=True)
    if bus == "kafka":
        console.print(said(_("First a Kafka cluster at 127.0.0.1:9092, or another address in the site file.")))
    console.print(f"\n{said(_('Three commands, each in a terminal of its own:'))}")
    here = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(own)} && "
    for words in ("simulate site", "run", f"send pipelines/samples/{FIRST}"):
        console.print(f"  {here}{called()} {words}", soft_wrap=True)
    console.print(f"\n{said(_('Then the story of this document:'))}")
    story = f"{called()} explain {FIRST_ID}"
    console.print(f"  {here}{story}", soft_wrap=True)


def _written() -> list[tuple[str, str]]:
    return [
        ("router.yaml", _("the site: hospitals, feeds, sinks, each with its comment")),
        ("pipelines" + os.sep, _("what becomes of a message, with examples; samples of messages")),
        ("liste-blanche.xml", _("domains that mail may go to: fictitious ones")),
        ("certificates" + os.sep, _("throw-away certificates, for simulators only")),
    ]
