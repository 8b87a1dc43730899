"""Stays: which patient was in which unit, from when to when, as the movements of the ADT feeds say (PAM-FR).

An admission (A01) begins a stay in its unit, a transfer (A02) ends that one and begins the next, a discharge (A03) ends
the last. A11, A12 and A13 undo each what came before. One visit has as many rows as units; all identities are
pseudonyms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.exchange import Pseudonyms
from router.register.adt import AdtChange, Movement
from router.register.tables import STAY

_ADMITTED: Final = "A01"
_TRANSFERRED: Final = "A02"
_DISCHARGED: Final = "A03"
_UNDOES: Final = {"A11": _ADMITTED, "A12": _TRANSFERRED, "A13": _DISCHARGED}
MEANT: Final = frozenset({_ADMITTED, _TRANSFERRED, _DISCHARGED, *_UNDOES, "A44"})
"""Events that change a stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A patient in one unit.

    visit:   pseudonym of the visit (PV1-19), or of the patient where the feed numbers none
    patient: pseudonym under which the register knows him; unit: PV1-3.1; kind: PV1-2 (`I`, `O`, `R`…)
    begin, end: TS as received, by the clock of the hospital; "" for an end that has not come, and for a beginning that
    nobody told
    """

    visit: str
    number: int
    patient: str
    feed: str
    unit: str
    kind: str
    begin: str
    end: str


def moved(
    db: Connection, pseudonyms: Pseudonyms, change: AdtChange, patient: str, *, feed: str, event_id: str, now: float
) -> None:
    """Write what a movement says; what does not fit to what is known is passed over, never guessed."""
    movement = change.movement
    if movement is None or change.event not in MEANT:
        return
    visit = pseudonyms.of("visit", movement.authority, movement.visit) if movement.visit else patient
    known = _of_visit(db, visit)
    if change.event == "A44":
        if movement.visit:
            _update(db, known, patient=patient, updated=now)
    elif change.event in _UNDOES:
        _undo(db, known, _UNDOES[change.event], now)
    elif change.event == _DISCHARGED:
        _discharge(db, known, visit, patient, movement, feed=feed, event_id=event_id, now=now)
    else:
        _enter(db, known, visit, patient, movement, change.event, feed=feed, event_id=event_id, now=now)


def of(db: Connection, patients: Sequence[str]) -> list[Stay]:
    """The stays of these records of the register, oldest first."""
    query = sa.select(STAY).where(STAY.c.patient.in_(list(patients))).order_by(STAY.c.begin, STAY.c.number)
    return [Stay(**{name: row[name] for name in Stay.__slots__}) for row in db.execute(query).mappings()]


def prune(db: Connection, before: float) -> int:
    """Forget those of which nothing was heard since this Unix time."""
    return db.execute(sa.delete(STAY).where(STAY.c.updated < before)).rowcount


def _of_visit(db: Connection, visit: str) -> list[dict[str, Any]]:
    query = sa.select(STAY).where(STAY.c.visit == visit).order_by(STAY.c.number).with_for_update()
    return [dict(row) for row in db.execute(query).mappings()]


def _enter(
    db: Connection,
    known: Sequence[dict[str, Any]],
    visit: str,
    patient: str,
    movement: Movement,
    event: str,
    *,
    feed: str,
    event_id: str,
    now: float,
) -> None:
    """Into a unit: the stay in the one before ends at that moment, unless its end is known."""
    begin = movement.admitted or movement.at if event == _ADMITTED else movement.at
    last = known[-1] if known else None
    if event == _ADMITTED and last is not None and not last["end"]:  # told again, perhaps corrected
        if last["began_by"] == _ADMITTED:
            _update(db, [last], unit=movement.unit, kind=movement.kind, begin=begin, updated=now)
        return
    if last is not None and not last["end"]:
        _update(db, [last], end=begin, ended_by=event, updated=now)
    row = {
        "visit": visit, "number": last["number"] + 1 if last else 0, "patient": patient, "feed": feed,
        "unit": movement.unit, "kind": movement.kind, "begin": begin, "began_by": event, "end": "", "ended_by": "",
        "event_id": event_id, "updated": now,
    }  # fmt: skip
    db.execute(STAY.insert().values(row))


def _discharge(
    db: Connection,
    known: Sequence[dict[str, Any]],
    visit: str,
    patient: str,
    movement: Movement,
    *,
    feed: str,
    event_id: str,
    now: float,
) -> None:
    """Out of the hospital; of one whose admission nobody told, the beginning is what the message says of it."""
    end = movement.discharged or movement.at
    if known:
        last = known[-1]
        if not last["end"] or last["ended_by"] == _DISCHARGED:
            _update(db, [last], end=end, ended_by=_DISCHARGED, updated=now)
        return
    row = {
        "visit": visit, "number": 0, "patient": patient, "feed": feed, "unit": movement.unit, "kind": movement.kind,
        "begin": movement.admitted, "began_by": "", "end": end, "ended_by": _DISCHARGED, "event_id": event_id,
        "updated": now,
    }  # fmt: skip
    db.execute(STAY.insert().values(row))


def _undo(db: Connection, known: Sequence[dict[str, Any]], what: str, now: float) -> None:
    """Take the last movement of that kind back: who was discharged or transferred is where he was before."""
    if not known:
        return
    last = known[-1]
    if what == _ADMITTED:
        _remove(db, known)
    elif what == _DISCHARGED and last["ended_by"] == _DISCHARGED:
        _update(db, [last], end="", ended_by="", updated=now)
    elif what == _TRANSFERRED and last["began_by"] == _TRANSFERRED:
        _remove(db, [last])
        if len(known) > 1 and known[-2]["ended_by"] == _TRANSFERRED:
            _update(db, [known[-2]], end=last["end"], ended_by=last["ended_by"], updated=now)


def _update(db: Connection, rows: Sequence[dict[str, Any]], **values: Any) -> None:
    for row in rows:
        same = (STAY.c.visit == row["visit"]) & (STAY.c.number == row["number"])
        db.execute(sa.update(STAY).where(same).values(**values))


def _remove(db: Connection, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        db.execute(sa.delete(STAY).where((STAY.c.visit == row["visit"]) & (STAY.c.number == row["number"])))
