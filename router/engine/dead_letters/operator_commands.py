"""Replay and discard of dead letters, and a discard taken back, as an operator orders them.

This module changes no lane: it publishes command records, and the lane's owner obeys or refuses them. Without a
producer nothing is published, and each answer says what would happen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from router.contracts import Bus, Header, Ledger, Outgoing, Producer, Row, in_topic, out_topic
from router.engine.dead_letters.evidence import UNNAMED, Names, proof
from router.engine.dead_letters.listing import DeadLetter, body
from router.engine.dead_letters.reading import RESOLVED
from router.engine.dead_letters.standing import resolved_by, standing
from router.engine.delivery.command_handler import (
    ACCEPTED,
    BY,
    DISCARD,
    REFUSALS,
    REPLAY,
    TAKE_BACK,
    discard_refusal,
    replay_refusal,
    take_back_refusal,
)
from router.engine.delivery.command_marks import CHANGED, ORDER, SEEN, changed, given_up, order_mark
from router.engine.delivery.supersession_rules import versions
from router.exchange import JournalEntry, Origin
from router.wire import event_at, journal_record

NOT_OURS: Final = "Refusé : le message n'a jamais été accepté ; l'émetteur doit le renvoyer."
UNDECIDED: Final = "Refusé : aucun pipeline n'a décidé cet envoi (réponse à l'émetteur, retrait) ; le rejouer tel quel."
_AT_ONCE: Final = 500
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


class _Stands(Enum):
    """Of a dead letter without a row: nobody has resolved it, somebody has, or this very order did before a crash."""

    YES = "yes"
    NO = "no"
    OURS = "ours"


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

    What is not as it was listed is refused (`REPLAY-CHANGED`): tried or given up since; resolved, where it has no row.
    order: id of what a person ordered at once; when it is written again, after a crash, what was obeyed is not obeyed
    again.
    """
    said = _By(by, reason, order)
    for dead_letter, stands in _with_standing(bus, ledger, chosen, order):
        if dead_letter.delivery_id:
            refusal, records = _replay_delivery(bus, ledger, dead_letter, said, names, decide_again=decide_again)
        else:
            refusal, records = _replay_event(bus, dead_letter, said, stands)
        if producer is not None and records:
            producer.publish(records)
        yield _answer(dead_letter, REPLAY, refusal)


