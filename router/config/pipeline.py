"""A pipeline file: which feed, which condition, which steps, which sinks, and the examples that specify it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from router.config.expressions import Expression, ExpressionFault
from router.config.load import Source
from router.errors import ConfigFault, Problem
from router.language import N_, filled
from router.steps.enrich import EnrichStep
from router.steps.look_up import LookUpStep
from router.steps.route import HL7, MSSANTE, TYPES
from router.steps.set_fields import SetFieldsStep
from router.steps.validate import ValidateStep
from router.strict import Strict


class StepConfig(Strict):
    """One step: exactly one of these keys. Reading the message (`parse`) always comes first and is not written."""

    validate_: ValidateStep | None = Field(None, alias="validate", description="Check again, more narrowly.")
    enrich: EnrichStep | None = Field(None, description="Add what the register says of the patient.")
    look_up: LookUpStep | None = Field(None, description="Find the mailbox of recipients that came without one.")
    set: SetFieldsStep | None = Field(None, description="Write fixed texts into fields of a relayed message.")
    keep: str | None = Field(None, description="End here unless this CEL condition holds.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        chosen = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(chosen) != 1:
            names = ", ".join(info.alias or name for name, info in type(self).model_fields.items())
            raise ValueError(filled("a step has exactly one key, one of: {names}", names=names))
        return self


class SinkUse(Strict):
    """How a pipeline uses a sink."""

    when: str | None = Field(None, description="CEL condition; what it leaves out is told to the sender.")
    pdf_copy: bool = Field(True, description="mssante: attach the PDF copy beside the archive (ECO.2.1.1).")
    strict_order: bool = Field(False, description="hl7: after a dead letter, park what follows in the lane.")


class Expectation(Strict):
    """What an example must reach."""

    ack: str = Field("AA", pattern="^A[AE]$", description="The gateway's answer.")
    fault: str | None = Field(None, description="The rule that refuses it, e.g. `R45`.")
    dmp: str | None = Field(None, description="`delivered`, or the code with which the DMP leg is refused.")
    mssante: list[str] | None = Field(None, description="Addresses that get a mail, `patient` for the patient's.")
    refused: list[str] | None = Field(None, description="Codes of the recipients that are refused, e.g. `MSS-510`.")
    hl7: list[str] | None = Field(None, description="Sinks that get the message.")
    filtered: bool = Field(False, description="The pipeline ends it on purpose.")


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
            kind = name if name in TYPES else sinks.get(name)
            if kind is None:
                problems.append(source.problem(path, "no such sink in the site file", _one_of({*sinks, *TYPES[:2]})))
            elif name == HL7:
                problems.append(source.problem(path, "name the instance: hl7 has no structure to choose it"))
            if use.strict_order and kind != HL7:
                problems.append(source.problem([*path, "strict_order"], "is for hl7 sinks only"))
            if not use.pdf_copy and kind != MSSANTE:
                problems.append(source.problem([*path, "pdf_copy"], "is for mssante sinks only"))
        return problems

    def _expressions(self, source: Source) -> list[Problem]:
        written: list[tuple[list[str | int], str | None]] = [(["when"], self.config.when)]
        written += [(["steps", rank, "keep"], step.keep) for rank, step in enumerate(self.config.steps)]
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


def _one_of(names: set[str]) -> str:
    return filled("one of {names}", names=", ".join(sorted(names))) if names else N_("none is defined")


def schema() -> dict[str, Any]:
    """JSON Schema of a pipeline file, for editors."""
    return PipelineConfig.model_json_schema(by_alias=True)
