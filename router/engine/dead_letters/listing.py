"""Dead letters as operators see them: grouped by cause, listed, shown.

Unresolved are the sinks' dead letters whose ledger row is still dead, and those of the pipelines and the intake
without a later `resolved` record on their topic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from router.contracts import (
    Bus,
    DeadGroup,
    DeadWanted,
    Header,
    Ledger,
    LetterGroup,
    Record,
    Row,
    cause,
    dlq_topic,
)
from router.engine.dead_letters.reading import read_topics, scan
from router.engine.dead_letters.remediation import Advice, next_step
from router.engine.delivery.command_marks import view
from router.engine.delivery.supersession_rules import HELD
from router.exchange import Origin, State
from router.wire import record_at

SHARED: Final = ("code", "feed", "pipeline")
"""By which dead letters are chosen, with a row or without."""
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
    control_id: str = ""
    """MSH-10, where the record says it; of a delivery the journal knows it."""
    delivery_id: str = ""
    label: str = ""
    key: str = field(default="", repr=False)
    attempts: int = 0
    first: float = 0.0
    last: float = 0.0
    structure: str = ""
    """FINESS of the site's structure that it belongs to; "" for none."""
    origin: str = ""
    """Where its event was read."""
    state: str = ""
    """What the ledger says of the delivery (`exchange.State`); "" where it has no row."""
    older_cause: str = ""
    """The fingerprint that an older version wrote in the record, where it is not `cause`."""

    @property
    def is_dead(self) -> bool:
        """False for a delivery that was made, was overtaken, or still waits."""
        return self.state in ("", State.DEAD)

    @property
    def is_held(self) -> bool:
        """Whether it is no dead letter, but waits for a person: nobody knows what became of it."""
        return self.state == State.PARKED and self.code == HELD

    @property
    def seen(self) -> str:
        """The delivery as this list shows it, for a command about it: see `command_marks.view`."""
        return view(self.state, self.code, self.attempts, self.last)

    def is_of(self, cause: str) -> bool:
        """Whether this is its cause, by today's name or by an older one."""
        return cause in (self.cause, self.older_cause or self.cause)

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
    until: float | None = None
    events: frozenset[str] | None = None
    """Only of these events; None: of any."""
    within: frozenset[str] | None = None
    """FINESS of the structures whose dead letters the asker may see; None: all, also those of no structure."""

    def may_be_seen(self, dead_letter: DeadLetter) -> bool:
        """Whether it belongs to a structure of the asker's."""
        return self.within is None or dead_letter.structure in self.within

    def admits(self, dead_letter: DeadLetter) -> bool:
        """Whether this dead letter is meant."""
        if not self.may_be_seen(dead_letter):
            return False
        asked = ((name, getattr(self, name)) for name in ("sink", "stage", "cause", *SHARED))
        known = self.id in (dead_letter.delivery_id, dead_letter.event_id) or dead_letter.is_of(self.id)
        named = not self.id or known
        named = named and (self.events is None or dead_letter.event_id in self.events)
        named = named and (self.until is None or dead_letter.last < self.until)
        return named and dead_letter.last >= self.since and all(not v or getattr(dead_letter, n) == v for n, v in asked)

    def wanted(self, *names: str) -> DeadWanted:
        """The same for the ledger. names: the fields that must be equal, as far as they are set."""
        equal = {name: value for name in names if (value := getattr(self, name))}
        return DeadWanted(equal=equal, since=self.since, until=self.until, within=self.within, events=self.events)


ALL: Final = Filter()


def groups(
    bus: Bus, ledger: Ledger, which: Filter = ALL, *, sinks: Collection[str] = (), advice: Advice = next_step
) -> list[Group]:
    """Unresolved dead letters by cause, the most numerous first; the ledger counts them. `which` has no `id`."""
    places = without_row(bus, ledger, which, sinks)
    which = of_today(ledger, which)
    found: list[Group] = []
    if which.stage in ("", "sink"):
        found += _counted(ledger.dead_groups(which.wanted("sink", "cause", *SHARED)), ledger, advice)
        found += map(alone, filter(which.admits, held(ledger, which, sinks, advice)))
    for stage, sink, topic in places:
        for one in groups_of_letters(ledger, topic, stage, which):
            group = alone(of_record(one.sample, stage, advice, sink))
            found.append(replace(group, count=one.count, first=one.first, last=one.last))
    return _joined(found)


def groups_of_letters(ledger: Ledger, topic: str, stage: str, which: Filter) -> list[LetterGroup]:
    """Letters without a row by what they share; of the cause that is asked for."""
    found = ledger.letter_groups(topic, which.wanted(*SHARED))
    return [one for one in found if which.cause in ("", of_record(one.sample, stage).cause)]


