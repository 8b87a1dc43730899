"""A pipeline file: which feed, which condition, which steps, which sinks, and the examples that specify it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ConfigDict, Field, create_model, model_validator

from router.cisis.rules import TABLE as RULES
from router.config.conditions import address_fault
from router.config.expressions import Expression, ExpressionFault
from router.config.load import Source
from router.config.reading import Reading
from router.config.sentences import NAME, nearest, one_of
from router.config.sink_models import BY_STRUCTURE, Expectation, SinkUse, owners_of
from router.errors import ConfigFault, Problem, in_order
from router.language import N_, T_, filled
from router.sinks.registry import SINK_TYPES
from router.steps.registry import STEPS
from router.strict import Strict

Where = list[str | int]
DELIVERED: Final = "delivered"
"""In an example: a leg that is served."""
_CODE: Final = re.compile(r"[A-Z][A-Z0-9]*(-[A-Za-z0-9]+)*")
_RULE: Final = re.compile(r"R\d+")
_NO_CODE: Final = N_("is no code of ours, such as R45 or MSS-510")
_OR_DELIVERED: Final = T_("`{name}`, or a code")
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

    name: str = Field(pattern=NAME, description="Shown in metrics, journal and dead letters.")
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


class PipelineRest(PipelineConfig):
    """What is left of a pipeline file when something required can't be read: looked at by `check`, never run."""

    name: str = ""
    feed: list[str] | str = Field(default_factory=list)
    sinks: dict[str, SinkUse] = Field(default_factory=dict)
    examples: list[Example] = Field(default_factory=list)


class PipelineDraft:
    """A pipeline file as far as it can be read, with every problem of it."""

    def __init__(
        self, path: Path, *, sinks: Mapping[str, str] | None, feeds: Collection[str] | None, examples: bool = True
    ) -> None:
        """sinks, feeds: of the site; None where the site file does not say them, and nothing is held against it.

        Raises `ConfigFault` for a file that can't be read at all.
        """
        self.path = path
        source = Source(path)
        data = source.data
        if isinstance(uses := data.get("sinks"), dict):
            data["sinks"] = {name: {} if use is None else use for name, use in uses.items()}
        self.source = Reading[PipelineConfig](source, PipelineConfig, PipelineRest, data)
        self.config = self.source.config
        self.text = source.text
        found = [*self._feeds(feeds), *self._sinks(sinks), *self._expressions(), *self._settings()]
        found += self._expectations(sinks)
        found += self._samples() if examples else []
        self.problems = in_order([*self.source.problems, *found])

    def _feeds(self, feeds: Collection[str] | None) -> Iterator[Problem]:
        for rank, feed in enumerate(self.config.feeds):
            if feeds is not None and feed not in feeds:
                path: Where = ["feed"] if isinstance(self.config.feed, str) else ["feed", rank]
                text = filled("no feed {name} in the site file", name=repr(feed))
                yield self.source.problem(path, text, nearest(feed, feeds) or one_of(feeds))

    def _sinks(self, sinks: Mapping[str, str] | None) -> Iterator[Problem]:
        for name, use in self.config.sinks.items():
            path: Where = ["sinks", name]
            kind = name if name in SINK_TYPES else (sinks or {}).get(name)
            if kind is None and sinks is not None:
                known = {*sinks, *BY_STRUCTURE}
                yield self.source.problem(path, "no such sink in the site file", nearest(name, known) or one_of(known))
            elif name in SINK_TYPES and name not in BY_STRUCTURE:
                text = filled("name the instance: {kind} has no structure to choose it", kind=name)
                yield self.source.problem(path, text, one_of([one for one, of in (sinks or {}).items() if of == name]))
            for key, owners in _foreign(use, kind) if kind is not None else ():
                yield self.source.problem([*path, key], filled("is for {names} sinks only", names=", ".join(owners)))

    def conditions(self) -> Iterator[tuple[list[str | int], str]]:
        """(path, text) of every condition of the file: the pipeline's, its steps', its sinks'."""
        if self.config.when is not None:
            yield ["when"], self.config.when
        for rank, step in enumerate(self.config.steps):
            if STEPS[step.name].condition:
                yield ["steps", rank, step.name], step.value
        for name, use in self.config.sinks.items():
            if use.when is not None:
                yield ["sinks", name, "when"], use.when

    def _expressions(self) -> Iterator[Problem]:
        for path, text in self.conditions():
            try:
                Expression(text)
            except ExpressionFault as fault:
                for found in fault.found:
                    yield self.source.problem(path, found.reason, found.hint, column=found.column)

    def _settings(self) -> Iterator[Problem]:
        """What a step says of its own value."""
        for rank, step in enumerate(self.config.steps):
            for address in STEPS[step.name].addresses(step.value):
                if text := address_fault(address):
                    yield self.source.problem(["steps", rank, step.name, address], text)

    def _expectations(self, sinks: Mapping[str, str] | None) -> Iterator[Problem]:
        """What an example expects is a word, a code or a sink that there is: any other is never reached."""
        for rank, example in enumerate(self.config.examples):
            path: Where = ["examples", rank, "expect"]
            for key, code in _codes(example.expect):
                if not _is_code(code):
                    outcome = len(key) == 1 and key[0] != "fault"
                    hint = (nearest(code, [DELIVERED]) or filled(_OR_DELIVERED, name=DELIVERED)) if outcome else ""
                    yield self.source.problem([*path, *key], _NO_CODE, hint)
            for key, name in _instances(example.expect):
                if sinks is not None and name not in sinks:
                    yield self.source.problem([*path, *key], "no such sink in the site file", nearest(name, sinks))

    def _samples(self) -> Iterator[Problem]:
        for rank, example in enumerate(self.config.examples):
            path = self.path.parent / example.message
            if not path.is_file():
                near = nearest(path.name, [one.name for one in path.parent.glob("*")])
                text = filled("there is no file {name}", name=str(path))
                yield self.source.problem(["examples", rank, "message"], text, near)


