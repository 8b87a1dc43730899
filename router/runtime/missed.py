"""What the bus tells a ledger that is older than it: events, deliveries, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.contracts import RECEIPTS, Bus, Claim, Fence, Header, Ledger, Record, Row, dlq_topic, out_topic
from router.engine.delivery.row_copy import copy_row
from router.engine.delivery.row_transitions import DISPOSITIONS, OUTCOME
from router.engine.pipeline.event_reader import claim_of
from router.errors import Malformed
from router.exchange import Receipt, ReceiptKind, State
from router.wire import read_delivery, read_receipt

Gaps = Mapping[int, tuple[int, int]]
"""Partition -> the offsets from which and up to which something is missing."""
Unproven = Callable[[Row], Row]
"""What becomes of a row when no receipt says how it ended."""
_STATES: Final = {disposition: state for state, disposition in DISPOSITIONS.items()}
_CLOCKS: Final = 3600.0
"""Seconds by which the clocks of bus and workers may differ."""


def claims_of(bus: Bus, topic: str, gaps: Gaps, now: float) -> list[Claim]:
    """The claims of the events in these gaps, the first one of an id first."""
    return list(reversed([claim for record in within(bus, topic, gaps) if (claim := claim_of(record, now))]))


def rows_of(bus: Bus, topic: str, gaps: Gaps) -> list[Row]:
    """The rows of the deliveries in these gaps, as they are when they come; of one id the first."""
    rows: dict[str, Row] = {}
    for record in within(bus, topic, gaps):  # the newest first: of one id the oldest stays
        if (row := _row(record)) is not None:
            rows[row.delivery.id] = row
    return sorted(rows.values(), key=lambda row: (row.partition, row.sequence))


def _row(record: Record) -> Row | None:
    """None for a command, which left its trace in the receipts, and for what is no delivery."""
    if Header.COMMAND in record.headers:
        return None
    try:
        delivery = read_delivery(replace(record, value=b""))
    except Malformed:
        return None
    return Row(
        delivery=delivery,
        partition=record.partition,
        sequence=record.offset,
        bytes_at=record.origin,
        updated=record.timestamp,
    )


def within(bus: Bus, topic: str, gaps: Gaps) -> Iterator[Record]:
    """The records in these gaps, the newest first."""
    left = {number: start for number, (start, _) in gaps.items()}
    for record in bus.scan(topic, newest_first=True):
        start, end = gaps.get(record.partition, (0, 0))
        if start <= record.offset < end:
            yield record
        if record.partition in left and record.offset <= start:
            del left[record.partition]
            if not left:
                return


def endings(bus: Bus, ids: Collection[str], since: float) -> dict[str, Receipt]:
    """The last receipt that ended each of these deliveries, from this Unix time on."""
    found: dict[str, Receipt] = {}
    for record in bus.scan(RECEIPTS, newest_first=True):
        if len(found) == len(ids) or record.timestamp < since - _CLOCKS:
            break
        id_ = record.headers.get(Header.DELIVERY, "")
        if id_ not in ids or id_ in found or record.damaged:
            continue
        receipt = read_receipt(record)
        if receipt.kind is ReceiptKind.DELIVERY and receipt.disposition in _STATES:
            found[id_] = receipt
    return found


def unknown_outcome(row: Row) -> Row:
    """A row of which nothing proves what became of it: its sink type says what follows."""
    if row.state is State.DEAD:
        return row
    state = row.state if row.state is State.PARKED else State.UNKNOWN
    return copy_row(row, state=state, outcome_unknown=True, next_try=0.0)


def told(row: Row, receipt: Receipt | None, unproven: Unproven = unknown_outcome) -> Row:
    """A row that the ledger lacked, or whose later states it lacks, by what the last receipt after them says.

    Without one an attempt may have been made that nobody remembers.
    """
    if receipt is not None and receipt.disposition is not None:
        state = _STATES[receipt.disposition]
        return copy_row(
            row,
            state=state,
            attempts=receipt.attempt,
            code=receipt.code,
            text=receipt.text,
            evidence=dict(receipt.evidence),
            outcome_unknown=receipt.evidence.get(OUTCOME) == State.UNKNOWN.value,
            next_try=0.0,
            updated=receipt.at,
        )
    return unproven(row)


def letters(bus: Bus, sink: str, ids: Collection[str]) -> Callable[[Row], Row]:
    """What points a dead row to its dead letter, whose bytes never expire."""
    places = {}
    if ids:
        for record in bus.scan(dlq_topic(sink), newest_first=True):
            id_ = record.headers.get(Header.DELIVERY, "")
            if id_ in ids and id_ not in places:
                places[id_] = record.origin
            if len(places) == len(ids):
                break
    return lambda row: copy_row(row, bytes_at=places[row.delivery.id]) if row.delivery.id in places else row


@dataclass(slots=True)
class Recovered:
    """What a ledger lacked of one sink: rows to open, and rows to save."""

    opens: list[Row]
    saves: list[Row]

    @property
    def rows(self) -> list[Row]:
        return [*self.opens, *self.saves]

    def write(self, ledger: Ledger, fence: Fence, at_once: int = 500) -> None:
        """Raises `Fenced` when another process has taken the partitions since."""
        for start in range(0, len(self.opens), at_once):
            ledger.open(self.opens[start : start + at_once], fence)
        for start in range(0, len(self.saves), at_once):
            ledger.save(self.saves[start : start + at_once], fence)


def recovered(
    bus: Bus, ledger: Ledger, sink: str, numbers: Sequence[int], gaps: Gaps, unproven: Unproven = unknown_outcome
) -> Recovered:
    """The deliveries in these gaps, and the unfinished and dead rows of these partitions, by the bus's receipts."""
    missed = rows_of(bus, out_topic(sink), gaps) if gaps else []
    there = ledger.get([row.delivery.id for row in missed])
    missed = [row for row in missed if row.delivery.id not in there]
    old = [*ledger.unfinished(sink, numbers), *ledger.dead(sink)]
    since = min((row.updated for row in (*missed, *old)), default=0.0)
    said = endings(bus, {row.delivery.id for row in (*missed, *old)}, since)
    opens = [told(row, said.get(row.delivery.id), unproven) for row in missed]
    later = {row.delivery.id: end for row in old if (end := said.get(row.delivery.id)) and end.at > row.updated}
    saves = [new for row in old if (new := told(row, later.get(row.delivery.id), unproven)) != row]
    at = letters(bus, sink, {row.delivery.id for row in (*opens, *saves) if row.state is State.DEAD})
    return Recovered(list(map(at, opens)), list(map(at, saves)))
