"""Dead letters as operators see them: grouped by cause, listed, shown.

Unresolved are the sinks' dead letters whose ledger row is still dead, and those of the pipelines and the intake
without a later `resolved` record on their topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from router.contracts import Bus, Header, Ledger, Record, Row, dlq_topic, out_topic
from router.engine.dead_letters.remediation import Advice, cause, next_step
from router.engine.delivery.supersession_rules import HELD
from router.exchange import Origin, State
from router.wire import record_at

RESOLVED: Final = "resolved"
STAGES: Final = ("intake", "pipeline")
"""Stages whose dead letters have no ledger row."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter without its bytes; they stand at `at`."""

    stage: str
    """`intake`, `pipeline` or `sink`."""
    cause: str
    code: str
    at: Origin
    place: str = ""
    text: str = ""
    next: str = ""
    sink: str = ""
    pipeline: str = ""
    feed: str = ""
    event_id: str = ""
    delivery_id: str = ""
    label: str = ""
    key: str = field(default="", repr=False)
    attempts: int = 0
    first: float = 0.0
    last: float = 0.0
    origin: str = ""
    """Where its event was read."""
    older_cause: str = ""
    """The fingerprint that an older version wrote in the record, where it is not `cause`."""

    @property
    def where(self) -> str:
        """The sink, the pipeline or the stage."""
        return self.sink or self.pipeline or self.stage


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one cause: what `dlq ls` prints on one line. Times are Unix seconds."""

    cause: str
    stage: str
    where: str
    code: str
    place: str
    text: str
    next: str
    count: int
    first: float
    last: float
    feeds: tuple[str, ...]
    pipelines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters: those that agree with everything that is set. `id`: delivery, event or cause."""

    id: str = ""
    sink: str = ""
    stage: str = ""
    cause: str = ""
    code: str = ""
    feed: str = ""
    pipeline: str = ""
    since: float = 0.0

    def admits(self, dead_letter: DeadLetter) -> bool:
        """Whether this dead letter is meant."""
        asked = ((name, getattr(self, name)) for name in ("sink", "stage", "cause", "code", "feed", "pipeline"))
        named = not self.id or self.id in (dead_letter.delivery_id, dead_letter.event_id, dead_letter.cause)
        return named and dead_letter.last >= self.since and all(not v or getattr(dead_letter, n) == v for n, v in asked)


ALL: Final = Filter()


def letters(
    bus: Bus, ledger: Ledger, which: Filter = ALL, *, sinks: Iterable[str] = (), advice: Advice = next_step
) -> list[DeadLetter]:
    """The unresolved dead letters that the filter admits, oldest first.

    `sinks`: all sinks of the site, so that records on their topics which were no deliveries are found too.
    Asked for by their code (`UNKNOWN-HELD`) or cause, deliveries that are held for a person are among them.
    """
    found: list[DeadLetter] = []
    if which.stage in ("", "sink"):
        found += [of_row(row, advice) for row in ledger.dead(which.sink or None)]
        found += [of_row(row, advice) for row in _held(ledger, which, sinks)]
        found += _unreadable(bus, {which.sink} if which.sink else set(sinks), advice)
    if not which.sink:
        for stage in STAGES:
            if which.stage in ("", stage):
                found += _of_topic(bus, stage, advice)
    today = {one.older_cause: one.cause for one in found if one.older_cause}
    which = replace(which, id=today.get(which.id, which.id), cause=today.get(which.cause, which.cause))
    return sorted(filter(which.admits, found), key=lambda dead_letter: (dead_letter.last, dead_letter.at))


def groups(
    bus: Bus, ledger: Ledger, which: Filter = ALL, *, sinks: Iterable[str] = (), advice: Advice = next_step
) -> list[Group]:
    """Unresolved dead letters by cause, the most numerous first."""
    return by_cause(letters(bus, ledger, which, sinks=sinks, advice=advice))


def by_cause(found: Iterable[DeadLetter]) -> list[Group]:
    """These dead letters by cause, the most numerous first."""
    causes: dict[str, list[DeadLetter]] = {}
    for dead_letter in found:
        causes.setdefault(dead_letter.cause, []).append(dead_letter)
    return sorted(map(_group, causes.values()), key=lambda group: (-group.count, group.first))


def body(bus: Bus, dead_letter: DeadLetter) -> Record | None:
    """The record of a dead letter with its bytes; None when they were trimmed, or another record has their place."""
    if dead_letter.delivery_id:
        return record_at(bus, dead_letter.at, Header.DELIVERY, dead_letter.delivery_id)
    return record_at(bus, dead_letter.at, Header.ID, dead_letter.event_id)


