"""After the files are back: the databases learn from the bus what they lack, and what nobody can know is held.

Three buses are possible. One that *lived on* (Kafka, or the file of the embedded bus) proves by its receipts what was
delivered since the backup. A *copy*, of the same backup, proves nothing of what came after it. One that was *moved*
with its router stopped lacks nothing.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final, Literal

from router.contracts import JOURNAL, RECEIPTS, Ledger, Partition, Row, Unobserved, dlq_topic, in_topic, out_topic
from router.engine.dead_letters.listing import STAGES
from router.engine.dead_letters.reading import forget_topic
from router.engine.delivery import row_transitions
from router.engine.delivery.supersession_rules import FINAL
from router.engine.pipeline.worker import GROUP as PIPELINES
from router.errors import MessageFault
from router.exchange import State
from router.journal.worker import store
from router.runtime.backup import doubt
from router.runtime.backup.manifest import Manifest
from router.runtime.missed import recovered, within
from router.runtime.rebuild import apply
from router.runtime.reconcile import Reconciled, reconcile, recover_claims
from router.runtime.site_services import SiteServices
from router.wire import receipt_record

Bus = Literal["lived-on", "copy", "moved"]
_LINES: Final = 1000


@dataclass(slots=True)
class Found:
    """What a restore found and did; `restored.json` holds it.

    claims, journal, register: what they lacked and got from the bus (claims by topic)
    proven: by sink, deliveries of which a receipt says how they ended;  held, asked: those that nobody can know of
    deliveries: the held and asked ones: id, event, sink, state
    undecided:  by topic, records that will be decided or answered now, and whose deliveries are then held
    lost:       events and deliveries whose bytes the bus no longer has
    """

    bus: Bus
    claims: dict[str, int] = field(default_factory=dict)
    proven: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    deliveries: list[dict[str, str]] = field(default_factory=list)
    undecided: dict[str, int] = field(default_factory=dict)
    doubtful: dict[str, tuple[int, int]] = field(default_factory=dict)
    journal: int = 0
    register: int = 0
    unreadable: int = 0
    lost: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def settle(services: SiteServices, ledger: Ledger, taken: Manifest, bus: Bus) -> Found:
    """Bring the restored databases up to what the bus can prove. To do it twice is harmless. Raises `Unavailable`."""
    found = Found(bus)
    for where in (*STAGES, *services.config.sinks):  # the topics tell again which dead letters there are
        forget_topic(ledger, dlq_topic(where))
    if bus == "copy":  # first: what follows writes receipts
        found.doubtful = doubt.ranges(services.bus, list(services.config.feeds))
        for place, (start, end) in found.doubtful.items():
            topic = place.rpartition("/")[0]
            found.undecided[topic] = found.undecided.get(topic, 0) + end - start
    if bus != "moved":
        claims = Reconciled()
        for feed in services.config.feeds:
            recover_claims(services.bus, ledger, in_topic(feed), claims, services.clock.now())
        found.claims = claims.claims
        for sink in services.config.sinks:
            _rows(services, ledger, sink, found)
    found.journal = _journal(services, taken)
    _register(services, taken, found)
    compared = reconcile(services, services.alert, ledger, adopt=True)
    found.lost = {"events": len(compared.events), "deliveries": len(compared.deliveries)}
    return found


def _rows(services: SiteServices, ledger: Ledger, sink: str, found: Found) -> None:
    """Every delivery that is not known to have ended, by the receipts; what they don't tell of is in doubt."""
    topic, bus = out_topic(sink), services.bus
    ends = {place.number: end for place, end in bus.ends(topic).items()}
    seen = ledger.seen(topic)
    gaps = {number: (seen.get(number, 0), end) for number, end in ends.items() if end > seen.get(number, 0)}
    numbers = sorted(ends.keys() | seen.keys())
    fence = {(sink, number): epoch for number, epoch in ledger.take(sink, numbers).items()}
    on_unknown = str(getattr(services.config.sinks[sink], "on_unknown", "hold"))
    unproven = partial(row_transitions.in_doubt, on_unknown=on_unknown)
    lacked = recovered(bus, ledger, sink, numbers, gaps, unproven)
    doubtful = [row for row in lacked.rows if row.state not in FINAL]
    now = services.clock.now()
    with closing(bus.producer("restore")) as producer:  # `explain` tells it
        for start in range(0, len(doubtful), _LINES):
            some = doubtful[start : start + _LINES]
            producer.publish([receipt_record(row_transitions.receipt(row, {}, now)) for row in some])
    lacked.write(ledger, fence)
    ledger.saw({Partition(topic, number): end for number, (_, end) in gaps.items()})
    _count(found, sink, lacked.rows, doubtful)


def _count(found: Found, sink: str, rows: list[Row], doubtful: list[Row]) -> None:
    if proven := len(rows) - len(doubtful):
        found.proven[sink] = proven
    states = Counter(row.state for row in doubtful)
    if asked := states[State.UNKNOWN]:
        found.asked[sink] = asked
    if held := len(doubtful) - asked:
        found.held[sink] = held
    found.deliveries += [
        {"id": row.delivery.id, "event": row.delivery.event_id, "sink": sink, "state": row.state.value}
        for row in doubtful
    ]


def _journal(services: SiteServices, taken: Manifest) -> int:
    """The lines that came since the backup began; those that are there already add nothing."""
    bus, count = services.bus, 0
    for topic in (JOURNAL, RECEIPTS):
        since = taken.since(topic)
        gaps = {place.number: (since.get(place.number, 0), end) for place, end in bus.ends(topic).items()}
        batch = []
        for record in within(bus, topic, gaps):
            batch.append(record)
            if len(batch) == _LINES:
                services.traces.keep(*store(services.journal, batch, Unobserved()))
                count, batch = count + len(batch), []
        if batch:
            services.traces.keep(*store(services.journal, batch, Unobserved()))
        count += len(batch)
    return count


def _register(services: SiteServices, taken: Manifest, found: Found) -> None:
    """What the ADT feeds said since the backup began and the pipelines have decided, in its order."""
    bus, decided = services.bus, services.bus.positions(PIPELINES)
    for name, feed in services.config.feeds.items():
        topic = in_topic(name)
        if feed.kind != "adt":
            continue
        since = taken.since(topic)
        gaps = {
            place.number: (since.get(place.number, 0), decided.get(place, 0))
            for place in bus.ends(topic)
            if decided.get(place, 0) > since.get(place.number, 0)
        }
        if not gaps:
            continue
        for origin in reversed([record.origin for record in within(bus, topic, gaps)]):
            if (record := bus.read(origin)) is None:
                continue
            try:
                found.register += apply(services.register, feed, record)
            except MessageFault:
                found.unreadable += 1
