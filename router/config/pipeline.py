"""A pipeline file: which feed, which condition, which steps, which sinks, and the examples that specify it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ConfigDict, Field, create_model, model_validator

from router.config.expressions import Expression, ExpressionFault
from router.config.load import Source
from router.config.sink_models import BY_STRUCTURE, Expectation, SinkUse, owners_of
from router.errors import ConfigFault, Problem
from router.language import N_, filled
from router.sinks.registry import SINK_TYPES
from router.steps.registry import STEPS
from router.strict import Strict

_PREFIX: Final = "step_"
"""Before the name of a step in the model: `set` or `validate` alone is a method of pydantic's."""


class _StepConfig(Strict):
    """One step: exactly one of these keys. Reading the message (`parse`) always comes first and is not written."""

    model_config = ConfigDict(populate_by_name=False)  # in a file a step has its key, never the model's own name

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self._chosen()) != 1:
            raise ValueError(filled("a step has exactly one key, one of: {names}", names=", ".join(STEPS)))
        return self

    def _chosen(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def name(self) -> str:
        """The key that is written: a name of `router.steps.registry.STEPS`."""
        return self._chosen()[0].removeprefix(_PREFIX)

    @property
    def value(self) -> Any:
        """What stands behind the key."""
        return getattr(self, self._chosen()[0])


if TYPE_CHECKING:
    StepConfig = _StepConfig
else:
    StepConfig = create_model(
        "StepConfig",
        __base__=_StepConfig,
        __doc__=_StepConfig.__doc__,
        **{
            f"{_PREFIX}{name}": (step.model | None, Field(None, alias=name, description=step.description))
            for name, step in STEPS.items()
        },
    )


class Example(Strict):
    """An input and what becomes of it: run by `segur-router test`, by CI, and at every reload."""

    name: str
    message: Path = Field(description="A sample message, relative to the pipeline file.")
    expect: Expectation


class PipelineConfig(Strict):
    """One file in `pipelines/`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$", description="Shown in metrics, journal and dead letters.")
    description: str = Field("", description="One sentence for the next reader.")
    feed: list[str] | str = Field(description="The feed or feeds it reads.")
    when: str | None = Field(None, description="CEL condition; an event may match several pipelines.")
    steps: list[StepConfig] = Field(default_factory=list, description="Applied in order.")
    sinks: dict[str, SinkUse] = Field(
        min_length=1, description="A type (`dmp`, `mssante`), where the structure chooses the instance, or an instance."
    )
    examples: list[Example] = Field(min_length=1, description="At least one: they are the specification.")

    @property
    def feeds(self) -> tuple[str, ...]:
        return (self.feed,) if isinstance(self.feed, str) else tuple(self.feed)


class PipelineFile:
    """A pipeline that could be read and makes sense by itself, with its place and its digest."""

    def __init__(self, path: Path, *, sinks: dict[str, str], feeds: set[str], examples: bool = True) -> None:
        """Read and check. `sinks`: instance -> type; `examples`: their files must be there too.

        Raises `ConfigFault` with every problem of the file.
        """
        self.path = path
        source = Source(path)
        data = source.data
        for name, use in list((data.get("sinks") or {}).items()):
            if use is None:
                data["sinks"][name] = {}
        self.config = source.read_as(PipelineConfig, data)
        self.text = source.text
        self.digest = hashlib.sha256(source.text.encode()).hexdigest()[:12]
        self._source = source
        problems = [*self._references(source, sinks, feeds), *self._expressions(source)]
        problems += self._samples(source) if examples else []
        if problems:
            raise ConfigFault(sorted(problems, key=lambda found: (found.line, found.column)))

    def _references(self, source: Source, sinks: dict[str, str], feeds: set[str]) -> list[Problem]:
        problems = []
        for feed in self.config.feeds:
            if feed not in feeds:
                text = filled("no feed {name} in the site file", name=repr(feed))
                problems.append(source.problem(["feed"], text, _one_of(feeds)))
        for name, use in self.config.sinks.items():
            path: list[str | int] = ["sinks", name]
            kind = name if name in SINK_TYPES else sinks.get(name)
            if kind is None:
                known = {*sinks, *BY_STRUCTURE}
                problems.append(source.problem(path, "no such sink in the site file", _one_of(known)))
            elif name in SINK_TYPES and name not in BY_STRUCTURE:
                text = filled("name the instance: {kind} has no structure to choose it", kind=name)
                problems.append(source.problem(path, text))
            problems += [
                source.problem([*path, key], filled("is for {names} sinks only", names=", ".join(owners)))
                for key, owners in _foreign(use, kind)
            ]
        return problems

    def _expressions(self, source: Source) -> list[Problem]:
        written: list[tuple[list[str | int], str | None]] = [(["when"], self.config.when)]
        for rank, step in enumerate(self.config.steps):
            if STEPS[step.name].condition:
                written.append((["steps", rank, step.name], step.value))
        written += [(["sinks", name, "when"], use.when) for name, use in self.config.sinks.items()]
        problems = []
        for path, text in written:
            if text is None:
                continue
            try:
                Expression(text)
            except ExpressionFault as fault:
                problems.append(source.problem(path, str(fault)))
        return problems

    def _samples(self, source: Source) -> list[Problem]:
        return [
            source.problem(["examples", rank, "message"], "no such file beside the pipeline")
            for rank, example in enumerate(self.config.examples)
            if not (self.path.parent / example.message).is_file()
        ]

    def failing(self, example: Example, sentence: str) -> Problem:
        """A problem at the place of an example whose outcome differs."""
        return self._source.problem(
            ["examples", self.config.examples.index(example)],
            filled("example {name}: {text}", name=repr(example.name), text=sentence),
        )

    def sample(self, example: Example) -> bytes:
        return (self.path.parent / example.message).read_bytes()


def read_folder(
    folder: Path, *, sinks: dict[str, str], feeds: set[str], examples: bool = True
) -> tuple[dict[str, PipelineFile], list[Problem]]:
    """Every `*.yaml` of a folder: those that are right by name, and the problems of the others."""
    files: dict[str, PipelineFile] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            read = PipelineFile(path, sinks=sinks, feeds=feeds, examples=examples)
        except ConfigFault as fault:
            problems += fault.problems
            continue
        twin = files.get(read.config.name)
        if twin is not None:
            problems.append(
                Problem(str(path), 1, 1, "name", filled("is already the name of {name}", name=twin.path.name))
            )
        else:
            files[read.config.name] = read
    if not files and not problems:
        problems.append(Problem(str(folder), 1, 1, "", "holds no pipeline", "add a file such as biologie.yaml"))
    return files, problems


def _foreign(use: SinkUse, kind: str | None) -> Iterator[tuple[str, list[str]]]:
    """Keys that were changed and that this type of sink does not take, with the types that do."""
    for key, info in type(use).model_fields.items():
        owners = owners_of(key)
        if owners and kind not in owners and getattr(use, key) != info.default:
            yield key, owners


def _one_of(names: set[str]) -> str:
    return filled("one of {names}", names=", ".join(sorted(names))) if names else N_("none is defined")


def schema() -> dict[str, Any]:
    """JSON Schema of a pipeline file, for editors."""
    return PipelineConfig.model_json_schema(by_alias=True)