def unresolved(bus: Bus, topic: str, *, rowless: bool = False) -> list[Record]:
    """The dead letters on a topic, without their bytes, that no `resolved` record names.

    rowless: only those that the ledger has no row for; on a sink's topic it alone knows the others
    """
    records = bus.scan(topic)
    if rowless:
        records = (record for record in records if Header.DELIVERY not in record.headers)
    found, resolved = _scan(records)
    return [record for at, record in found.items() if at not in resolved]


def of_row(row: Row, advice: Advice = next_step) -> DeadLetter:
    """The dead letter of a delivery, from its ledger row; also when the delivery is no dead letter (any more)."""
    delivery, place = row.delivery, row.evidence.get("place", "")
    return DeadLetter(
        stage="sink",
        cause=row.evidence.get("cause") or cause("sink", delivery.sink, row.code, place),
        code=row.code,
        at=row.bytes_at,
        place=place,
        text=row.text,
        next=advice(row.code),
        sink=delivery.sink,
        pipeline=delivery.pipeline,
        feed=delivery.feed,
        event_id=delivery.event_id,
        delivery_id=delivery.id,
        label=delivery.label,
        key=delivery.key,
        attempts=row.attempts,
        first=row.first_try,
        last=row.last_try or row.updated,
        origin=str(delivery.origin),
    )


# ---------------------------------------------------------------------------------------------- internals


def _held(ledger: Ledger, which: Filter, sinks: Iterable[str]) -> list[Row]:
    """Deliveries whose unknown outcome waits for a person. They are no dead letters: only who asks for them sees them,
    by their code or by the cause that a list has shown."""
    wanted = [
        sink
        for sink in ([which.sink] if which.sink else sinks)
        if which.code == HELD or cause("sink", sink, HELD, "") in (which.id, which.cause)
    ]
    rows = (row for sink in wanted for row in ledger.unfinished(sink, sorted(ledger.seen(out_topic(sink)))))
    return [row for row in rows if row.state is State.PARKED and row.code == HELD]


def _of_topic(bus: Bus, stage: str, advice: Advice) -> list[DeadLetter]:
    return [_of_record(record, stage, advice) for record in unresolved(bus, dlq_topic(stage))]


def _unreadable(bus: Bus, sinks: Iterable[str], advice: Advice) -> list[DeadLetter]:
    """A sink's dead letters that were no deliveries and so have no row."""
    found = [(sink, record) for sink in sorted(sinks) for record in unresolved(bus, dlq_topic(sink), rowless=True)]
    return [replace(_of_record(record, "sink", advice), sink=sink) for sink, record in found]


def _scan(records: Iterable[Record]) -> tuple[dict[str, Record], set[str]]:
    """(dead letters by their place, without their bytes; places of those that were resolved)."""
    found: dict[str, Record] = {}
    resolved: set[str] = set()
    for record in records:
        if record.headers.get(Header.COMMAND) == RESOLVED:
            resolved.add(record.headers.get(Header.ORIGIN, ""))
        else:
            found[str(record.origin)] = replace(record, value=b"")
    return found, resolved


def _of_record(record: Record, stage: str, advice: Advice) -> DeadLetter:
    headers: Mapping[str, str] = record.headers

    def text(name: str) -> str:
        return headers.get(name, "")

    code, place, pipeline = text(Header.CODE), text(Header.PLACE), text(Header.PIPELINE)
    written, today = text(Header.CAUSE), cause(stage, pipeline or text(Header.FEED), code, place)
    current = written if written and stage != "intake" else today  # until 0.2 the intake had its own fingerprint
    last = float(text(Header.LAST) or record.timestamp)
    return DeadLetter(
        stage=stage,
        cause=current,
        older_cause=written if written != current else "",
        code=code,
        at=record.origin,
        place=place,
        text=text(Header.TEXT),
        next=text(Header.NEXT) or advice(code),
        pipeline=pipeline,
        feed=text(Header.FEED),
        event_id=text(Header.ID),
        key=record.key,
        attempts=int(text(Header.ATTEMPTS) or "1"),
        first=float(text(Header.FIRST) or last),
        last=last,
        origin=text(Header.ORIGIN),
    )


def _group(some: Sequence[DeadLetter]) -> Group:
    first = some[0]
    return Group(
        cause=first.cause,
        stage=first.stage,
        where=first.where,
        code=first.code,
        place=first.place,
        text=first.text,
        next=first.next,
        count=len(some),
        first=min(dead_letter.first or dead_letter.last for dead_letter in some),
        last=max(dead_letter.last for dead_letter in some),
        feeds=tuple(sorted({dead_letter.feed for dead_letter in some if dead_letter.feed})),
        pipelines=tuple(sorted({dead_letter.pipeline for dead_letter in some if dead_letter.pipeline})),
    )
