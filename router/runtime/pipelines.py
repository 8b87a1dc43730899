"""Pipeline files made to run: compiled once, reloaded in one piece, refused without harm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.config.expressions import Expression
from router.config.pipeline import PipelineFile, SinkUse, StepConfig, read_folder
from router.contracts import Step
from router.engine.pipeline import UNWANTED, CompiledPipeline, Routed
from router.errors import Problem
from router.exchange import Exchange, Filtered
from router.register import adt
from router.runtime.house import House
from router.steps.enrich import Enrich
from router.steps.keep import Keep
from router.steps.look_up import LookUp
from router.steps.parse import Parse
from router.steps.route import MSSANTE, TYPES, Destination, Route
from router.steps.set_fields import SetFields
from router.steps.validate import Validate

WATCH_SECONDS: Final = 1.0


class ParseOnce:
    """`parse` for all pipelines of an event: the first one reads it, the others get the same exchange."""

    def __init__(self, parse: Step) -> None:
        self._parse = parse
        self._last: tuple[object, Exchange] | None = None

    def __call__(self, exchange: Exchange) -> Exchange:
        if self._last is not None and self._last[0] is exchange.event:
            return self._last[1]
        parsed = self._parse(exchange)
        if isinstance(parsed, Filtered):
            raise TypeError("parse never filters")
        self._last = (exchange.event, parsed)
        return parsed


@dataclass(frozen=True, slots=True)
class Compiled:
    """One pipeline file for one feed: `engine.pipeline.CompiledPipeline`."""

    name: str
    digest: str
    feed: str
    parse: Callable[[Exchange], Exchange]
    when: Expression | None
    steps: tuple[Step, ...]
    route: Route

    def process(self, exchange: Exchange) -> Routed | Filtered:
        exchange = self.parse(exchange)
        if self.when is not None and not self.when(exchange):
            return Filtered(self.when.source, UNWANTED)
        for step in self.steps:
            result = step(exchange)
            if isinstance(result, Filtered):
                return result
            exchange = result
        plan = self.route(exchange)
        for delivery in plan.deliveries:
            exchange = exchange.decided("route", f"vers {delivery.label} par {delivery.sink}")
        for receipt in plan.receipts:
            exchange = exchange.decided("route", f"{receipt.label} non servi : {receipt.text}", receipt.code)
        return Routed(plan.deliveries, exchange, plan.receipts)


@dataclass(slots=True)
class RegisterPipeline:
    """What an ADT feed does: its events change the register, in order, once each (decisions D8)."""

    house: House
    feed: str
    name: str = "registre"
    digest: str = "builtin"
    parse: Callable[[Exchange], Exchange] = field(default=lambda exchange: exchange)

    def process(self, exchange: Exchange) -> Routed:
        exchange = self.parse(exchange)
        event = exchange.event
        rules = self.house.config.feeds[self.feed].rules
        change = adt.read(exchange.message, rules.autorites)
        applied = self.house.register.apply(event.id, change, origin=event.origin)
        exchange = exchange.decided("register", f"{change.event} appliqué" if applied.new else "déjà appliqué")
        if applied.alert is not None:
            exchange = exchange.decided("register", applied.alert.text, applied.alert.kind)
        return Routed((), exchange)


class Compiler:
    """Builds running pipelines from files, with the house's register, directory and value sets."""

    def __init__(self, house: House) -> None:
        self._house = house
        feeds = house.config.feeds
        rules = {name: house.rules(name, feed) for name, feed in feeds.items()}
        documents = frozenset(name for name, feed in feeds.items() if feed.kind == "documents")
        self.parse = ParseOnce(Parse(rules, house.value_sets, documents=documents))

    def pipelines(self, file: PipelineFile) -> list[CompiledPipeline]:
        """One for each feed of the file."""
        config, house = file.config, self._house
        route = Route(
            pipeline=config.name,
            digest=file.digest,
            destinations=tuple(self._destination(name, use) for name, use in config.sinks.items()),
            structures=house.config.structures,
            pseudonyms=house.pseudonyms,
            clock=house.clock,
        )
        when = Expression(config.when) if config.when else None
        steps = tuple(self._step(step) for step in config.steps)
        return [Compiled(config.name, file.digest, feed, self.parse, when, steps, route) for feed in config.feeds]

    def registers(self) -> list[CompiledPipeline]:
        """The built-in pipeline of every ADT feed."""
        return [
            RegisterPipeline(self._house, name, parse=self.parse)
            for name, feed in self._house.config.feeds.items()
            if feed.kind == "adt"
        ]

    def _destination(self, name: str, use: SinkUse) -> Destination:
        kind = name if name in TYPES else self._house.config.sink_types[name]
        condition = Expression(use.when) if use.when else None
        options: dict[str, str | bool | int] = {"pdf_copy": use.pdf_copy} if kind == MSSANTE else {}
        return Destination(kind, "" if name in TYPES else name, condition, options, use.strict_order)

    def _step(self, step: StepConfig) -> Step:
        house = self._house
        if step.validate_ is not None:
            return Validate(step.validate_, house.schema)
        if step.enrich is not None:
            return Enrich(house.register)
        if step.look_up is not None:
            return LookUp(step.look_up, house.directory)
        if step.set is not None:
            return SetFields(step.set)
        keep = Expression(step.keep or "true")
        return Keep(keep, keep.source)


