"""What people say of a cause of dead letters: known, muted for some time, repaired; it comes back by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import delete, insert, select

from router.console.tables import CAUSES
from router.contracts import Clock
from router.database import Database

Said = Literal["known", "muted", "repaired"]
Shown = Literal["new", "known", "muted", "back"]
SAID: Final[tuple[Said, ...]] = ("known", "muted", "repaired")


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseNote:
    """at: when it was said, Unix seconds;  until: end of being muted, 0 for other states"""

    cause: str
    state: Said
    note: str
    person: str
    at: float
    until: float = 0.0

    def shown(self, last: float, now: float) -> Shown:
        """What it is called now. last: when the newest dead letter of the cause came, Unix seconds"""
        if self.state == "repaired":
            return "back" if last > self.at else "known"
        if self.state == "muted":
            return "muted" if now < self.until else "back"
        return "known"


class CauseNotes:
    """Any thread; each call is one transaction. Raises `Unavailable` while the database is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def of(self, causes: Iterable[str]) -> Mapping[str, CauseNote]:
        """By cause, those of which something was said."""
        query = select(CAUSES).where(CAUSES.c.cause.in_(sorted(set(causes))))
        with self._database.read() as db:
            return {row["cause"]: _note(row) for row in db.execute(query).mappings()}

    def say(self, cause: str, state: Said | None, note: str, person: str, *, seconds: float = 0.0) -> None:
        """Replace what was said; None takes it back: the cause is new again. seconds: how long it is muted."""
        now = self._clock.now()
        row = {"cause": cause, "state": state, "note": note, "person": person, "at": now}
        with self._database.write() as db:
            db.execute(delete(CAUSES).where(CAUSES.c.cause == cause))
            if state is not None:
                db.execute(insert(CAUSES), row | {"until": now + seconds if state == "muted" else 0.0})


def _note(row: Any) -> CauseNote:
    return CauseNote(**{name: row[name] for name in CauseNote.__dataclass_fields__})
