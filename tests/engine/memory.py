"""A bus and a ledger in memory that keep the contracts' promises, with switches to take them away."""

from __future__ import annotations

import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from router.contracts import (
    DISCARDED,
    Beyond,
    Claim,
    DeadGroup,
    DeadWanted,
    Fence,
    Header,
    LetterGroup,
    Offsets,
    Outgoing,
    Partition,
    Record,
    Row,
    Settle,
    Standing,
    TopicPlan,
    cause,
    out_topic,
)
from router.errors import Fenced, Unavailable
from router.exchange import Origin, State

Callback = Callable[[frozenset[Partition]], None]
FINAL = (State.DONE, State.SUPERSEDED, State.DEAD)


One = TypeVar("One")


def _agrees(wanted: DeadWanted, facts: Mapping[str, str], last: float, event_id: str) -> bool:
    """Whether a dead letter with these facts is wanted; its structure is."""
    equal = all(facts[name] == value for name, value in wanted.equal.items())
    early = wanted.until is None or last < wanted.until
    return equal and early and last >= wanted.since and (wanted.events is None or event_id in wanted.events)


def _page(
    found: list[tuple[float, str, One]], limit: int | None, *, newest: bool, beyond: Beyond | None
) -> list[tuple[float, str, One]]:
    def order(one: tuple[float, str, One]) -> tuple[float, str]:
        return one[:2]

    found = sorted(found, key=order, reverse=newest)
    if beyond is not None:
        behind = {False: [], True: [one for one in found if one[0] == beyond.last]}
        same = behind.get(beyond.of_moment is True, [])
        if isinstance(beyond.of_moment, str):
            place = (beyond.last, beyond.of_moment)
            same = [one for one in found if one[0] == beyond.last and one[:2] != place and (one[:2] < place) is newest]
        further = [one for one in found if one[0] != beyond.last and (one[0] < beyond.last) is newest]
        found = [*same, *further]
    return found[:limit]