class PipelineSet:
    """The pipelines that run now, by feed. A file that became wrong keeps its last good version running."""

    def __init__(self, house: House, *, refused: Callable[[Sequence[Problem]], None] = lambda _: None) -> None:
        """`refused` hears of every problem at a reload. Call `load` before the first `of`."""
        self._house = house
        self._refused = refused
        self._compiler = Compiler(house)
        self._good: dict[Path, PipelineFile] = {}
        self._by_feed: Mapping[str, tuple[CompiledPipeline, ...]] = {}
        self._seen: dict[Path, tuple[int, int]] = {}
        self._stop = threading.Event()

    @property
    def parse(self) -> Callable[[Exchange], Exchange]:
        """The reader that all pipelines share."""
        return self._compiler.parse

    def of(self, feed: str) -> Sequence[CompiledPipeline]:
        """Pipelines of a feed, in the order of their names."""
        return self._by_feed.get(feed, ())

    def load(self) -> list[Problem]:
        """Read the folder: what is right runs from the next batch on. Returns the problems of the rest."""
        site = self._house.site
        files, problems = read_folder(
            site.pipelines, sinks=site.config.sink_types, feeds=set(site.config.feeds), examples=False
        )
        present = set(site.pipelines.glob("*.yaml"))
        good = {path: file for path, file in self._good.items() if path in present}
        good |= {file.path: file for file in files.values()}
        by_feed: dict[str, list[CompiledPipeline]] = {}
        for pipeline in self._compiler.registers():
            by_feed.setdefault(pipeline.feed, []).append(pipeline)
        for file in sorted(good.values(), key=lambda one: one.config.name):
            for pipeline in self._compiler.pipelines(file):
                by_feed.setdefault(pipeline.feed, []).append(pipeline)
        self._good = good
        self._by_feed = {feed: tuple(some) for feed, some in by_feed.items()}
        return problems

    def watch(self) -> threading.Thread:
        """Reload on change, in a thread of its own, until `close`."""
        self._seen = self._stamps()
        thread = threading.Thread(target=self._watch, name="pipelines-watch", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            stamps = self._stamps()
            if stamps == self._seen:
                continue
            self._seen = stamps
            problems = self.load()
            self._house.observer.count("reload_total", result="refused" if problems else "applied")
            if problems:
                self._refused(problems)

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for path in self._house.site.pipelines.glob("*.yaml"):
            try:
                found = path.stat()
            except FileNotFoundError:  # removed between the listing and the look
                continue
            stamps[path] = (found.st_mtime_ns, found.st_size)
        return stamps
