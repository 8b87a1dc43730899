"""Replay and discard of dead letters, and a discard taken back, as an operator orders them.

This module changes no lane: it publishes command records, and the lane's owner obeys or refuses them. Without a
producer nothing is published, and each answer says what would happen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from router.contracts import Bus, Header, Ledger, Outgoing, Producer, in_topic, out_topic
from router.engine.dead_letters.evidence import UNNAMED, Names, proof
from router.engine.dead_letters.listing import DeadLetter, body, of_row
from router.engine.dead_letters.reading import RESOLVED
from router.engine.delivery.command_handler import (
    ACCEPTED,
    BY,
    DISCARD,
    ORDER,
    REFUSALS,
    REPLAY,
    TAKE_BACK,
    discard_refusal,
    replay_refusal,
    take_back_refusal,
)
from router.engine.delivery.supersession_rules import versions
from router.exchange import JournalEntry, Origin
from router.wire import event_at, journal_record

NOT_OURS: Final = "Refusé : le message n'a jamais été accepté ; l'émetteur doit le renvoyer."
UNDECIDED: Final = "Refusé : aucun pipeline n'a décidé cet envoi (réponse à l'émetteur, retrait) ; le rejouer tel quel."
CHANGED: Final = "Refusé : un essai de plus a eu lieu depuis que cette liste a été faite ; en refaire une."
EXPIRED: Final = "Refusé : le message d'origine a expiré sur le bus."


@dataclass(frozen=True, slots=True)
class Answer:
    """What would happen, or was ordered, for one dead letter. `code`: of the refusal, "" when accepted.

    proof: of a refusal: the receipt's identifiers, or the event that overtook it
    """

    dead_letter: DeadLetter
    accepted: bool
    text: str
    code: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class _Refusal:
    text: str
    proof: str = ""
    code: str = "REPLAY-REFUSED"


@dataclass(frozen=True, slots=True)
class _By:
    """Who commands, why, and in which order of many ("" for none)."""

    name: str
    reason: str
    order: str


def replay(
    bus: Bus,
    ledger: Ledger,
    chosen: Sequence[DeadLetter],
    *,
    by: str,
    producer: Producer | None = None,
    decide_again: bool = False,
    reason: str = "",
    order: str = "",
    names: Names = UNNAMED,
) -> Iterator[Answer]:
    """Order the replay of these dead letters, and answer for each; without a `producer` only say what would happen.

    Dead letters keep their order. That of a sink goes to the lane's owner, which refuses a delivery that was made or
    overtaken. With `decide_again`, and always for that of a pipeline, the original event goes through today's
    pipelines once more: destinations that were served are recognised by their id.

    A delivery that was tried since it was listed is refused (`REPLAY-CHANGED`). order: id of what a person ordered at
    once; when it is written again, after a crash, what was obeyed is not obeyed again.
    """
    for dead_letter in chosen:
        refusal, records = _replay(bus, ledger, dead_letter, _By(by, reason, order), names, decide_again=decide_again)
        if producer is not None and refusal is None:
            producer.publish(records)
        yield _answer(dead_letter, REPLAY, refusal)


def discard(
    ledger: Ledger,
    chosen: Sequence[DeadLetter],
    *,
    by: str,
    reason: str,
    order: str = "",
    producer: Producer | None = None,
    names: Names = UNNAMED,
) -> Iterator[Answer]:
    """Give these dead letters up, with a reason that is journalled; without a `producer` only say what would happen."""
    said = _By(by, reason, order)
    for dead_letter in chosen:
        refusal = None
        if dead_letter.delivery_id:
            row = ledger.get([dead_letter.delivery_id]).get(dead_letter.delivery_id)
            code = discard_refusal(row) if row is not None else "REPLAY-UNKNOWN"
            refusal = _Refusal(REFUSALS[code], proof(row, names) if row else "", code) if code else None
            records = [_command(dead_letter, DISCARD, said)]
        else:
            records = [_resolved(dead_letter, DISCARD, said), _journalled(dead_letter, DISCARD, said)]
        if producer is not None and refusal is None:
            producer.publish(records)
        yield _answer(dead_letter, DISCARD, refusal)


def take_back(
    ledger: Ledger,
    chosen: Sequence[DeadLetter],
    *,
    by: str,
    reason: str,
    now: float,
    order: str = "",
    producer: Producer | None = None,
    names: Names = UNNAMED,
) -> Iterator[Answer]:
    """Make dead letters again of what was discarded; without a `producer` only say what would happen.

    now: Unix seconds. What a pipeline or the intake refused has no row, and is refused: its sender sends it again.
    """
    said = _By(by, reason, order)
    for dead_letter in chosen:
        row = ledger.get([dead_letter.delivery_id]).get(dead_letter.delivery_id) if dead_letter.delivery_id else None
        code = take_back_refusal(row, now) if row is not None else "TAKE-BACK-NONE"
        refusal = _Refusal(REFUSALS[code], proof(row, names) if row else "", code) if code else None
        if producer is not None and refusal is None:
            producer.publish([_command(dead_letter, TAKE_BACK, said)])
        yield _answer(dead_letter, TAKE_BACK, refusal)


# ---------------------------------------------------------------------------------------------- internals


def _answer(dead_letter: DeadLetter, command: str, refusal: _Refusal | None) -> Answer:
    if refusal is None:
        return Answer(dead_letter, True, ACCEPTED[command])
    return Answer(dead_letter, False, refusal.text, refusal.code, refusal.proof)


def _replay(
    bus: Bus, ledger: Ledger, dead_letter: DeadLetter, by: _By, names: Names, *, decide_again: bool
) -> tuple[_Refusal | None, list[Outgoing]]:
    """(why not, what to publish)."""
    if dead_letter.delivery_id:
        return _replay_delivery(bus, ledger, dead_letter, by, names, decide_again=decide_again)
    if dead_letter.stage != "pipeline":
        return _Refusal(NOT_OURS), []
    why, records = _again(bus, dead_letter, by, 1)
    return why, [*records, _resolved(dead_letter, REPLAY, by)] if records else []


def _replay_delivery(
    bus: Bus, ledger: Ledger, dead_letter: DeadLetter, by: _By, names: Names, *, decide_again: bool
) -> tuple[_Refusal | None, list[Outgoing]]:
    row = ledger.get([dead_letter.delivery_id]).get(dead_letter.delivery_id)
    if row is None:
        return _Refusal(REFUSALS["REPLAY-UNKNOWN"], "", "REPLAY-UNKNOWN"), []
    known = versions(ledger, row.delivery)
    if code := replay_refusal(row, known):
        return _Refusal(REFUSALS[code], proof(row, names, known), code), []
    if dead_letter.last != of_row(row).last:
        return _Refusal(CHANGED, "", "REPLAY-CHANGED"), []
    if decide_again and not (row.delivery.digest and row.delivery.origin.topic == in_topic(dead_letter.feed)):
        return _Refusal(UNDECIDED), []
    if not decide_again:
        return None, [_command(dead_letter, REPLAY, by)]
    return _again(bus, dead_letter, by, row.delivery.replay + 1)


def _again(bus: Bus, dead_letter: DeadLetter, by: _By, number: int) -> tuple[_Refusal | None, list[Outgoing]]:
    """The original event, for `in.<feed>` once more, with its first origin."""
    record = event_at(bus, Origin.parse(dead_letter.origin), dead_letter.event_id) if dead_letter.origin else None
    if record is None and dead_letter.stage == "pipeline":
        record = body(bus, dead_letter)  # a pipeline's dead letter is the event itself
    if record is None:
        return _Refusal(EXPIRED), []
    own = (Header.STAGE, Header.CODE, Header.PLACE, Header.TEXT, Header.CAUSE, Header.NEXT, Header.SINK)
    headers = {name: value for name, value in record.headers.items() if name not in own}
    headers |= {Header.ORIGIN: dead_letter.origin, Header.COMMAND: REPLAY, "replay": str(number), BY: by.name}
    headers[Header.TEXT] = by.reason
    return None, [Outgoing(in_topic(dead_letter.feed), record.key, record.value, headers)]


def _command(dead_letter: DeadLetter, command: str, by: _By) -> Outgoing:
    headers = {
        Header.COMMAND: command,
        Header.DELIVERY: dead_letter.delivery_id,
        Header.ID: dead_letter.event_id,
        Header.TEXT: by.reason,
        BY: by.name,
    }
    if by.order:
        headers[ORDER] = by.order
    return Outgoing(out_topic(dead_letter.sink), dead_letter.key, b"", headers)


def _resolved(dead_letter: DeadLetter, how: str, by: _By) -> Outgoing:
    """Says on the dead letter's own topic that it is resolved."""
    headers = {
        Header.COMMAND: RESOLVED,
        Header.ORIGIN: str(dead_letter.at),
        Header.ID: dead_letter.event_id,
        Header.CODE: how.upper(),
        Header.TEXT: by.reason,
        BY: by.name,
    }
    return Outgoing(dead_letter.at.topic, dead_letter.key, b"", headers)


def _journalled(dead_letter: DeadLetter, how: str, by: _By) -> Outgoing:
    entry = JournalEntry(
        event_id=dead_letter.event_id,
        kind="command",
        at=time.time(),
        feed=dead_letter.feed,
        pipeline=dead_letter.pipeline,
        origin=dead_letter.origin,
        source=by.name,
        code=how.upper(),
        text=f"{ACCEPTED[how]} {by.reason}".strip(),
    )
    return journal_record(entry)
