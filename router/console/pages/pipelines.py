"""Pipelines: what runs, is it proven, and why was the last change refused?"""

from __future__ import annotations

import time
from typing import Final

from starlette.responses import Response

from router.access.person import Role
from router.config.pipeline import PipelineFile
from router.console import pipeline_view
from router.console.page import Key, Page
from router.console.pipeline_view import Played
from router.console.visit import Visit
from router.language import N_


def list_(visit: Visit) -> Response:
    """The files as they are now; those that are refused, with every reason and its place."""
    found = pipeline_view.all_files(visit)
    return visit.page(
        "pipelines.html",
        bare=pipeline_view.bare(visit),
        files=found.files,
        refused=found.refused,
        problems=found.problems,
        hidden=found.hidden,
    )


def show(visit: Visit) -> Response:
    """One pipeline: what it does step by step, its examples, its text; why it is refused, when it is."""
    if (refused := pipeline_view.refused_file(visit, visit.path["name"])) is not None:
        return visit.page("pipeline_refused.html", one=refused, text=list(enumerate(refused.text.splitlines(), 1)))
    return _pipeline(visit, pipeline_view.file(visit, visit.path["name"]), Played({}))


def play(visit: Visit) -> Response:
    """Play its examples now. They are fictitious, and nothing is sent."""
    file = pipeline_view.file(visit, visit.path["name"])
    began = time.perf_counter()
    played = pipeline_view.play(visit, file)
    visit.took = time.perf_counter() - began
    return _pipeline(visit, file, played)


def _pipeline(visit: Visit, file: PipelineFile, played: Played) -> Response:
    bare = pipeline_view.bare(visit)
    return visit.page(
        "pipeline.html",
        bare=bare,
        file=file,
        stages=pipeline_view.stages(file, bare),
        loaded=pipeline_view.last_loaded(visit, file),
        played=played.results,
        faults=played.faults,
        text=list(enumerate(bare(file.text).splitlines(), 1)),
        may_play=visit.may(Role.OPERATOR),
    )


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
