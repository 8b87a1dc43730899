"""What the end of an attempt writes: the row's next state, the receipt, the dead letter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.contracts import Header, Outcome, Outgoing, Record, Row, cause, dlq_topic, out_topic
from router.engine.dead_letters.remediation import Advice
from router.engine.delivery.pending_delivery import PREDECESSOR
from router.engine.delivery.row_copy import copy_row
from router.engine.delivery.supersession_rules import HELD
from router.errors import RouterError
from router.exchange import Delivery, Disposition, Receipt, ReceiptKind, Spoken, State
from router.language import N_
from router.wire import delivery_headers

PROGRESS: Final = "progress."
"""The prefix of evidence that says what a sink's attempts have settled so far (`RouterError.progress`)."""
OUTCOME: Final = "outcome"
"""Evidence of a superseded row, for people: `unknown` when an attempt may have reached the destination after all."""
RESTORED: Final = N_("restored from a backup: an attempt may have been made since; a person decides")
NOTED: Final = "noted"
"""In the evidence of a row that says `begun`: the effect was made, and its outcome stands in this row."""
BEFORE: Final = "before"
"""Evidence of a receipt: the earlier state of the row, when the sender had already been told that state."""


def progressed(row: Row, progress: Mapping[str, str]) -> Row:
    """The row that remembers what an attempt settled before it failed."""
    noted = {f"{PROGRESS}{name}": value for name, value in progress.items()}
    return copy_row(row, evidence={**row.evidence, **noted})


def progress(row: Row) -> dict[str, str]:
    """What earlier attempts settled: see `progressed`."""
    return {name.removeprefix(PROGRESS): value for name, value in made_so_far(row.evidence).items()}


def made_so_far(evidence: Mapping[str, str]) -> dict[str, str]:
    """The evidence that outlives a new decision: the parts of the effect that are made already."""
    return {name: value for name, value in evidence.items() if name.startswith(PROGRESS)} if evidence else {}


def begun(row: Row, now: float) -> Row:
    """The row right before its effect."""
    if NOTED in row.evidence:
        row = copy_row(row, evidence={name: value for name, value in row.evidence.items() if name != NOTED})
    return copy_row(
        row, state=State.BEGUN, attempts=row.attempts + 1, first_try=row.first_try or now, next_try=0.0, updated=now
    )


def noted(row: Row, outcome: Outcome) -> Row:
    """A row that says `begun`, and what came of it: no receipt stands on the bus yet. `outcome` says nothing beside
    its code, its text and its evidence."""
    return copy_row(row, code=outcome.code, text=outcome.text, evidence={**outcome.evidence, NOTED: "1"})


def outcome_noted(row: Row) -> Outcome | None:
    """What an earlier owner noted of its attempt; None when it noted nothing, or a person has decided since."""
    if row.state is not State.UNKNOWN or NOTED not in row.evidence:
        return None
    return Outcome(row.code, row.text, {name: value for name, value in row.evidence.items() if name != NOTED})


def not_begun(row: Row) -> Row:
    """The row as it was before `begun`, for an effect that was not made after all."""
    return copy_row(row, state=State.READY, attempts=row.attempts - 1)


def restarted(row: Row) -> Row:
    """A row as its next owner takes it over: what was begun has an unknown outcome."""
    if row.state is not State.BEGUN:
        return row
    return copy_row(row, state=State.UNKNOWN, outcome_unknown=True)


def done(row: Row, outcome: Outcome, now: float) -> Row:
    return copy_row(
        row,
        state=State.DONE,
        code=outcome.code,
        text=outcome.text,
        evidence=outcome.evidence,
        outcome_unknown=False,
        next_try=0.0,
        updated=now,
    )


def waiting(row: Row, state: State, fault: RouterError, now: float, delay: float, *, counted: bool) -> Row:
    """The row that will be tried again in `delay` seconds; `counted`: the attempt and the wait spend the budgets."""
    found_away = not counted and row.state is State.BEGUN  # a verification that found nobody was no attempt
    return copy_row(
        row,
        state=state,
        code=fault.code,
        text=fault.text,
        waited=row.waited + delay if counted else row.waited,
        outages=row.outages + found_away,
        outcome_unknown=row.outcome_unknown or state is State.UNKNOWN,
        last_try=now,
        next_try=now + delay,
        updated=now,
    )


def parked(row: Row, code: str, text: str, now: float) -> Row:
    return copy_row(row, state=State.PARKED, code=code, text=text, next_try=0.0, updated=now)


def dead(row: Row, fault: RouterError, now: float) -> Row:
    """The row of a dead letter keeps what `dlq ls` groups by, so that no payload is read for it."""
    sink = row.delivery.sink
    evidence = {**row.evidence, "place": fault.place, "cause": cause("sink", sink, fault.code, fault.place)}
    return copy_row(
        row, state=State.DEAD, code=fault.code, text=fault.text, evidence=evidence, next_try=0.0, updated=now
    )


