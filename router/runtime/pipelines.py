"""Pipeline files made to run: compiled once; `router.runtime.reload` says which ones run now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from router.cda.schema import SchemaGate
from router.cisis.verdict_codec import VerdictCodec
from router.config.expressions import Expression
from router.config.pipeline import PipelineFile
from router.config.sink_models import SinkUse
from router.contracts import Header, Step
from router.directory.directory import Directory
from router.engine.pipeline.compiled import UNWANTED, CompiledPipeline
from router.exchange import Exchange, Filtered, Routed
from router.language import N_, filled
from router.register import adt
from router.register.store import Register
from router.runtime.site_services import SiteServices
from router.sinks.registry import SINK_TYPES
from router.steps.parse import Parse
from router.steps.registry import STEPS
from router.steps.route import Destination, Route

Stage = tuple[str | int, ...]
"""What a pipeline is doing: `parse`, or the place in its file: `when`, (`steps`, 1), `sinks`."""


def _nobody(_stage: Stage) -> None:
    """Nobody asks how far a pipeline has come."""


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
    reads_only: bool = True

    def process(self, exchange: Exchange, entered: Callable[[Stage], None] = _nobody) -> Routed | Filtered:
        """`entered` hears of each stage before it begins."""
        entered(("parse",))
        exchange = self.parse(exchange)
        entered(("when",))
        if self.when is not None and not self.when(exchange):
            return Filtered(self.when.source, UNWANTED)
        for rank, step in enumerate(self.steps):
            entered(("steps", rank))
            result = step(exchange)
            if isinstance(result, Filtered):
                return result
            exchange = result
        entered(("sinks",))
        routed = self.route(exchange)
        for delivery in routed.deliveries:
            exchange = exchange.decided(
                "route", filled("vers {label} par {sink}", label=delivery.label, sink=delivery.sink)
            )
        for receipt in routed.receipts:
            exchange = exchange.decided(
                "route", filled("{label} non servi : {text}", label=receipt.label, text=receipt.text), receipt.code
            )
        return replace(routed, exchange=exchange)


@dataclass(slots=True)
class RegisterPipeline:
    """What an ADT feed does: its events change the register, in order, once each (decisions D8)."""

    services: SiteServices
    feed: str
    name: str = "registre"
    digest: str = "builtin"
    reads_only: bool = False
    parse: Callable[[Exchange], Exchange] = field(default=lambda exchange: exchange)

    def process(self, exchange: Exchange) -> Routed:
        exchange = self.parse(exchange)
        event = exchange.event
        rules = self.services.config.feeds[self.feed].rules
        change = adt.read(exchange.message, rules.autorites)
        again = Header.ORIGIN in event.headers
        applied = self.services.register.apply(event.id, change, origin=event.origin, again=again)
        exchange = exchange.decided(
            "register", filled("{event} appliqué", event=change.event) if applied.new else N_("déjà appliqué")
        )
        if applied.alert is not None:
            exchange = exchange.decided("register", applied.alert.text, applied.alert.kind)
            self.services.alert("impact", {"event_id": event.id, "feed": self.feed, "text": applied.alert.text})
        return Routed((), exchange)


class _Tools:
    """`router.steps.step_type.StepTools` of a site."""

    def __init__(self, services: SiteServices) -> None:
        self._services = services

    @property
    def register(self) -> Register:
        return self._services.register

    @property
    def directory(self) -> Directory:
        return self._services.directory

    @property
    def schema(self) -> SchemaGate | None:
        return self._services.schema

    def condition(self, expression: str) -> Expression:
        return Expression(expression)


class Compiler:
    """Builds running pipelines from files, with the site's register, directory and value sets."""

    def __init__(self, services: SiteServices) -> None:
        self._services = services
        self._tools = _Tools(services)
        feeds = services.config.feeds
        rules = {name: services.rules(name, feed) for name, feed in feeds.items()}
        documents = frozenset(name for name, feed in feeds.items() if feed.kind == "documents")
        codecs = {name: VerdictCodec(rules[name], services.value_sets) for name in documents}
        self.parse = ParseOnce(Parse(rules, services.value_sets, documents=documents, codecs=codecs))

    def pipelines(self, file: PipelineFile) -> list[Compiled]:
        """One for each feed of the file."""
        config, services = file.config, self._services
        route = Route(
            pipeline=config.name,
            digest=file.digest,
            destinations=tuple(self._destination(name, use) for name, use in config.sinks.items()),
            structures=services.config.structures,
            pseudonyms=services.pseudonyms,
            clock=services.clock,
        )
        when = Expression(config.when) if config.when else None
        steps = tuple(STEPS[step.name].build(step.value, self._tools) for step in config.steps)
        return [Compiled(config.name, file.digest, feed, self.parse, when, steps, route) for feed in config.feeds]

    def registers(self) -> list[CompiledPipeline]:
        """The built-in pipeline of every ADT feed."""
        return [
            RegisterPipeline(self._services, name, parse=self.parse)
            for name, feed in self._services.config.feeds.items()
            if feed.kind == "adt"
        ]

    def _destination(self, name: str, use: SinkUse) -> Destination:
        kind = SINK_TYPES[name if name in SINK_TYPES else self._services.config.sink_types[name]]
        condition = Expression(use.when) if use.when else None
        own = kind.options.model_fields if kind.options is not None else ()
        options = {key: getattr(use, key) for key in own}
        return Destination(kind, "" if name in SINK_TYPES else name, condition, options, use.strict_order)