def digest_of(text: str) -> str:
    """Of the text of a pipeline's file: two files of one digest are the same."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class PipelineFile:
    """A pipeline that could be read and makes sense by itself, with its place and its digest."""

    def __init__(self, path: Path, *, sinks: dict[str, str], feeds: set[str], examples: bool = True) -> None:
        """Read and check. `sinks`: instance -> type; `examples`: their files must be there too.

        Raises `ConfigFault` with every problem of the file.
        """
        draft = PipelineDraft(path, sinks=sinks, feeds=feeds, examples=examples)
        if draft.problems:
            raise ConfigFault(draft.problems)
        self.path, self.config, self.text, self._source = draft.path, draft.config, draft.text, draft.source
        self.digest = digest_of(draft.text)

    def failing(self, example: Example, key: str, sentence: str, hint: str = "") -> Problem:
        """A problem at what an example expects and does not reach; `key` "": at the whole."""
        path: Where = ["examples", self.config.examples.index(example)]
        if key and self._source.source.holds([*path, "expect", key]):
            path += ["expect", key]
        return self._source.problem(
            path, filled("example {name}: {text}", name=repr(example.name), text=sentence), hint
        )

    def line(self, path: Sequence[str | int]) -> int:
        """Where a part of the file stands."""
        return self._source.source.place(path)[0]

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


def _codes(said: Expectation) -> Iterator[tuple[Where, str]]:
    """Codes that an example expects, each with its keys."""
    if said.fault is not None:
        yield ["fault"], said.fault
    for rank, code in enumerate(said.refused or ()):
        yield ["refused", rank], code
    for kind in SINK_TYPES.values():
        given = getattr(said, kind.name) if kind.expects == "outcome" else None
        if given not in (None, DELIVERED):
            yield [kind.name], given


def _instances(said: Expectation) -> Iterator[tuple[Where, str]]:
    """Sinks that an example names, each with its keys."""
    for kind in SINK_TYPES.values():
        for rank, name in enumerate((getattr(said, kind.name) or ()) if kind.expects == "instances" else ()):
            yield [kind.name, rank], name


def _is_code(code: str) -> bool:
    """Whether this has the form of a code; a rule of ours must be one that there is."""
    return code in RULES if _RULE.fullmatch(code) else _CODE.fullmatch(code) is not None


def _foreign(use: SinkUse, kind: str | None) -> Iterator[tuple[str, list[str]]]:
    """Keys that were changed and that this type of sink does not take, with the types that do."""
    for key, info in type(use).model_fields.items():
        owners = owners_of(key)
        if owners and kind not in owners and getattr(use, key) != info.default:
            yield key, owners


def schema() -> dict[str, Any]:
    """JSON Schema of a pipeline file, for editors."""
    return PipelineConfig.model_json_schema(by_alias=True)
