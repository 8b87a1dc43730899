"""One event through its pipelines: the records that say what it became. No I/O but the steps' own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from router.contracts import Alert, Clock, Header, Observer, Outgoing, cause, dlq_topic
from router.engine.dead_letters.remediation import Advice
from router.engine.delivery.command_handler import BY
from router.engine.delivery.command_marks import ORDER
from router.engine.pipeline.compiled import (
    NO_PIPELINE,
    UNWANTED,
    BugBudget,
    BugLimit,
    CompiledPipeline,
    Describe,
    Earlier,
    Unmatched,
    Unserved,
    nobody_earlier,
)
from router.engine.pipeline.known_good_events import Blocked, KnownGoodEvents
from router.errors import Bug, Fenced, MessageFault, OperatorFault, Refused, Unavailable
from router.exchange import Delivery, Event, Exchange, Filtered, JournalEntry, Receipt, Routed
from router.language import N_
from router.wire import delivery_record, journal_record, receipt_record, weight

STOPPED = "PIPELINE-STOPPED"
"""Code of the fault that says: this pipeline made too many unexpected errors, its feed waits for a new version."""


class Stopped(OperatorFault):
    """The bug budget of a pipeline is spent; `pipeline` and `digest` say which version."""

    def __init__(self, pipeline: CompiledPipeline, bug: Bug) -> None:
        super().__init__(STOPPED, pipeline.name, f"too many unexpected errors, the last was {bug.code}")
        self.pipeline = pipeline.name
        self.digest = pipeline.digest


@dataclass(slots=True)
class Work:
    """What one event became: deliveries, dead letters, receipts and journal entries, in this order."""

    event: Event
    records: list[Outgoing] = field(default_factory=list)

    @property
    def weight(self) -> int:
        return weight(self.records)


@dataclass(slots=True)
class _Story:
    """What has happened to one event so far."""

    exchange: Exchange
    deliveries: list[Delivery] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    ends: list[MessageFault | Filtered] = field(default_factory=list)
    dead_letters: list[Outgoing] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)


class Decider:
    """Runs events through pipelines and keeps their bug budgets."""

    def __init__(
        self,
        *,
        describe: Describe,
        unserved: Unserved,
        unmatched: Unmatched,
        limit: BugLimit,
        clock: Clock,
        observer: Observer,
        alert: Alert,
        advice: Advice,
        earlier: Earlier = nobody_earlier,
    ) -> None:
        self._describe = describe
        self._unserved = unserved
        self._unmatched = unmatched
        self._earlier = earlier
        self._limit = limit
        self._clock = clock
        self._observer = observer
        self._alert = alert
        self._advice = advice
        self._known_good = KnownGoodEvents()
        self._budgets: dict[str, tuple[str, BugBudget]] = {}
        """By the pipeline's name: the digest of its present version, and that version's budget."""

    def decide(self, event: Event, pipelines: Sequence[CompiledPipeline], later: Iterable[Event] = ()) -> Work:
        """All pipelines of one event. Raises `Unavailable`, `OperatorFault` (`Stopped` among them): it must wait.

        later: events of the same feed that stand behind it
        """
        blamed: dict[str, OperatorFault] = {}
        while True:
            try:
                return self._decided_by(event, pipelines, blamed)
            except Blocked as blocked:
                if not self._known_good.still_works(blocked.pipeline, later):
                    raise
                blamed[blocked.pipeline.name] = blocked

    def _decided_by(
        self, event: Event, pipelines: Sequence[CompiledPipeline], blamed: Mapping[str, OperatorFault]
    ) -> Work:
        story = _Story(Exchange(event))
        wanted = False
        for pipeline in pipelines:
            wanted |= self._through(pipeline, event, story, blamed)
        if not wanted and self._hook("unmatched", lambda: self._unmatched(event), True):
            self._dead(None, event, story, Refused(NO_PIPELINE, event.feed, N_("aucun circuit ne prend ce message")))
        elif not wanted:
            nobody = Filtered("no pipeline", NO_PIPELINE)
            story.ends.append(nobody)
            story.entries.append(self._entry(event, "filtered", code=nobody.code, text=nobody.reason))
            self._observer.count("events_total", pipeline="", disposition="filtered")
        self._look_back(event, story)
        return self._work(event, story)

    def _look_back(self, event: Event, story: _Story) -> None:
        """Who has an earlier version of the document, and is not among the recipients."""
        if not (story.deliveries or story.receipts):
            return
        nothing = Routed((), story.exchange)
        found = self._hook("earlier", lambda: self._earlier(story.exchange, story.deliveries, story.receipts), nothing)
        story.deliveries += found.deliveries
        story.receipts += found.receipts
        if found.deliveries:
            made = tuple((one.id, one.sink, one.label) for one in found.deliveries)
            story.entries.append(
                replace(self._entry(event, "decided", deliveries=made), pipeline=found.deliveries[0].pipeline)
            )

    def duplicate(self, event: Event) -> Work:
        """An event whose id another origin owns: it is journalled and nothing else."""
        self._observer.count("duplicates_avoided_total", stage="pipeline")
        return Work(event, [journal_record(self._entry(event, "duplicate", size=len(event.body)))])

    def refuse(self, event: Event, fault: MessageFault) -> Work:
        """The whole event is a dead letter: what it became can't be written."""
        story = _Story(Exchange(event))
        self._dead(None, event, story, fault)
        return self._work(event, story)

    # ------------------------------------------------------------------------------------- one pipeline

    def _through(
        self, pipeline: CompiledPipeline, event: Event, story: _Story, blamed: Mapping[str, OperatorFault]
    ) -> bool:
        """One pipeline; whether it wanted the event. `blamed`: pipelines whose fault would be this event's own."""
        start = time.perf_counter()
        result: Routed | Filtered | MessageFault
        try:
            result = pipeline.process(Exchange(event))
        except MessageFault as fault:
            result = fault
        except OperatorFault as fault:
            if pipeline.name not in blamed:
                raise Blocked(pipeline, fault) from fault
            result = Refused(fault.code, fault.place, fault.text)
            self._alert("event-alone", {"pipeline": pipeline.name, "event_id": event.id, "code": fault.code})
        except (Unavailable, Fenced):
            raise
        except Exception as error:
            result = Bug.of(error, pipeline.name)
            self._alert("bug", {"pipeline": pipeline.name, "code": f"BUG-{type(error).__name__}"})
        self._spend(pipeline, result)
        self._observer.time("pipeline_seconds", time.perf_counter() - start, pipeline=pipeline.name)
        if isinstance(result, Filtered):
            if result.code == UNWANTED:
                return False
            self._filtered(pipeline, event, story, result)
        elif isinstance(result, MessageFault):
            self._dead(pipeline, event, story, result)
        else:
            story.exchange = result.exchange
            self._known_good.decided(pipeline, event)
            self._decided(pipeline, event, story, result)
        return True

    def _spend(self, pipeline: CompiledPipeline, result: object) -> None:
        digest, budget = self._budgets.get(pipeline.name, ("", BugBudget(self._limit)))
        if digest != pipeline.digest:
            budget = BugBudget(self._limit)
        self._budgets[pipeline.name] = pipeline.digest, budget
        if isinstance(result, Bug) and budget.spent:
            raise Stopped(pipeline, result)
        budget.note(isinstance(result, Bug))

    def _decided(self, pipeline: CompiledPipeline, event: Event, story: _Story, routed: Routed) -> None:
        made: list[Delivery] = []
        known = {delivery.id for delivery in story.deliveries}
        replays = int(event.headers.get("replay", "1")) if Header.COMMAND in event.headers else 0
        order = event.headers.get(ORDER, "") if replays else ""
        for delivery in routed.deliveries:
            if delivery.id in known:
                self._observer.count("duplicates_avoided_total", stage="pipeline")
                continue
            known.add(delivery.id)
            made.append(replace(delivery, replay=replays, order=order) if replays else delivery)
        story.deliveries += made
        story.receipts += routed.receipts
        story.entries.append(
            self._entry(
                event,
                "decided",
                pipeline,
                decisions=routed.exchange.decisions,
                deliveries=tuple((d.id, d.sink, d.label) for d in made),
                lineage=next((d.lineage for d in made if d.lineage), ""),
            )
        )
        self._observer.count("events_total", pipeline=pipeline.name, disposition="decided")

    def _filtered(self, pipeline: CompiledPipeline, event: Event, story: _Story, result: Filtered) -> None:
        story.ends.append(result)
        story.entries.append(self._entry(event, "filtered", pipeline, code=result.code, text=result.reason))
        self._observer.count("events_total", pipeline=pipeline.name, disposition="filtered")

    def _dead(self, pipeline: CompiledPipeline | None, event: Event, story: _Story, fault: MessageFault) -> None:
        name = pipeline.name if pipeline is not None else ""
        story.ends.append(fault)
        story.dead_letters.append(self._letter(pipeline, event, fault, story.exchange))
        said = {"code": fault.code, "place": fault.place, "text": fault.text}
        story.entries.append(self._entry(event, "dead", pipeline, **said))
        self._observer.count("events_total", pipeline=name, disposition="dead_lettered")
        self._observer.count("dead_letters_total", stage="pipeline", feed=event.feed, sink="", code=fault.code)

    def _letter(
        self, pipeline: CompiledPipeline | None, event: Event, fault: MessageFault, read: Exchange | None
    ) -> Outgoing:
        """The event's bytes untouched, on `dlq.pipeline`, with why and what to do."""
        name, digest = (pipeline.name, pipeline.digest) if pipeline is not None else ("", "")
        now = f"{self._clock.now():.3f}"
        headers = {
            **event.headers,
            Header.ID: event.id,
            Header.FEED: event.feed,
            Header.ORIGIN: str(event.origin or ""),
            Header.STAGE: "pipeline",
            Header.PIPELINE: name,
            Header.DIGEST: digest,
            Header.CODE: fault.code,
            Header.PLACE: fault.place,
            Header.TEXT: fault.text,
            Header.ATTEMPTS: "1",
            Header.FIRST: now,
            Header.LAST: now,
            Header.CAUSE: cause("pipeline", name, fault.code, fault.place),
            Header.NEXT: self._advice(fault.code),
        }
        for of_the_command in (Header.COMMAND, ORDER):
            headers.pop(of_the_command, None)
        if read is not None and read.request is not None and read.request.speaks_for:
            headers[Header.STRUCTURE] = read.request.speaks_for
        return Outgoing(dlq_topic("pipeline"), event.key, event.body, headers)

    # ----------------------------------------------------------------------------------------- the whole

    def _work(self, event: Event, story: _Story) -> Work:
        receipts = self._hook(
            "unserved", lambda: self._unserved(story.exchange, story.deliveries, story.receipts, story.ends), ()
        )
        entries = [self._received(event, story.exchange), *story.entries]
        return Work(
            event,
            [
                *map(delivery_record, story.deliveries),
                *story.dead_letters,
                *map(receipt_record, (*story.receipts, *receipts)),
                *map(journal_record, entries),
            ],
        )

    def _received(self, event: Event, exchange: Exchange) -> JournalEntry:
        facts: dict[str, Any] = {
            "size": len(event.body),
            "origin": str(event.origin or ""),
            "ack": event.headers.get(Header.ACK, ""),
        }
        facts |= self._hook("describe", lambda: dict(self._describe(event, exchange)), {})
        if Header.COMMAND in event.headers:
            facts |= {"code": "DECIDE-AGAIN", "source": event.headers.get(BY, "")}
            return self._entry(event, "command", **facts)
        said = {"source": event.headers.get(Header.SOURCE, "")} | facts
        entry = self._entry(event, "received", **said)
        accepted = event.headers.get(Header.RECEIVED)
        return replace(entry, at=float(accepted)) if accepted and event.id else entry

    def _entry(self, event: Event, kind: str, pipeline: CompiledPipeline | None = None, **facts: Any) -> JournalEntry:
        named = {"pipeline": pipeline.name, "digest": pipeline.digest} if pipeline is not None else {}
        base = {"feed": event.feed, "control_id": event.headers.get(Header.CONTROL, "")}
        return JournalEntry(event_id=event.id, kind=kind, at=self._clock.now(), **{**base, **named, **facts})

    def _hook(self, name: str, call: Any, otherwise: Any) -> Any:
        """A hook of the floors above that fails costs its words, not the event. Raises `Unavailable` as it does."""
        try:
            return call()
        except Unavailable:
            raise
        except Exception as error:
            self._alert("bug", {"hook": name, "code": Bug.of(error, name).code})
            return otherwise