class MemoryBus:
    """Topics as lists. Members of a group share its partitions; `expel` takes them away without a word."""

    def __init__(self, partitions: int = 4) -> None:
        self.partitions = partitions
        self.topics: dict[str, list[list[Record]]] = {}
        self.committed: dict[tuple[str, Partition], int] = {}
        self.members: dict[str, list[MemoryConsumer]] = defaultdict(list)
        self.changed = threading.Condition(threading.RLock())
        self.firsts: dict[Partition, int] = {}
        """What was trimmed lies below."""
        self.away = False
        self.silent = False
        """The group is not heard of: nobody can be sure to own anything, and nothing is rebalanced."""
        self.lost: set[Partition] = set()
        """Partitions that others took without anybody having heard of it."""
        self.seats: dict[tuple[str, str], set[int]] = {}
        """(group, member) -> the partitions it may have, where a test says so."""

    def positions(self, group: str) -> Mapping[Partition, int]:
        if self.away:
            raise Unavailable("BUS")
        with self.changed:
            return {place: at for (of, place), at in self.committed.items() if of == group}

    def living(self, groups: Collection[str]) -> Mapping[str, Sequence[str]]:
        with self.changed:
            return {group: sorted(one.member for one in self.members[group]) for group in groups}

    def unheard(self) -> Sequence[str]:
        return ()

    def parts(self, topic: str) -> list[list[Record]]:
        with self.changed:
            return self.topics.setdefault(topic, [[] for _ in range(self.partitions)])

    def partition_of(self, topic: str, key: str) -> int:
        return zlib.crc32(key.encode()) % len(self.parts(topic))

    def append(self, record: Outgoing) -> Origin:
        number = self.partition_of(record.topic, record.key)
        log = self.parts(record.topic)[number]
        log.append(Record(record.topic, number, len(log), record.key, record.value, dict(record.headers), time.time()))
        return log[-1].origin

    def producer(self, name: str) -> MemoryProducer:
        return MemoryProducer(self)

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        assigned: Callback | None = None,
        revoked: Callback | None = None,
    ) -> MemoryConsumer:
        with self.changed:
            self.members[group] = [m for m in self.members[group] if m.member != member]
            consumer = MemoryConsumer(self, group, tuple(topics), member=member, assigned=assigned, revoked=revoked)
            self.members[group].append(consumer)
            return consumer

    def wanted(self, consumer: MemoryConsumer) -> frozenset[Partition]:
        """The share of one member: partitions dealt out in turn."""
        members = self.members[consumer.group]
        if consumer not in members:
            return frozenset()
        all_ = [Partition(t, n) for t in sorted(consumer.topics) for n in range(len(self.parts(t)))]
        if (seat := self.seats.get((consumer.group, consumer.member))) is not None:
            return frozenset(partition for partition in all_ if partition.number in seat)
        return frozenset(all_[members.index(consumer) :: len(members)])

    def expel(self, group: str, member: str) -> None:
        """The group gives the member's partitions to others; the member is not told."""
        with self.changed:
            self.members[group] = [m for m in self.members[group] if m.member != member]

    def read(self, origin: Origin) -> Record | None:
        if self.away:
            raise Unavailable("BUS")
        log = self.parts(origin.topic)[origin.partition]
        first = self.firsts.get(Partition(origin.topic, origin.partition), 0)
        return log[origin.offset] if first <= origin.offset < len(log) else None

    def scan(self, topic: str, *, newest_first: bool = False, limit: int | None = None) -> Iterable[Record]:
        records = [r for log in self.parts(topic) for r in log if self.read(r.origin)]
        records.sort(key=lambda r: r.timestamp)
        return (records[::-1] if newest_first else records)[:limit]

    def headlines(self, topic: str, *, lacking: str = "", begin: Offsets | None = None) -> Iterable[Record]:
        found = [replace(record, value=b"") for record in self.scan(topic) if lacking not in record.headers]
        return [one for one in found if one.offset >= (begin or {}).get(Partition(topic, one.partition), 0)]

    def create(self, plans: Sequence[TopicPlan]) -> None:
        for plan in plans:
            self.parts(plan.name)

    def check(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        return []

    def migrate(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        raise NotImplementedError("this bus never makes a topic anew")

    def identities(self, topics: Collection[str]) -> Mapping[str, str]:
        return {topic: f"memory:{topic}" for topic in topics if topic in self.topics}

    def lag(self, group: str) -> Mapping[Partition, int]:
        return {p: len(self.parts(p.topic)[p.number]) - n for (g, p), n in self.committed.items() if g == group}

    def ends(self, topic: str) -> Mapping[Partition, int]:
        return {Partition(topic, n): len(log) for n, log in enumerate(self.parts(topic))}

    def trim(self, partition: Partition, below: int) -> None:
        self.firsts[partition] = max(below, self.firsts.get(partition, 0))

    def close(self) -> None:
        return


class MemoryProducer:
    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        with self.bus.changed:
            if self.bus.away:
                raise Unavailable("BUS")
            if settle is not None:
                settle.consumer.commit(settle.offsets)
            origins = [self.bus.append(record) for record in records]
            self.bus.changed.notify_all()
            return origins

    def close(self) -> None:
        return


class MemoryConsumer:
    def __init__(
        self,
        bus: MemoryBus,
        group: str,
        topics: tuple[str, ...],
        *,
        member: str,
        assigned: Callback | None,
        revoked: Callback | None,
    ) -> None:
        self.bus, self.group, self.topics, self.member = bus, group, topics, member
        self.on_assigned, self.on_revoked = assigned, revoked
        self.mine: frozenset[Partition] = frozenset()
        self.position: dict[Partition, int] = {}
        self.paused: set[Partition] = set()

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout
        while True:
            if self.bus.away:
                time.sleep(0.01)
                raise Unavailable("BUS")
            self._rebalance()
            with self.bus.changed:
                if records := self._fetch(max_records, max_bytes):
                    return records
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self.bus.changed.wait(left)

    def _rebalance(self) -> None:
        wanted = self.bus.wanted(self)
        if lost := self.mine - wanted:
            if self.on_revoked is not None and self in self.bus.members[self.group]:
                self.on_revoked(lost)
            self.mine -= lost
        taken = frozenset(p for m in self.bus.members[self.group] if m is not self for p in m.mine)
        if gained := wanted - self.mine - taken:
            self.mine |= gained
            for partition in gained:
                self.position[partition] = self.bus.committed.get((self.group, partition), 0)
            if self.on_assigned is not None:
                self.on_assigned(gained)

    def _fetch(self, max_records: int, max_bytes: int) -> list[Record]:
        found: list[Record] = []
        size = 0
        for partition in sorted(self.mine - self.paused):
            log = self.bus.parts(partition.topic)[partition.number]
            for record in log[self.position[partition] :]:
                size += len(record.value)
                if len(found) >= max_records or (found and size > max_bytes):
                    return found
                found.append(record)
                self.position[partition] = record.offset + 1
        return found

    def pause(self, partitions: Collection[Partition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self.paused -= set(partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        self.position[partition] = offset

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        with self.bus.changed:
            for partition, offset in offsets.items():
                if not self.owns(partition):
                    raise Fenced("NOT-OWNED")
                self.bus.committed[self.group, partition] = offset

    def committed(self, partition: Partition) -> int | None:
        return self.bus.committed.get((self.group, partition))

    def assignment(self) -> frozenset[Partition]:
        return self.mine

    def owns(self, partition: Partition) -> bool:
        bus = self.bus
        return partition in self.mine - bus.lost and self in bus.members[self.group] and not bus.silent

    def close(self) -> None:
        with self.bus.changed:
            self.bus.members[self.group] = [m for m in self.bus.members[self.group] if m is not self]
            self.mine = frozenset()


class MemoryLedger:
    """Rows in a dictionary; `away` makes every call fail. Several objects may share one `store`."""

    def __init__(self, store: MemoryLedger | None = None) -> None:
        self.rows: dict[str, Row] = store.rows if store else {}
        self.claims: dict[str, Claim] = store.claims if store else {}
        self.epochs: dict[tuple[str, int], int] = store.epochs if store else {}
        self.history: list[Row] = store.history if store else []
        self.marks: dict[Partition, int] = store.marks if store else {}
        self.identities: dict[str, str] = store.identities if store else {}
        self.noted: dict[str, tuple[str, Offsets, dict[Origin, Record]]] = store.noted if store else {}
        self.turn: threading.RLock = store.turn if store else threading.RLock()
        self.away = False

    def _check(self) -> None:
        if self.away:
            raise Unavailable("LEDGER")

    def saw(self, offsets: Offsets) -> None:
        self._check()
        with self.turn:
            for place, at in offsets.items():
                self.marks[place] = max(at, self.marks.get(place, 0))

    def standing(self) -> Sequence[Standing]:
        self._check()
        found: dict[tuple[str, State, str, str], list[float]] = defaultdict(list)
        for row in self.rows.values():
            if row.state not in (State.DONE, State.SUPERSEDED, State.DEAD):
                key = row.delivery.sink, row.state, row.code, row.delivery.structure
                found[key].append(row.delivery.created)
        return [Standing(*key[:3], len(times), min(times), key[3]) for key, times in sorted(found.items())]

    def topics(self) -> Mapping[str, str]:
        return dict(self.identities)

    def remember(self, identities: Mapping[str, str]) -> None:
        self.identities.update(identities)

    def remade(self, topics: Collection[str]) -> None:
        with self.turn:
            for place in [place for place in self.marks if place.topic in topics]:
                del self.marks[place]
            for topic in topics:
                self.identities.pop(topic, None)

    def regress(self, ends: Offsets) -> Sequence[tuple[str, Origin]]:
        with self.turn:
            self.marks.update({place: end for place, end in ends.items() if place in self.marks})
            for id_, row in self.rows.items():
                if Partition(out_topic(row.delivery.sink), row.partition) in ends:
                    self.rows[id_] = replace(row, sequence=row.sequence - 2**40)
            lost = [
                (id_, claim.origin)
                for id_, claim in self.claims.items()
                if claim.origin.offset >= ends.get(Partition(claim.origin.topic, claim.origin.partition), 2**62)
            ]
            for id_, _ in lost:
                del self.claims[id_]
            return lost

    def seen(self, topic: str) -> Mapping[int, int]:
        self._check()
        return {place.number: at for place, at in self.marks.items() if place.topic == topic}

    def claim(self, claims: Sequence[Claim], seen: Offsets | None = None) -> Sequence[Origin]:
        self._check()
        with self.turn:
            self.saw(seen or {})
            return [self.claims.setdefault(claim.id, claim).origin for claim in claims]

    def acks(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        return {id_: self.claims[id_].ack for id_ in ids if id_ in self.claims}

    def take(self, sink: str, partitions: Collection[int]) -> Mapping[int, int]:
        self._check()
        with self.turn:
            for number in partitions:
                self.epochs[sink, number] = self.epochs.get((sink, number), 0) + 1
            return {number: self.epochs[sink, number] for number in partitions}

    def _fenced(self, rows: Sequence[Row], fence: Fence | None) -> None:
        if fence is None:
            return
        places = {(row.delivery.sink, row.partition) for row in rows}
        lost = {place[1] for place in places if place not in self.epochs or fence.get(place) != self.epochs[place]}
        if lost:
            raise Fenced("LEDGER-EPOCH", partitions=frozenset(lost))

    def open(self, rows: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        self._check()
        with self.turn:
            self._fenced(rows, fence)
            found = {row.delivery.id: self.rows[row.delivery.id] for row in rows if row.delivery.id in self.rows}
            for row in rows:
                assert not row.delivery.payload, "a row carries no payload"
                self.saw({Partition(out_topic(row.delivery.sink), row.partition): row.sequence + 1})
                if self.rows.setdefault(row.delivery.id, row) is row:
                    self.history.append(row)
            return found

    def save(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        self._check()
        with self.turn:
            self._fenced(rows, fence)
            for row in rows:
                if row.delivery.id in self.rows:
                    self.rows[row.delivery.id] = row
                    self.history.append(row)

    def write(self, opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        with self.turn:
            self._fenced([*opens, *saves], fence)
            known = self.open(opens, fence) if opens else {}
            if saves:
                self.save(saves, fence)
            return {id_: self.rows[id_] for id_ in known}

    def _sorted(self, rows: Iterable[Row]) -> list[Row]:
        return sorted(rows, key=lambda row: (row.partition, row.sequence))

    def unfinished(self, sink: str, partitions: Collection[int]) -> Sequence[Row]:
        self._check()
        mine = (r for r in self.rows.values() if r.delivery.sink == sink and r.partition in partitions)
        return self._sorted(r for r in mine if r.state not in FINAL)

    def get(self, ids: Sequence[str]) -> Mapping[str, Row]:
        self._check()
        return {id_: self.rows[id_] for id_ in ids if id_ in self.rows}

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        self._check()
        same = (
            r
            for r in self.rows.values()
            if r.delivery.sink == sink and lineage in (r.delivery.lineage, r.delivery.replaces)
        )
        return self._sorted(same) if lineage else []

    def overtakers(self, sink: str, names: Sequence[str]) -> Sequence[Row]:
        return [r for name in names for r in self.lineage(sink, name) if r.delivery.action in ("delete", "replace")]

    def dead(
        self, sink: str | None = None, within: Collection[str] | None = None, *, strict: bool = False
    ) -> Sequence[Row]:
        """Oldest change first."""
        self._check()
        dead = [r for r in self.rows.values() if r.state is State.DEAD and sink in (None, r.delivery.sink)]
        dead = [r for r in dead if within is None or r.delivery.structure in within]
        dead = [r for r in dead if r.delivery.strict or not strict]
        return sorted(dead, key=lambda r: (r.updated, r.delivery.sink, r.partition, r.sequence))

    def held(self, sink: str, code: str) -> Sequence[Row]:
        rows = self.rows.values()
        return [r for r in rows if r.delivery.sink == sink and r.state is State.PARKED and r.code == code]

    def _wanted(self, wanted: DeadWanted) -> list[tuple[float, Row, str]]:
        """(last attempt, row, cause) of the dead rows that are wanted."""
        found = []
        for one in self.dead(within=wanted.within):
            made, last = one.delivery, one.last_try or one.updated
            named = one.evidence.get("cause") or cause("sink", made.sink, one.code, one.evidence.get("place", ""))
            facts = {name: getattr(made, name) for name in ("sink", "feed", "pipeline")}
            facts |= {"code": one.code, "cause": named}
            if _agrees(wanted, facts, last, made.event_id):
                found.append((last, one, named))
        return found

    def dead_groups(self, wanted: DeadWanted) -> Sequence[DeadGroup]:
        """Of one row each: whoever reads them joins them."""
        return [
            DeadGroup(
                sink=one.delivery.sink, cause=named, code=one.code, feed=one.delivery.feed,
                pipeline=one.delivery.pipeline, count=1, first=one.first_try or last, last=last, sample=one.delivery.id,
            )
            for last, one, named in self._wanted(wanted)
        ]  # fmt: skip

    def dead_page(
        self, wanted: DeadWanted, limit: int | None, *, newest: bool = True, beyond: Beyond | None = None
    ) -> Sequence[Row]:
        found = [(last, one.delivery.id, one) for last, one, _ in self._wanted(wanted)]
        return [one for _, _, one in _page(found, limit, newest=newest, beyond=beyond)]

    def dead_owners(self, wanted: DeadWanted) -> Collection[str]:
        return {one.delivery.structure for _, one, _ in self._wanted(wanted)}

    def letters_seen(self, topic: str, identity: str) -> Offsets:
        known, ends, _ = self.noted.get(topic, ("", {}, {}))
        return ends if known == identity else {}

    def note_letters(
        self, topic: str, identity: str, letters: Sequence[Record], resolved: Collection[Origin], ends: Offsets
    ) -> None:
        known, _, kept = self.noted.get(topic, ("", {}, {}))
        kept = (kept if known == identity else {}) | {record.origin: record for record in letters}
        left = {origin: record for origin, record in kept.items() if origin not in resolved}
        self.noted[topic] = identity, dict(ends), left

    def letters(self, topic: str, within: Collection[str] | None = None) -> Sequence[Record]:
        found = self.noted.get(topic, ("", {}, {}))[2].values()
        return [one for one in found if within is None or one.headers.get(Header.STRUCTURE, "") in within]

    def _letters(
        self, topic: str, wanted: DeadWanted, any_of: Sequence[LetterGroup] | None = None
    ) -> list[tuple[float, str, Record, dict[str, str]]]:
        """(last attempt, id, letter, by what it is counted) of those that are wanted."""
        found = []
        for one in self.letters(topic, wanted.within):
            last = float(one.headers.get(Header.LAST) or one.timestamp)
            facts = {name: one.headers.get(name, "") for name in ("cause", "code", "place", "feed", "pipeline")}
            among = any_of is None or facts in [group.equal for group in any_of]
            if among and _agrees(wanted, facts, last, one.headers.get(Header.ID, "")):
                found.append((last, f"{one.partition}/{one.offset}", one, facts))
        return found

    def letter_groups(self, topic: str, wanted: DeadWanted) -> Sequence[LetterGroup]:
        """Of one letter each: whoever reads them joins them."""
        return [
            LetterGroup(equal=facts, sample=one, count=1, first=float(one.headers.get(Header.FIRST) or last), last=last)
            for last, _, one, facts in self._letters(topic, wanted)
        ]

    def letter_page(
        self,
        topic: str,
        wanted: DeadWanted,
        any_of: Sequence[LetterGroup] | None,
        limit: int | None,
        *,
        newest: bool = True,
        beyond: Beyond | None = None,
    ) -> Sequence[tuple[float, str, Record]]:
        found = [one[:3] for one in self._letters(topic, wanted, any_of)]
        return _page(found, limit, newest=newest, beyond=beyond)

    def letter_owners(self, topic: str, wanted: DeadWanted, any_of: Sequence[LetterGroup] | None) -> Collection[str]:
        return {one.headers.get(Header.STRUCTURE, "") for _, _, one, _ in self._letters(topic, wanted, any_of)}

    def needed(self, sink: str, given_up_since: float) -> Collection[Origin]:
        self._check()
        mine = [row for row in self.rows.values() if row.delivery.sink == sink]
        wanted = [row.bytes_at for row in mine if row.state not in (State.DONE, State.SUPERSEDED)]
        given_up = [row for row in mine if row.state is State.SUPERSEDED and row.code == DISCARDED]
        return {*wanted, *(row.bytes_at for row in given_up if row.updated >= given_up_since)}

    def outdate(self, sink: str) -> None:
        with self.turn:
            for id_, row in self.rows.items():
                if row.delivery.sink == sink:
                    self.rows[id_] = replace(row, sequence=row.sequence - 2**40)

    def forget(self, before: float) -> int:
        with self.turn:
            claims = [claim.id for claim in self.claims.values() if claim.at < before]
            ended = (State.DONE, State.SUPERSEDED)
            longer = {"delete": 365 * 86_400.0, "replace": 365 * 86_400.0}
            rows = [
                id_
                for id_, r in self.rows.items()
                if r.state in ended and r.updated < before - longer.get(r.delivery.action, 0.0)
            ]
            for id_ in claims:
                del self.claims[id_]
            for id_ in rows:
                del self.rows[id_]
            return len(claims) + len(rows)

    def close(self) -> None:
        return