def superseded(row: Row, by: str, now: float) -> Row:
    """`by`: id of the event that overtook it."""
    evidence = {**row.evidence, "superseded_by": by}
    unknown = row.state is State.BEGUN or maybe_made(row)
    if unknown:
        evidence[OUTCOME] = "unknown"
    if row.state is State.DEAD:
        evidence[BEFORE] = State.DEAD.value
    code = row.code or "SUPERSEDED"
    return copy_row(
        row,
        state=State.SUPERSEDED,
        code=code,
        evidence=evidence,
        outcome_unknown=unknown,
        next_try=0.0,
        updated=now,
    )


def in_doubt(row: Row, on_unknown: str) -> Row:
    """A row of a restored ledger or bus. Nothing proves what became of it since: an attempt may have been made.

    A sink that can ask its destination does so; otherwise a person decides. A dead letter, and what is held already,
    stays so: it needs a person's order anyway.
    """
    if row.state is State.DEAD or (row.state is State.PARKED and row.code != PREDECESSOR):
        return row
    if on_unknown == "verify":
        return copy_row(row, state=State.UNKNOWN, outcome_unknown=True, next_try=0.0)
    return copy_row(row, state=State.PARKED, code=HELD, text=RESTORED, outcome_unknown=True, next_try=0.0)


def waited(row: Row) -> float:
    return row.waited


def tries(row: Row) -> int:
    """Attempts that said something of this delivery: the circuit's trials during an outage are none. From 1."""
    return max(1, row.attempts - row.outages)


def maybe_made(row: Row) -> bool:
    """Whether an earlier attempt has an unknown outcome."""
    return row.state is State.UNKNOWN or row.outcome_unknown


DISPOSITIONS: Final = {
    State.DONE: Disposition.DELIVERED,
    State.SUPERSEDED: Disposition.SUPERSEDED,
    State.DEAD: Disposition.DEAD_LETTERED,
}


def receipt(
    row: Row, context: Mapping[str, str], now: float, place: str = "", spoken: tuple[Spoken, ...] = ()
) -> Receipt:
    """Proof of the state this row has reached: final, or one more attempt that did not end it."""
    delivery = row.delivery
    disposition = DISPOSITIONS.get(row.state)
    return Receipt(
        delivery_id=delivery.id,
        event_id=delivery.event_id,
        sink=delivery.sink,
        kind=ReceiptKind.DELIVERY if disposition else ReceiptKind.ATTEMPT,
        ok=row.state is State.DONE,
        at=now,
        disposition=disposition,
        state=row.state,
        attempt=row.attempts,
        code=row.code,
        place=place or row.evidence.get("place", ""),
        text=row.text,
        feed=delivery.feed,
        key=delivery.key,
        destination=delivery.destination,
        label=delivery.label,
        pipeline=delivery.pipeline,
        evidence=row.evidence,
        context=context,
        spoken=spoken,
    )


def dead_letter(row: Row, delivery: Delivery, place: str, advice: Advice, now: float) -> Outgoing:
    """The dead letter of a delivery, for `dlq.<sink>`: its payload untouched, its story in the headers."""
    headers = delivery_headers(delivery)
    headers |= {
        Header.STAGE: "sink",
        Header.CODE: row.code,
        Header.PLACE: place,
        Header.TEXT: row.text,
        Header.ATTEMPTS: str(row.attempts),
        Header.FIRST: f"{row.first_try:.3f}",
        Header.LAST: f"{now:.3f}",
        Header.CAUSE: row.evidence.get("cause", ""),
        Header.NEXT: advice(row.code),
    }
    return Outgoing(dlq_topic(delivery.sink), delivery.key, delivery.payload, headers)


def unreadable(record: Record, fault: RouterError, sink: str, advice: Advice, now: float) -> Outgoing:
    """The dead letter of a record that is no delivery, for `dlq.<sink>`: its bytes untouched."""
    headers = {
        **record.headers,
        Header.ORIGIN: str(record.origin),
        Header.STAGE: "sink",
        Header.SINK: sink,
        Header.CODE: fault.code,
        Header.PLACE: fault.place,
        Header.TEXT: fault.text,
        Header.FIRST: f"{now:.3f}",
        Header.LAST: f"{now:.3f}",
        Header.CAUSE: cause("sink", sink, fault.code, fault.place),
        Header.NEXT: advice(fault.code),
    }
    headers.pop(Header.ATTEMPTS, None)  # whatever its writer meant by it
    headers.pop(Header.DELIVERY, None)  # it names no row: the letter stands for itself
    return Outgoing(dlq_topic(sink), record.key, record.value, headers)


def out_of(row: Row) -> str:
    """The topic on which the row's delivery came."""
    return out_topic(row.delivery.sink)