def of_today(ledger: Ledger, which: Filter) -> Filter:
    """The same, its cause by today's name: the gateway's had another one until version 0.2."""
    if not which.cause or which.stage not in ("", "intake") or which.sink:
        return which
    found = ledger.letter_groups(dlq_topic("intake"), DeadWanted(equal={"cause": which.cause}))
    return replace(which, cause=of_record(found[0].sample, "intake").cause) if found else which


def body(bus: Bus, dead_letter: DeadLetter) -> Record | None:
    """The record of a dead letter with its bytes; None when they were trimmed, or another record has their place."""
    if dead_letter.delivery_id:
        return record_at(bus, dead_letter.at, Header.DELIVERY, dead_letter.delivery_id)
    return record_at(bus, dead_letter.at, Header.ID, dead_letter.event_id)


def unresolved(bus: Bus, topic: str, *, rowless: bool = False) -> list[Record]:
    """The dead letters on a topic, without their bytes, that no `resolved` record names.

    rowless: only those that the ledger has no row for; on a sink's topic it alone knows the others
    """
    found, resolved = scan(bus.headlines(topic, lacking=Header.DELIVERY if rowless else ""))
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
        next=advice(row.code) if row.state is State.DEAD or row.code == HELD else "",
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
        structure=delivery.structure,
        origin=str(delivery.origin),
        state=row.state,
    )


def held(ledger: Ledger, which: Filter, sinks: Collection[str], advice: Advice = next_step) -> list[DeadLetter]:
    """Deliveries whose unknown outcome waits for a person. They are no dead letters: only who asks for them sees them,
    by their code or by the cause that a list has shown."""
    wanted = [
        sink
        for sink in ([which.sink] if which.sink else sinks)
        if which.code == HELD or cause("sink", sink, HELD, "") in (which.id, which.cause)
    ]
    return [of_row(row, advice) for sink in wanted for row in ledger.held(sink, HELD)]


def without_row(bus: Bus, ledger: Ledger, which: Filter, sinks: Collection[str]) -> list[tuple[str, str, str]]:
    """(stage, sink, topic): where dead letters without a row are known now; of a sink, they were no deliveries."""
    own = [which.sink] if which.sink else sorted(set(sinks))
    own = own if which.stage in ("", "sink") else []
    stages = [stage for stage in STAGES if which.stage in ("", stage) and not which.sink]
    read_topics(bus, ledger, stages, own)
    return [*(("sink", sink, dlq_topic(sink)) for sink in own), *((stage, "", dlq_topic(stage)) for stage in stages)]


def of_record(record: Record, stage: str, advice: Advice = next_step, sink: str = "") -> DeadLetter:
    """The dead letter of a record that stands on the topic of this stage, or of this sink."""
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
        sink=sink,
        pipeline=pipeline,
        feed=text(Header.FEED),
        event_id=text(Header.ID),
        control_id=text(Header.CONTROL),
        key=record.key,
        attempts=int(text(Header.ATTEMPTS) or "1"),
        first=float(text(Header.FIRST) or last),
        last=last,
        structure=text(Header.STRUCTURE),
        origin=text(Header.ORIGIN),
    )


def _counted(counted: Sequence[DeadGroup], ledger: Ledger, advice: Advice) -> list[Group]:
    """The ledger's groups in words; text and place are those of one row."""
    samples = {id_: of_row(row, advice) for id_, row in ledger.get([one.sample for one in counted]).items()}
    found: list[Group] = []
    for one in counted:
        if (sample := samples.get(one.sample)) is not None:  # None: replayed since it was counted
            group = alone(sample)
            found.append(replace(group, count=one.count, first=one.first, last=one.last))
    return found


def alone(dead_letter: DeadLetter) -> Group:
    """The group of one."""
    return Group(
        cause=dead_letter.cause,
        stage=dead_letter.stage,
        where=dead_letter.where,
        code=dead_letter.code,
        place=dead_letter.place,
        text=dead_letter.text,
        next=dead_letter.next,
        count=1,
        first=dead_letter.first or dead_letter.last,
        last=dead_letter.last,
        feeds=(dead_letter.feed,) if dead_letter.feed else (),
        pipelines=(dead_letter.pipeline,) if dead_letter.pipeline else (),
    )


def _joined(some: Iterable[Group]) -> list[Group]:
    """Groups of one cause as one, in the words of the oldest; the most numerous first."""
    causes: dict[str, list[Group]] = {}
    for group in sorted(some, key=lambda group: group.last):
        causes.setdefault(group.cause, []).append(group)
    joined = [
        replace(
            same[0],
            count=sum(group.count for group in same),
            first=min(group.first for group in same),
            last=max(group.last for group in same),
            feeds=tuple(sorted({feed for group in same for feed in group.feeds})),
            pipelines=tuple(sorted({name for group in same for name in group.pipelines})),
        )
        for same in causes.values()
    ]
    return sorted(joined, key=lambda group: (-group.count, group.first))
