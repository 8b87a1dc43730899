"""One OpenTelemetry trace for each event, from its acceptance to its receipts (OTLP over HTTP).

Made from the journal's lines and the receipts, in the journal's process: nothing waits for it, and what is not in them
(identities, values of a message) can't enter. Trace and span ids are digests of what they tell of: a line that is read
twice is the same span. The library is imported only when a collector is named (`pip install segur-router[traces]`).
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.errors import OperatorFault
from router.exchange import JournalEntry, Receipt
from router.software import TRACES, installed, our_version

if TYPE_CHECKING:
    from opentelemetry.context import Context

log = logging.getLogger(__name__)

REMEMBERED: Final = 20_000
"""Events of which we know when each stage was left: a span begins where the one before it ended."""
PATIENCE: Final = 5.0
"""Seconds for one export. A collector that is away costs spans, never a line of the journal."""
_GOOD: Final = frozenset({"received", "decided", "filtered", "duplicate", "command"})


@dataclass(slots=True)
class _Times:
    """When the stages of one event were left, Unix seconds."""

    received: float | None = None
    decided: dict[str, float] = field(default_factory=dict)
    """By pipeline."""
    delivered: dict[str, float] = field(default_factory=dict)
    """By delivery: its newest receipt."""


class Traces:
    """Give `told` what was journalled; it never raises and never waits. `close` sends what is left."""

    def __init__(self, endpoint: str, environment: str, *, ca: Path | None = None, ratio: float = 1.0) -> None:
        """`endpoint`: the whole address (`…/v1/traces`). Raises `OperatorFault` when the library is not installed."""
        if not installed(TRACES):
            raise OperatorFault(
                "TRACES", "traces", "the library of traces is not installed: pip install 'segur-router[traces]'"
            )
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a collector that is away: every few seconds
        about = {
            "service.name": "segur-router",
            "service.version": our_version(),
            "deployment.environment": environment,
        }
        self._ids = _ids()
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(ratio), resource=Resource(about), shutdown_on_exit=False, id_generator=self._ids
        )
        exporter = OTLPSpanExporter(endpoint, certificate_file=str(ca) if ca else None, timeout=PATIENCE)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=8192))
        self._tracer = self._provider.get_tracer("segur-router", our_version())
        self._events: OrderedDict[str, _Times] = OrderedDict()

    def told(self, entries: Sequence[JournalEntry], receipts: Sequence[Receipt]) -> None:
        """One span for each line. Called by one thread."""
        try:
            for entry in sorted(entries, key=lambda one: one.at):
                self._entry(entry)
            for receipt in sorted(receipts, key=lambda one: one.at):
                self._receipt(receipt)
        except Exception:
            log.warning("spans not made", exc_info=True)

    def close(self) -> None:
        self._provider.shutdown()

    # ---------------------------------------------------------------------------------------- one line

    def _entry(self, entry: JournalEntry) -> None:
        times, facts = self._times(entry.event_id), {"feed": entry.feed, "code": entry.code}
        good = entry.kind in _GOOD
        if entry.kind in ("received", "refused"):
            times.received = entry.at
            facts |= {"source": entry.source, "ack": entry.ack, "size": str(entry.size)}
            self._span(entry.event_id, "", f"{entry.kind} {entry.feed}", (entry.at, entry.at), facts, good=good)
            return
        name = entry.pipeline or entry.kind
        if entry.pipeline:
            times.decided[name] = entry.at
            facts |= {"pipeline": entry.pipeline, "digest": entry.digest, "kind": entry.kind}
        start = times.received if times.received is not None else entry.at
        self._span(entry.event_id, _pipeline(name), f"pipeline {name}", (start, entry.at), facts, good=good)

    def _receipt(self, receipt: Receipt) -> None:
        times, delivery = self._times(receipt.event_id), receipt.delivery_id
        start = times.delivered.get(delivery, times.decided.get(receipt.pipeline, receipt.at))
        times.delivered[delivery] = receipt.at
        facts = {
            "sink": receipt.sink,
            "delivery": delivery,
            "attempt": str(receipt.attempt),
            "code": receipt.code,
            "disposition": str(receipt.disposition or ""),
        }
        self._span(
            receipt.event_id,
            f"{receipt.kind}|{delivery}|{receipt.attempt}|{receipt.at}",
            f"{receipt.kind} {receipt.sink}",
            (start, receipt.at),
            facts,
            good=receipt.ok,
            parent=_pipeline(receipt.pipeline) if receipt.pipeline in times.decided else "",
        )

    def _times(self, event: str) -> _Times:
        times = self._events.setdefault(event, _Times())
        self._events.move_to_end(event)
        if len(self._events) > REMEMBERED:
            self._events.popitem(last=False)
        return times

    # ---------------------------------------------------------------------------------------- one span

    def _span(
        self,
        event: str,
        which: str,
        name: str,
        times: tuple[float, float],
        facts: Mapping[str, str],
        *,
        good: bool,
        parent: str = "",
    ) -> None:
        """`which`: of the event's spans; "" is the root, whose children need not know whether it was sent."""
        from opentelemetry.trace import Status, StatusCode

        self._ids.trace, self._ids.span = _digest(event, 16), _digest(f"{event}|{which}", 8)
        start, end = (int(moment * 1e9) for moment in (min(times), times[1]))
        context = _below(self._ids.trace, _digest(f"{event}|{parent}", 8)) if which else _nowhere()
        named = {f"segur.{key}": value for key, value in {"event": event, **facts}.items() if value}
        span = self._tracer.start_span(name, context=context, attributes=named, start_time=start)
        if not good:
            span.set_status(Status(StatusCode.ERROR, facts.get("code", "")))
        span.end(end_time=end)


def _pipeline(name: str) -> str:
    return f"pipeline|{name}"


def _digest(text: str, size: int) -> int:
    """A number of `size` bytes, never 0. The id of an event is already one: its trace bears it."""
    if size == 16 and len(text) == 32 and set(text) <= set("0123456789abcdef"):
        return int(text, 16) or 1
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1


def _below(trace: int, span: int) -> Context:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    return set_span_in_context(NonRecordingSpan(SpanContext(trace, span, True, TraceFlags(TraceFlags.SAMPLED))))


def _nowhere() -> Context:
    from opentelemetry.context import Context

    return Context()


def _ids() -> Any:
    """A generator that gives the next span the ids that we chose: `trace` and `span`."""
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class Chosen(IdGenerator):
        trace = span = 1

        def generate_trace_id(self) -> int:
            return self.trace

        def generate_span_id(self) -> int:
            return self.span

    return Chosen()
