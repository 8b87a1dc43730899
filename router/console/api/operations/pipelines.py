"""Pipelines: what runs, is it proven, and why was the last change refused?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ACT, API_READ
from router.config.pipeline import PipelineFile, digest_of
from router.console import pipeline_view
from router.console.api.operation import Id, Input, Nothing, Operation, Output, moment
from router.console.pipeline_view import Loaded
from router.console.visit import Visit
from router.errors import Problem
from router.language import N_, translated


class OnePipeline(Input):
    name: Id


class FileFault(Output):
    line: int
    column: int
    path: str = Field(description=N_("where in the file, e.g. `steps[0].validate`"))
    text: str
    hint: str


class RefusedFile(Output):
    file: str
    faults: list[FileFault]


class PipelineSummary(Output):
    name: str = Field(description=N_("stable: it names this pipeline for ever"))
    description: str
    digest: str = Field(description=N_("of the text of the file as it is now"))
    feeds: list[str]
    sinks: list[str] = Field(description=N_("sinks: a type, or one by its name"))
    examples: int


class Pipelines(Output):
    pipelines: list[PipelineSummary]
    refused: list[RefusedFile] = Field(
        description=N_("files that are refused as they are now, for whoever sees the site")
    )
    hidden: bool = Field(description=N_("some files are refused, and one does not see which"))


class Stage(Output):
    name: str
    text: str
    line: int = Field(description=N_("where it stands in the file"))


class LastLoaded(Output):
    at: datetime | None
    digest: str = Field(description=N_("of the text that runs since; empty when it was refused"))
    refused: bool


class Pipeline(Output):
    pipeline: PipelineSummary
    stages: list[Stage] = Field(description=N_("what it does, in order"))
    loaded: LastLoaded | None = Field(description=N_("the last time that a running router took it anew, or refused it"))
    faults: list[FileFault] = Field(description=N_("why the file is refused as it is now; empty when it is right"))
    used: LastLoaded | None = Field(
        description=N_("of a refused file: the version that a running router goes on with, as far as the audit knows")
    )
    examples: list[str]
    text: str = Field(description=N_("of the file"))


class PlayedExample(Output):
    example: str
    passed: bool
    faults: list[FileFault] = Field(description=N_("what it was expected to reach and did not"))


class PlayedPipeline(Output):
    passed: bool
    examples: list[PlayedExample]
    faults: list[FileFault] = Field(description=N_("why the file could not be played"))


def pipelines(visit: Visit, given: Nothing) -> Pipelines:  # noqa: ARG001  (it takes nothing)
    """Those that read a feed of the structures that may be seen."""
    found = pipeline_view.all_files(visit)
    return Pipelines(
        pipelines=[_summary(one, pipeline_view.bare(visit)) for one in found.files],
        refused=[RefusedFile(file=name, faults=_faults(problems)) for name, problems in found.problems.items()],
        hidden=found.hidden,
    )


def pipeline(visit: Visit, given: OnePipeline) -> Pipeline:
    """Also of a file that is refused as it is now, with every reason. Raises `NotHere`, `Unavailable`."""
    if (refused := pipeline_view.refused_file(visit, given.name)) is not None:
        return _refused(refused)
    file = pipeline_view.file(visit, given.name)
    loaded, bare = pipeline_view.last_loaded(visit, file), pipeline_view.bare(visit)
    return Pipeline(
        pipeline=_summary(file, bare),
        stages=[Stage(name=one.name, text=one.text, line=one.line) for one in pipeline_view.stages(file, bare)],
        loaded=_loaded(loaded),
        faults=[],
        used=None,
        examples=[one.name for one in file.config.examples],
        text=bare(file.text),
    )


def _refused(one: pipeline_view.RefusedFile) -> Pipeline:
    """What can be told of a file that can't be read: its text, its faults, and what runs in its place."""
    text = one.text
    summary = PipelineSummary(name=one.name, description="", digest=digest_of(text), feeds=[], sinks=[], examples=0)
    return Pipeline(
        pipeline=summary,
        stages=[],
        loaded=None,
        faults=_faults(one.problems),
        used=_loaded(one.used),
        examples=[],
        text=text,
    )


def _loaded(one: Loaded | None) -> LastLoaded | None:
    return None if one is None else LastLoaded(at=moment(one.at), digest=one.digest, refused=one.refused)


def play(visit: Visit, given: OnePipeline) -> PlayedPipeline:
    """A file that is refused is not played: its faults say why. Raises `NotHere`."""
    if (refused := pipeline_view.refused_file(visit, given.name)) is not None:
        return PlayedPipeline(passed=False, examples=[], faults=_faults(refused.problems))
    played = pipeline_view.play(visit, pipeline_view.file(visit, given.name))
    return PlayedPipeline(
        passed=not played.faults and not any(played.results.values()),
        examples=[
            PlayedExample(example=name, passed=not problems, faults=_faults(problems))
            for name, problems in played.results.items()
        ],
        faults=_faults(played.faults),
    )


def _summary(file: PipelineFile, bare: Callable[[str], str]) -> PipelineSummary:
    config = file.config
    return PipelineSummary(
        name=config.name,
        description=bare(config.description),
        digest=file.digest,
        feeds=[*map(bare, config.feeds)],
        sinks=[*map(bare, config.sinks)],
        examples=len(config.examples),
    )


def _faults(problems: Sequence[Problem]) -> list[FileFault]:
    return [
        FileFault(line=one.line, column=one.column, path=one.path, text=translated(one.text), hint=translated(one.hint))
        for one in problems
    ]


OPERATIONS: Final = (
    Operation(
        name="pipelines",
        path="/pipelines",
        does=N_("Pipeline files as they are now, and why some are refused."),
        run=pipelines,
        takes=Nothing,
        gives=Pipelines,
        scope=API_READ,
        rate="60/minute",
        serves=("GET /pipelines",),
    ),
    Operation(
        name="pipeline",
        path="/pipelines/{name}",
        does=N_("What one pipeline does, in order; its file, its examples, and when it was last loaded."),
        run=pipeline,
        takes=OnePipeline,
        gives=Pipeline,
        scope=API_READ,
        serves=("GET /pipelines/{name}",),
    ),
    Operation(
        name="playPipeline",
        path="/pipelines/{name}/play",
        method="POST",
        does=N_("Play its examples now: they are fictitious, and nothing is sent."),
        run=play,
        takes=OnePipeline,
        gives=PlayedPipeline,
        scope=API_ACT,
        role=Role.OPERATOR,
        rate="10/minute",
        serves=("POST /pipelines/{name}",),
    ),
)
