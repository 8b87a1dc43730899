"""What people say of a cause of dead letters: known, muted for some time, repaired; it comes back by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import delete, insert, select

from router.access.person import EVERY
from router.console.tables import CAUSES
from router.contracts import Clock
from router.database import Database

Said = Literal["new", "known", "muted", "repaired"]
Shown = Literal["new", "known", "muted", "back"]
SAID: Final[tuple[Said, ...]] = ("known", "muted", "repaired", "new")
_LOUD: Final[tuple[Shown, ...]] = ("back", "new", "known", "muted")


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseNote:
    """structure: FINESS, or `*`;  at: when it was said, Unix seconds;  until: end of being muted, 0 for other states"""

    cause: str
    structure: str
    state: Said
    note: str
    person: str
    at: float
    until: float = 0.0

    def shown(self, last: float, now: float) -> Shown:
        """What it is called now. last: when the newest dead letter of the cause came, Unix seconds"""
        if self.state == "new":
            return "new"
        if self.state == "repaired":
            return "back" if last > self.at else "known"
        if self.state == "muted":
            return "muted" if now < self.until else "back"
        return "known"


class CauseNotes:
    """Any thread; each call is one transaction. Raises `Unavailable` while the database is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def of(self, causes: Iterable[str], within: frozenset[str] | None) -> Mapping[str, Sequence[CauseNote]]:
        """By cause, newest first: what was said for these structures (None: for any), or for all."""
        which = CAUSES.c.cause.in_(sorted(set(causes)))
        if within is not None:
            which &= CAUSES.c.structure.in_([*sorted(within), EVERY])
        found: dict[str, list[CauseNote]] = {}
        with self._database.read() as db:
            for row in db.execute(
                select(CAUSES).where(which).order_by(CAUSES.c.at.desc(), CAUSES.c.structure.desc())
            ).mappings():
                found.setdefault(row["cause"], []).append(_note(row))
        return found

    def say(
        self, cause: str, state: Said, note: str, person: str, within: frozenset[str] | None, *, seconds: float = 0.0
    ) -> None:
        """Replace what was said for these structures (None: for all). seconds: how long it is muted."""
        structures = [EVERY] if within is None else sorted(within)
        mine = CAUSES.c.cause == cause
        if within is not None:
            mine &= CAUSES.c.structure.in_(structures)
        until = self._clock.now() + seconds if state == "muted" else 0.0
        row = {"cause": cause, "state": state, "note": note, "person": person, "at": self._clock.now(), "until": until}
        with self._database.write() as db:
            db.execute(delete(CAUSES).where(mine))
            if structures and not (state == "new" and within is None):
                db.execute(insert(CAUSES), [row | {"structure": structure} for structure in structures])


def shown(notes: Sequence[CauseNote], structures: Iterable[str], last: float, now: float) -> Shown:
    """What a cause is called whose dead letters are of these structures: the loudest of them.

    notes: newest first;  last: when the newest dead letter of the cause came, Unix seconds
    """
    said = [next((one for one in notes if one.structure in (each, EVERY)), None) for each in structures]
    found = {one.shown(last, now) if one is not None else "new" for one in said}
    return next((one for one in _LOUD if one in found), "new")


def _note(row: Any) -> CauseNote:
    return CauseNote(**{name: row[name] for name in CauseNote.__dataclass_fields__})
