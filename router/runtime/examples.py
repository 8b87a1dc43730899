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
from router.engine.pipeline.compiled import CompiledPipeline
from router.errors import Bug, ConfigFault, MessageFault, Problem, RouterError
from router.exchange import Event, Exchange, Filtered, Origin
from router.gateway.checks import RelayCheck
from router.gateway.received import FeedVerdict, Received
from router.hl7.message import Message
from router.language import N_, filled
from router.runtime.checks import AdtCheck, DocumentsCheck
from router.runtime.pipelines import Compiled, Compiler
from router.runtime.site_services import SiteServices
from router.sinks.registry import SINK_TYPES, type_of

_FILTERED: Final = N_("filtered: not expected, and it is")
_NOT_FILTERED: Final = N_("filtered: expected, and it is not")
FOREIGN: Final = "R65"
"""The rule that a message breaks when it speaks for a structure of another feed."""


@dataclass(frozen=True, slots=True)
class Result:
    """One example: what it was expected to reach and did not, in sentences; none when it passed."""

    pipeline: str
    example: str
    problems: list[str] = field(default_factory=list)


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


def play_all(site: Site) -> list[Result]:
    """Every example of every pipeline. Raises `ConfigFault` when a file is wrong."""
    files, problems = read_folder(site.pipelines, sinks=site.config.sink_types, feeds=set(site.config.feeds))
    if problems:
        raise ConfigFault(problems)
    with elsewhere(site) as services:
        player = Player(services)
        return [player.play(file, example) for file in files.values() for example in file.config.examples]


def failing_examples(site: Site, files: Sequence[PipelineFile]) -> list[Problem]:
    """What the examples of these files say and do not reach, each at its place in its file."""
    problems: list[Problem] = []
    with elsewhere(site) as services:
        player = Player(services)
        for file in files:
            for example in file.config.examples:
                problems += [file.failing(example, sentence) for sentence in _played(player, file, example)]
    return problems


def _played(player: Player, file: PipelineFile, example: Example) -> list[str]:
    """Differences; an example that can't be played at all is one."""
    try:
        return player.play(file, example).problems
    except OSError as error:
        return [filled("{name} can't be read: {reason}", name=example.message, reason=error.strerror)]
    except RouterError as fault:
        return [_of_fault(fault)]
    except Exception as error:  # a reload must not end the thread that watches
        return [_of_fault(Bug.of(error, file.config.name))]


def _of_fault(fault: RouterError) -> str:
    return filled("{code} at {where}: {text}", code=fault.code, where=fault.place or "?", text=fault.text)


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

    def play(self, file: PipelineFile, example: Example) -> Result:
        data = file.sample(example)
        if example.expect.fault != FOREIGN:
            data = self._in_our_name(file.config.feeds[0], data)
        actual = self.reach(file, data)
        return Result(file.config.name, example.name, list(_differences(example, actual)))

    def reach(self, file: PipelineFile, data: bytes) -> Actual:
        """What this message comes to in this pipeline."""
        feed = file.config.feeds[0]
        try:
            message = Message.parse(data)
        except MessageFault as fault:
            return Actual("AE", fault.code)
        verdict = self.check(feed, Received(data=data, source="mllp", at=self._services.clock.now()), message)
        if verdict.faults:
            return Actual("AE", verdict.faults[0].rule)
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

    def _run(self, pipeline: CompiledPipeline, exchange: Exchange) -> Actual:
        try:
            result = pipeline.process(exchange)
        except MessageFault as fault:
            return Actual("AA", fault.code)
        if isinstance(result, Filtered):
            return Actual("AA", filtered=True)
        actual = Actual("AA")
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


def _differences(example: Example, actual: Actual) -> list[str]:
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
        found.append(_FILTERED if actual.filtered else _NOT_FILTERED)
    return found


def _differs(name: str, want: str, got: str) -> str:
    if not want:
        return filled("{name}: expected none, got {got}", name=name, got=got)
    if not got:
        return filled("{name}: expected {want}, got none", name=name, want=want)
    return filled("{name}: expected {want}, got {got}", name=name, want=want, got=got)
