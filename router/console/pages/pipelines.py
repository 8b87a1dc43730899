"""Pipelines: what runs, is it proven, and why was the last change refused?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.responses import Response

from router.access.person import EVERY, Role
from router.config.pipeline import PipelineFile, read_folder
from router.console.page import Key, NotHere, Page
from router.console.visit import Visit
from router.console.words import names_seen
from router.errors import ConfigFault, Problem
from router.language import N_
from router.runtime.examples import Result, play_all

_playing: Final = threading.Lock()
"""Examples are played by one person at a time: each opens a site of its own."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of what a pipeline does, in order. line: where it stands in the file"""

    name: str
    text: str
    line: int


def list_(visit: Visit) -> Response:
    """The files as they are now; those that are refused, with every reason and its place."""
    files, problems = _read(visit)
    seen = _seen(visit)
    return visit.page(
        "pipelines.html",
        files=sorted((file for file in files.values() if seen(file)), key=lambda file: file.config.name),
        problems=_told(problems) if _everywhere(visit) else {},
        hidden=not _everywhere(visit) and bool(problems),
    )


def show(visit: Visit) -> Response:
    """One pipeline: what it does step by step, its examples, its text."""
    return _pipeline(visit, _file(visit), None)


def play(visit: Visit) -> Response:
    """Play its examples now. They are fictitious, and nothing is sent."""
    file = _file(visit)
    began = time.perf_counter()
    with _playing:
        try:
            results: Sequence[Result] | Sequence[Problem] = play_all(visit.tools.site, [str(file.path)])
        except ConfigFault as fault:
            results = fault.problems
    visit.took = time.perf_counter() - began
    return _pipeline(visit, file, results)


def _pipeline(visit: Visit, file: PipelineFile, results: Sequence[Result] | Sequence[Problem] | None) -> Response:
    played = {one.example: one.problems for one in results or () if isinstance(one, Result)}
    return visit.page(
        "pipeline.html",
        file=file,
        stages=_stages(file),
        played=played,
        faults=[one for one in results or () if isinstance(one, Problem)],
        text=list(enumerate(file.text.splitlines(), 1)),
        may_play=visit.may(Role.OPERATOR),
    )


def _stages(file: PipelineFile) -> list[Stage]:
    config = file.config
    found = [Stage("feed", ", ".join(config.feeds), file.line(["feed"]))]
    if config.when is not None:
        found.append(Stage("when", config.when, file.line(["when"])))
    for rank, step in enumerate(config.steps):
        found.append(Stage(step.name, _short(step.value), file.line(["steps", rank])))
    for name, use in config.sinks.items():
        said = use.model_dump(exclude_unset=True)
        found.append(Stage(f"→ {name}", _short(said), file.line(["sinks", name])))
    return found


def _short(value: object) -> str:
    """What stands behind a name in the file, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_short(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    if hasattr(value, "model_dump"):
        return _short(value.model_dump(exclude_unset=True))
    return "" if value is None else str(value)


def _read(visit: Visit) -> tuple[dict[str, PipelineFile], list[Problem]]:
    config = visit.tools.services.config
    return read_folder(config.pipelines, sinks=config.sink_types, feeds=set(config.feeds))


def _file(visit: Visit) -> PipelineFile:
    file = _read(visit)[0].get(visit.path["name"])
    if file is None or not _seen(visit)(file):
        raise NotHere
    return file


def _seen(visit: Visit) -> Callable[[PipelineFile], bool]:
    """Whether the person sees a pipeline: it reads a feed that works for one of the person's structures."""
    names = names_seen(visit.tools.services.config, visit.structures)
    return lambda file: visit.structures is None or any(feed in names for feed in file.config.feeds)


def _everywhere(visit: Visit) -> bool:
    return visit.person.may(Role.READER, EVERY)


def _told(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    """By the name of the file."""
    found: dict[str, list[Problem]] = {}
    for one in problems:
        found.setdefault(Path(one.file).name, []).append(one)
    return found


PAGES: Final = (
    Page(
        name="pipelines",
        path="/pipelines",
        title=N_("Pipelines"),
        question=N_("What runs, is it proven, and why was the last change refused?"),
        menu=N_("Pipelines"),
        letter="p",
        rank=50,
        show=list_,
        rate="60/minute",
    ),
    Page(
        name="pipeline",
        path="/pipelines/{name}",
        title=N_("Pipeline"),
        show=show,
        act=play,
        act_role=Role.OPERATOR,
        act_rate="10/minute",
        keys=(
            Key("l", N_("the file"), "#file"),
            Key("u", N_("up to the list"), "#up"),
        ),
    ),
)