def discard(
    bus: Bus,
    ledger: Ledger,
    chosen: Sequence[DeadLetter],
    *,
    by: str,
    reason: str,
    order: str = "",
    producer: Producer | None = None,
    names: Names = UNNAMED,
) -> Iterator[Answer]:
    """Give these dead letters up, with a reason that is journalled; without a `producer` only say what would happen.

    Refused like a replay (`REPLAY-CHANGED`): a dead letter that is not as it was listed.
    """
    said = _By(by, reason, order)
    for dead_letter, stands in _with_standing(bus, ledger, chosen, order):
        if dead_letter.delivery_id:
            row, seen = _row(ledger, dead_letter), dead_letter.seen
            code = discard_refusal(row) or changed(seen, row) if row is not None else "REPLAY-UNKNOWN"
            refusal, records = _commanded(dead_letter, row, code, DISCARD, said, seen, names)
        else:
            refusal, records = _resolving(stands, [_journalled(dead_letter, DISCARD, said)], dead_letter, DISCARD, said)
        if producer is not None and records:
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
    What was tried since it was listed, and given up again, is refused too (`REPLAY-CHANGED`).
    """
    said = _By(by, reason, order)
    for dead_letter in chosen:
        row, seen = _row(ledger, dead_letter), given_up(dead_letter.attempts)  # it may be a list of before the discard
        code = take_back_refusal(row, now) or changed(seen, row) if row is not None else "TAKE-BACK-NONE"
        refusal, records = _commanded(dead_letter, row, code, TAKE_BACK, said, seen, names)
        if producer is not None and records:
            producer.publish(records)
        yield _answer(dead_letter, TAKE_BACK, refusal)


# ---------------------------------------------------------------------------------------------- internals


def _answer(dead_letter: DeadLetter, command: str, refusal: _Refusal | None) -> Answer:
    if refusal is None:
        return Answer(dead_letter, True, ACCEPTED[command])
    return Answer(dead_letter, False, refusal.text, refusal.code, refusal.proof)


def _row(ledger: Ledger, dead_letter: DeadLetter) -> Row | None:
    """None without a delivery, too."""
    return ledger.get([dead_letter.delivery_id]).get(dead_letter.delivery_id) if dead_letter.delivery_id else None


def _obeyed(row: Row, by: _By) -> bool:
    """Whether this same order was obeyed already: what it did before a crash is no reason to refuse it."""
    return bool(by.order) and order_mark(by.order) in row.commands


def _with_standing(
    bus: Bus, ledger: Ledger, chosen: Sequence[DeadLetter], order: str
) -> Iterator[tuple[DeadLetter, _Stands]]:
    """Each, and of those without a row whether somebody has resolved it; they are looked up many at once."""
    for start in range(0, len(chosen), _AT_ONCE):
        some = chosen[start : start + _AT_ONCE]
        rowless = [one for one in some if not one.delivery_id]
        still = standing(bus, ledger, rowless) if rowless else set()
        gone = [one for one in rowless if one.at not in still]
        ours = resolved_by(bus, order, gone) if gone and order else set()
        for one in some:
            yield one, _Stands.OURS if one.at in ours else _Stands.YES if one.at in still else _Stands.NO


def _resolving(
    stands: _Stands, records: list[Outgoing], dead_letter: DeadLetter, command: str, by: _By
) -> tuple[_Refusal | None, list[Outgoing]]:
    """(why not, what to publish) of a dead letter without a row, which a record on its topic resolves."""
    if stands is _Stands.OURS:
        return None, []
    if stands is _Stands.NO:
        return _Refusal(REFUSALS[CHANGED], "", CHANGED), []
    return None, [*records, _resolved(dead_letter, command, by)]


def _commanded(
    dead_letter: DeadLetter,
    row: Row | None,
    code: str,
    command: str,
    by: _By,
    seen: str,
    names: Names,
    known: Sequence[Row] = (),
) -> tuple[_Refusal | None, list[Outgoing]]:
    """(why not, what to publish). code: of the refusal, "" for none;  seen: what the person saw of it"""
    if row is not None and _obeyed(row, by):
        return None, []
    if code or row is None:
        return _Refusal(REFUSALS[code], proof(row, names, known) if row else "", code), []
    return None, [_command(dead_letter, command, by, seen)]


def _replay_event(
    bus: Bus, dead_letter: DeadLetter, by: _By, stands: _Stands
) -> tuple[_Refusal | None, list[Outgoing]]:
    """(why not, what to publish)."""
    if dead_letter.stage != "pipeline":
        return _Refusal(NOT_OURS), []
    why, records = _again(bus, dead_letter, by, 1) if stands is _Stands.YES else (None, [])
    return (why, []) if why else _resolving(stands, records, dead_letter, REPLAY, by)


def _replay_delivery(
    bus: Bus, ledger: Ledger, dead_letter: DeadLetter, by: _By, names: Names, *, decide_again: bool
) -> tuple[_Refusal | None, list[Outgoing]]:
    row = _row(ledger, dead_letter)
    if row is None:
        return _Refusal(REFUSALS["REPLAY-UNKNOWN"], "", "REPLAY-UNKNOWN"), []
    known = versions(ledger, row.delivery)
    code = replay_refusal(row, known) or changed(dead_letter.seen, row)
    refusal, records = _commanded(dead_letter, row, code, REPLAY, by, dead_letter.seen, names, known)
    if not records or not decide_again:
        return refusal, records
    if not (row.delivery.digest and row.delivery.origin.topic == in_topic(dead_letter.feed)):
        return _Refusal(UNDECIDED), []
    return _again(bus, dead_letter, by, row.delivery.replay + 1)


def _again(bus: Bus, dead_letter: DeadLetter, by: _By, number: int) -> tuple[_Refusal | None, list[Outgoing]]:
    """The original event, for `in.<feed>` once more, with its first origin."""
    record = event_at(bus, Origin.parse(dead_letter.origin), dead_letter.event_id) if dead_letter.origin else None
    if record is None and dead_letter.stage == "pipeline":
        record = body(bus, dead_letter)  # a pipeline's dead letter is the event itself
    if record is None:
        return _Refusal(EXPIRED), []
    own = (Header.STAGE, Header.CODE, Header.PLACE, Header.TEXT, Header.CAUSE, Header.NEXT, Header.SINK, ORDER)
    headers = {name: value for name, value in record.headers.items() if name not in own}
    headers |= {Header.ORIGIN: dead_letter.origin, Header.COMMAND: REPLAY, "replay": str(number), BY: by.name}
    headers[Header.TEXT] = by.reason
    if by.order:
        headers[ORDER] = by.order
    return None, [Outgoing(in_topic(dead_letter.feed), record.key, record.value, headers)]


def _command(dead_letter: DeadLetter, command: str, by: _By, seen: str) -> Outgoing:
    headers = {
        Header.COMMAND: command,
        Header.DELIVERY: dead_letter.delivery_id,
        Header.ID: dead_letter.event_id,
        Header.TEXT: by.reason,
        BY: by.name,
        SEEN: seen,
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
    if by.order:
        headers[ORDER] = by.order
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
