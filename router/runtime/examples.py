"""The examples of the pipeline files, played without a bus, a sink or a network: `segur-router test`, every reload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from router.cisis.participants import SENDER, UNITS, kind_of, structure
from router.config.pipeline import Example, PipelineFile, read_folder
from router.config.site import Site
from router.contracts import Header
from router.errors import Bug, ConfigFault, MessageFault, OperatorFault, Problem, RouterError
from router.exchange import Event, Exchange, Filtered, Origin
from router.gateway.checks import RelayCheck
from router.gateway.received import FeedVerdict, Received
from router.hl7.message import Message
from router.language import N_, filled
from router.runtime.checks import AdtCheck, DocumentsCheck
from router.runtime.pipelines import Compiled, Compiler, Stage
from router.runtime.site_services import SiteServices
from router.sinks.registry import SINK_TYPES, type_of

_FILTERED: Final = N_("filtered: not expected, and it is")
_NOT_FILTERED: Final = N_("filtered: expected, and it is not")
FOREIGN: Final = "R65"
"""The rule that a message breaks when it speaks for a structure of another feed."""


@dataclass(frozen=True, slots=True)
class Result:
    """One example: what it was expected to reach and did not, in sentences, each with its place; none: it passed."""

    pipeline: str
    example: str
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Differs:
    """One way in which an example did not reach what it says. `key`: of its `expect`."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Actual:
    """What an example came to, in the words of `Expectation`."""

    ack: str
    fault: str | None = None
    outcomes: dict[str, str] = field(default_factory=dict)
    """Type of sink -> `delivered`, or the code of its refusal."""
    served: dict[str, list[str]] = field(default_factory=dict)
    """Type of sink -> recipients, or instances."""
    refused: list[str] = field(default_factory=list)
    filtered: bool = False
    stage: Stage = ("gateway",)
    """What decided it: the gateway, or a stage of the pipeline."""
    reason: str = ""
    """Why it ended there, when it ended early."""


def play_all(site: Site, only: Sequence[str] = ()) -> list[Result]:
    """Every example of every pipeline, or of those named (`biologie`, or a file).

    Raises `ConfigFault` when one of their files is wrong.
    """
    files = [file for one in only for file in _named(site, one)] if only else _all(site)
    with elsewhere(site) as services:
        player = Player(services)
        return [_played(player, file, example) for file in files for example in file.config.examples]


def _all(site: Site) -> list[PipelineFile]:
    files, problems = read_folder(site.pipelines, sinks=site.config.sink_types, feeds=set(site.config.feeds))
    if problems:
        raise ConfigFault(problems)
    return list(files.values())


def _named(site: Site, name: str) -> Iterator[PipelineFile]:
    """The pipeline of a name, or a file; another file that is wrong is not its matter."""
    known = {"sinks": site.config.sink_types, "feeds": set(site.config.feeds)}
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        found = path if path.exists() else site.pipelines / path
        yield PipelineFile(found, **known)  # type: ignore[arg-type]
        return
    files, problems = read_folder(site.pipelines, **known)  # type: ignore[arg-type]
    if name in files:
        yield files[name]
        return
    if own := [problem for problem in problems if Path(problem.file).stem == name]:
        raise ConfigFault(own)
    raise OperatorFault("PIPELINE", name, filled("no such pipeline: one of {names}", names=", ".join(files)))


def failing_examples(site: Site, files: Sequence[PipelineFile]) -> list[Problem]:
    """What the examples of these files say and do not reach, each at its place in its file."""
    with elsewhere(site) as services:
        player = Player(services)
        return [
            problem
            for file in files
            for example in file.config.examples
            for problem in _played(player, file, example).problems
        ]


def _played(player: Player, file: PipelineFile, example: Example) -> Result:
    """Differences; an example that can't be played at all is one."""
    decided = ""
    try:
        actual = player.example(file, example)
        differences = list(_differences(example, actual))
        decided = _decided(file, actual)
    except OSError as error:
        differences = [
            Differs("", filled("{name} can't be read: {reason}", name=example.message, reason=error.strerror))
        ]
    except RouterError as fault:
        differences = [Differs("", _of_fault(fault))]
    except Exception as error:  # a reload must not end the thread that watches
        differences = [Differs("", _of_fault(Bug.of(error, file.config.name)))]
    problems = [file.failing(example, one.key, one.text, decided) for one in differences]
    return Result(file.config.name, example.name, problems)


def _of_fault(fault: RouterError) -> str:
    """Each part is a text of its own, so that each is told in the reader's language."""
    return f"{fault.code}: {fault.text}" + (f" ; {fault.place}" if fault.place else "")


def _decided(file: PipelineFile, actual: Actual) -> str:
    """What decided where it ended, and why when it ended early."""
    stage = actual.stage
    if stage == ("gateway",):
        said = N_("decided by the gateway")
    elif stage == ("parse",):
        said = N_("decided when it was read")
    else:
        name = str(stage[0]) if stage[0] != "steps" else file.config.steps[int(stage[1])].name
        said = filled("decided by `{name}`, line {line}", name=name, line=file.line(stage))
    return f"{said} ; {actual.reason}" if actual.reason else said


@contextmanager
def elsewhere(site: Site) -> Iterator[SiteServices]:
    """The same site with an empty register and journal of its own: an example depends on nothing but its file.

    Examples name fictitious patients: they are played as qualification, wherever the site stands.
    """
    with TemporaryDirectory() as folder:
        update = {"data": Path(folder), "database": type(site.config.database)(), "environment": "qualification"}
        apart = copy(site)
        apart.config = site.config.model_copy(update=update)
        services = SiteServices(apart)
        try:
            yield services
        finally:
            services.close()


