"""Ledger and bus compared at the start: one of them may have been restored from a backup, or made anew.

The ledger notes how far it has seen each topic, in the transaction that saw it, and which topic that was.

- A group has committed an offset that the ledger has not seen: the *ledger* is older. What it lacks is read again
  from the bus: claims from `in.<feed>`, rows from `out.<sink>`, and from the receipts what became of them.
- The ledger has seen what the bus does not hold: the *bus* is older, or another one. Bytes are lost. Such an event is
  taken anew when its sender repeats it; everything that is affected is listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from router.contracts import Alert, Bus, Ledger, Partition, Row, in_topic, out_topic
from router.engine.pipeline.worker import GROUP as PIPELINES
from router.errors import Fenced, OperatorFault, Unavailable
from router.exchange import JournalEntry, Origin
from router.locks import TurnLock
from router.runtime.missed import claims_of, recovered
from router.runtime.site_services import SiteServices
from router.wire import journal_record

T = TypeVar("T")
LOST: Final = "BYTES-LOST"
"""Code of the journal entry of an event whose bytes the bus no longer holds."""
_AT_ONCE: Final = 500
_PATIENCE: Final = 600.0
_TOLD: Final = 10_000
"""Events of which the journal says that their bytes are lost; of more, the list on disk tells."""
_LOST_TEXT: Final = "Octets perdus : le bus a été restauré ou remplacé. Un nouvel envoi sera repris comme un premier."
_OTHER_TEXT: Final = (
    "this is not the bus that the ledger knows: put the right one back, or stop the router and start it again, which "
    "takes this one and lists what is lost"
)
_BEHIND_TEXT: Final = "the ledger was older than the bus: what it lacked was read again from the bus"
_AHEAD_TEXT: Final = "the bus is older than the ledger, or another one: bytes are lost; the list is in the file"


@dataclass(slots=True)
class Reconciled:
    """What was found and done.

    claims, rows:      that the ledger lacked, by topic
    events, deliveries: whose bytes are lost: their ids
    """

    claims: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, Origin]] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    regressed: dict[Partition, int] = field(default_factory=dict)


def reconcile(services: SiteServices, alert: Alert, ledger: Ledger, *, adopt: bool) -> Reconciled:
    """Compare, mend what can be mended, tell the rest. One process of a machine at a time; to do it twice is harmless.

    adopt: whether another bus than the one we know may be taken; else `OperatorFault` (`BUS-OTHER`).
    Raises `Unavailable` when the bus or the ledger is away.
    """
    with closing(TurnLock(services.data("reconcile.lock"))) as turn:
        if not turn.take(_PATIENCE):
            raise Unavailable("RECONCILE", "", "another process compares ledger and bus for too long")
        found = Reconciled()
        _regress(services, ledger, found, alert, adopt=adopt)
        for feed in services.config.feeds:
            recover_claims(services.bus, ledger, in_topic(feed), found, services.clock.now())
        older = bool(found.claims) or any(_gaps(services.bus, ledger, out, out) for out in _outs(services))
        for sink in services.config.sinks:
            _recover_rows(services.bus, ledger, sink, found, older=older)
        if found.claims or found.rows:
            count = sum(found.claims.values()) + sum(found.rows.values())
            topics = ", ".join(sorted({*found.claims, *found.rows}))
            alert("ledger-behind", {"count": str(count), "topic": topics, "text": _BEHIND_TEXT})
        return found


# ------------------------------------------------------------------------------------------- the bus is older


def _regress(services: SiteServices, ledger: Ledger, found: Reconciled, alert: Alert, *, adopt: bool) -> None:
    bus, config = services.bus, services.config
    topics = [*map(in_topic, config.feeds), *map(out_topic, config.sinks)]
    known, present = ledger.topics(), bus.identities(topics)
    others = {topic for topic, identity in present.items() if known.get(topic, identity) != identity}
    if others and not adopt:
        raise OperatorFault("BUS-OTHER", ", ".join(sorted(others)), _OTHER_TEXT)
    for topic in topics:
        found.regressed |= _beyond(bus, ledger, topic, another=topic in others)
    if found.regressed:
        found.deliveries = _bytes_gone(bus, ledger, config.sinks)
        found.events = list(ledger.regress(found.regressed))
        _tell(services, found)
    if new := {topic: identity for topic, identity in present.items() if known.get(topic) != identity}:
        ledger.remember(new)
    if found.regressed:
        place = ", ".join(sorted({place.topic for place in found.regressed}))
        count = str(len(found.events) + len(found.deliveries))
        alert("bus-behind", {"count": count, "topic": place, "text": _AHEAD_TEXT, "file": str(_file(services))})


def _beyond(bus: Bus, ledger: Ledger, topic: str, *, another: bool) -> dict[Partition, int]:
    """The partitions of which the ledger has seen more than they hold, and where they end."""
    seen = ledger.seen(topic)  # first: what is seen after that was written before it
    ends = {place.number: end for place, end in bus.ends(topic).items()} if seen else {}
    if another:
        return {Partition(topic, number): 0 for number in seen}
    return {Partition(topic, n): ends[n] for n, at in seen.items() if n in ends and at > ends[n]}


def _bytes_gone(bus: Bus, ledger: Ledger, sinks: Iterable[str]) -> list[Row]:
    """Unfinished and dead-lettered rows whose bytes stand beyond the end of their topic."""
    ends: dict[str, Mapping[Partition, int]] = {}
    gone = []
    for sink in sinks:
        numbers = sorted(ledger.seen(out_topic(sink)))
        for row in [*ledger.unfinished(sink, numbers), *ledger.dead(sink)]:
            at = row.bytes_at
            if at.topic not in ends:
                ends[at.topic] = bus.ends(at.topic)
            if at.offset >= ends[at.topic].get(Partition(at.topic, at.partition), 0):
                gone.append(row)
    return gone


def _tell(services: SiteServices, found: Reconciled) -> None:
    """The list on disk, and one line in the story of each event."""
    lost = {
        "events": [{"id": id_, "origin": str(origin)} for id_, origin in found.events],
        "deliveries": [
            {"id": row.delivery.id, "event": row.delivery.event_id, "sink": row.delivery.sink, "state": row.state.value}
            for row in found.deliveries
        ],
    }
    _file(services).write_text(json.dumps(lost, indent=1))
    now = services.clock.now()
    entries = [
        JournalEntry(event_id=id_, kind="command", at=now, code=LOST, origin=str(origin), text=_LOST_TEXT)
        for id_, origin in found.events[:_TOLD]
    ]
    with closing(services.bus.producer("reconcile")) as producer:
        for chunk in _chunks(entries):
            producer.publish([journal_record(entry) for entry in chunk])


def _file(services: SiteServices) -> Path:
    return services.data("bytes-lost.json")


# ---------------------------------------------------------------------------------------- the ledger is older


def _gaps(bus: Bus, ledger: Ledger, topic: str, group: str) -> dict[int, tuple[int, int]]:
    """Partition -> what its group has consumed and the ledger has not seen, as (from, to)."""
    consumed = {place.number: at for place, at in bus.positions(group).items() if place.topic == topic}
    seen = ledger.seen(topic)  # second: the ledger sees first, the group commits then
    return {number: (seen.get(number, 0), at) for number, at in consumed.items() if at > seen.get(number, 0)}


def recover_claims(bus: Bus, ledger: Ledger, topic: str, found: Reconciled, now: float) -> None:
    """Claims are enough: what was decided stands on the bus since the transaction that moved the offsets."""
    gaps = _gaps(bus, ledger, topic, PIPELINES)
    if not gaps:
        return
    claims = claims_of(bus, topic, gaps, now)
    known = ledger.acks([claim.id for claim in claims])
    for chunk in _chunks(claims):
        ledger.claim(chunk)
    ledger.saw({Partition(topic, number): end for number, (_, end) in gaps.items()})
    if missed := sum(claim.id not in known for claim in claims):
        found.claims[topic] = missed


def _recover_rows(bus: Bus, ledger: Ledger, sink: str, found: Reconciled, *, older: bool) -> None:
    """older: the ledger is, also where this topic shows no gap: what waited then may have ended since."""
    topic = out_topic(sink)
    gaps = _gaps(bus, ledger, topic, topic)
    if not gaps and not older:
        return
    numbers = sorted({place.number for place in bus.ends(topic)} | gaps.keys())
    fence = {(sink, number): epoch for number, epoch in ledger.take(sink, numbers).items()}
    lacked = recovered(bus, ledger, sink, numbers, gaps)
    try:
        lacked.write(ledger, fence)
    except Fenced:  # a worker of another machine has begun: it compared before
        return
    ledger.saw({Partition(topic, number): end for number, (_, end) in gaps.items()})
    if lacked.rows:
        found.rows[topic] = len(lacked.rows)


def _outs(services: SiteServices) -> list[str]:
    return [out_topic(sink) for sink in services.config.sinks]


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