class Player:
    """Plays examples on the real checks, steps and route."""

    def __init__(self, services: SiteServices) -> None:
        self._services = services
        self._compiler = Compiler(services)

    def example(self, file: PipelineFile, example: Example) -> Actual:
        """What the message of an example comes to."""
        data = file.sample(example)
        if example.expect.fault != FOREIGN:
            data = self._in_our_name(file.config.feeds[0], data)
        return self.reach(file, data)

    def reach(self, file: PipelineFile, data: bytes) -> Actual:
        """What this message comes to in this pipeline."""
        feed = file.config.feeds[0]
        try:
            message = Message.parse(data)
        except MessageFault as fault:
            return Actual("AE", fault.code, reason=_of_fault(fault))
        verdict = self.check(feed, Received(data=data, source="mllp", at=self._services.clock.now()), message)
        if verdict.faults:
            first = verdict.faults[0]
            return Actual("AE", first.rule, reason=f"{first.rule}: {first.err.text} ; {first.err.location}")
        pipeline = self.compiled(file, feed)
        headers = {Header.CHECKED: verdict.checked, Header.RECEIVED: f"{self._services.clock.now():.3f}"}
        event = Event("0" * 32, feed, verdict.key, data, headers, Origin(f"in.{feed}", 0, 0))
        return self._run(pipeline, Exchange(event))

    def _in_our_name(self, feed: str, data: bytes) -> bytes:
        """Examples name a fictitious hospital: on a site that doesn't know it they speak for the feed's first one."""
        config = self._services.config
        own = self._services.rules(feed, config.feeds[feed]).structures
        try:
            message = Message.parse(data)
            for part in message.segments("PRT"):
                named = structure(part) if kind_of(part) == SENDER else None
                if own and named is not None and named.finess and named.finess not in config.structures:
                    field = "8.6.1" if named.kind in UNITS else "8.10"
                    return message.with_text(f"PRT[{part.index}]-{field}", own[0]).to_bytes()
        except MessageFault:
            return data  # the check says what is wrong with it
        return data

    def compiled(self, file: PipelineFile, feed: str) -> Compiled:
        """The file, ready to run on one of its feeds."""
        return next(one for one in self._compiler.pipelines(file) if one.feed == feed)

    def _run(self, pipeline: Compiled, exchange: Exchange) -> Actual:
        stages: list[Stage] = []
        try:
            result = pipeline.process(exchange, stages.append)
        except MessageFault as fault:
            return Actual("AA", fault.code, stage=stages[-1], reason=_of_fault(fault))
        if isinstance(result, Filtered):
            return Actual("AA", filtered=True, stage=stages[-1], reason=result.reason)
        why = " ; ".join(f"{receipt.code}: {receipt.text}" for receipt in result.receipts)
        actual = Actual("AA", stage=stages[-1], reason=why)
        for delivery in result.deliveries:
            kind = type_of(delivery.sink)
            if kind.expects == "outcome":
                actual.outcomes[kind.name] = "delivered"
            else:
                served = delivery.label if kind.expects == "recipients" else delivery.sink
                actual.served.setdefault(kind.name, []).append(served)
        for receipt in result.receipts:
            kind = type_of(receipt.sink)
            if kind.expects == "outcome":
                actual.outcomes[kind.name] = receipt.code
            else:
                actual.refused.append(receipt.code)
        return actual

    def check(self, feed: str, received: Received, message: Message) -> FeedVerdict:
        """What the gateway says of it."""
        services, config = self._services, self._services.config.feeds[feed]
        if config.kind == "documents":
            return DocumentsCheck(
                services.rules(feed, config), services.value_sets, services.pseudonyms, services.schema
            )(received, message)
        if config.kind == "adt":
            return AdtCheck(config.rules.autorites, services.pseudonyms)(received, message)
        return RelayCheck(services.pseudonyms)(received, message)


def _differences(example: Example, actual: Actual) -> list[Differs]:
    """One sentence for each way in which an example did not reach what it says."""
    expected = example.expect
    found = []
    one = {"ack": actual.ack, "fault": actual.fault}
    several = {}
    for kind in SINK_TYPES.values():
        if kind.expects == "outcome":
            one[kind.name] = actual.outcomes.get(kind.name)
        else:
            several[kind.name] = actual.served.get(kind.name, [])
    several["refused"] = actual.refused
    for name, got in one.items():
        want = getattr(expected, name)
        if want != got and (want is not None or name == "fault"):
            found.append(_differs(name, want or "", got or ""))
    for name, given in several.items():
        want = getattr(expected, name)
        if want is not None and sorted(want) != sorted(given):
            found.append(_differs(name, ", ".join(want), ", ".join(given)))
    if expected.filtered != actual.filtered:
        found.append(Differs("filtered", _FILTERED if actual.filtered else _NOT_FILTERED))
    return found


def _differs(name: str, want: str, got: str) -> Differs:
    if not want:
        text = filled("{kind}: expected none, got {got}", kind=name, got=got)
    elif not got:
        text = filled("{kind}: expected {want}, got none", kind=name, want=want)
    else:
        text = filled("{kind}: expected {want}, got {got}", kind=name, want=want, got=got)
    return Differs(name, text)
