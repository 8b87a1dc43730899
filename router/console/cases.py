"""What people do with the cases of the work-lists: take, give back, note, decide. Nobody overwrites another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, insert, select, update

from router.console.tables import CASE_LINES, CASES
from router.contracts import Clock
from router.database import Database

Did = Literal["take", "give", "note", "decide"]
HELD_SECONDS: Final = 30 * 60.0
"""After so long a case that somebody took is free again."""
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """One thing that a person did. text: of a note; the choice of a decision. at: Unix seconds"""

    at: float
    person: str
    did: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseState:
    """holder: who has taken it, "" for nobody;  until: when it is free again, Unix seconds
    decided: the choice, "" while it is open;  note: the last one, None for none
    structure, name: FINESS and MSH-10 of a decided one
    """

    holder: str = ""
    until: float = 0.0
    decided: str = ""
    decided_by: str = ""
    decided_at: float = 0.0
    structure: str = ""
    name: str = ""
    note: CaseLine | None = None


NEW: Final = CaseState()


class CaseStore:
    """Any thread; each call is one transaction. Raises `Unavailable` while the database is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    # ------------------------------------------------------------------------------------------------ reading

    def of(self, list_: str, ids: Iterable[str]) -> Mapping[str, CaseState]:
        """By id, those of which somebody did something. A lock whose time is over is left out."""
        now, found = self._clock.now(), dict[str, CaseState]()
        with self._database.read() as db:
            for some in _parts(ids):
                rows = db.execute(select(CASES).where(CASES.c.list == list_, CASES.c.id.in_(some))).mappings().all()
                notes = _last_notes(db, list_, [row["id"] for row in rows])
                found.update((row["id"], _state(row, now, notes.get(row["id"]))) for row in rows)
        return found

    def decided(self, list_: str, ids: Iterable[str]) -> frozenset[str]:
        """Those of these that are decided."""
        of, found = CASES.c, list[str]()
        with self._database.read() as db:
            for some in _parts(ids):
                query = select(of.id).where(of.list == list_, of.id.in_(some), of.decided != "")
                found += db.execute(query).scalars()
        return frozenset(found)

    def one(self, list_: str, id_: str) -> CaseState:
        return self.of(list_, [id_]).get(id_, NEW)

    def decided_since(self, at: float) -> list[tuple[str, CaseState]]:
        """(work-list, case) of what was decided since this Unix time, oldest first; of all structures."""
        query = select(CASES).where(CASES.c.decided != "", CASES.c.decided_at >= at).order_by(CASES.c.decided_at)
        with self._database.read() as db:
            return [(row["list"], _state(row, self._clock.now(), None)) for row in db.execute(query).mappings()]

    def history(self, list_: str, id_: str) -> list[CaseLine]:
        """What people did with it, oldest first."""
        query = select(CASE_LINES).where(CASE_LINES.c.list == list_, CASE_LINES.c.id == id_)
        with self._database.read() as db:
            return [_line(row) for row in db.execute(query.order_by(CASE_LINES.c.number)).mappings()]

    # ------------------------------------------------------------------------------------------------- acting

    def take(self, list_: str, id_: str, person: str) -> bool:
        """Hold it for half an hour; False when somebody else holds it, or it is decided."""
        values = {"holder": person, "until": self._clock.now() + HELD_SECONDS}
        return self._act(list_, id_, person, "take", "", values)

    def give_back(self, list_: str, id_: str, person: str) -> bool:
        """Hold it no longer; False when somebody else does."""
        return self._act(list_, id_, person, "give", "", {"holder": "", "until": 0.0})

    def decide(self, list_: str, id_: str, person: str, choice: str, *, structure: str, name: str) -> bool:
        """Close it; False when somebody else holds it, or it is decided already."""
        values = {"decided": choice, "decided_by": person, "decided_at": self._clock.now(), "holder": "", "until": 0.0}
        return self._act(list_, id_, person, "decide", choice, values | {"structure": structure, "name": name})

    def note(self, list_: str, id_: str, person: str, text: str) -> None:
        """Say something; whoever holds it."""
        with self._database.write() as db:
            _known(db, list_, id_)
            self._write(db, list_, id_, person, "note", text)

    def _act(self, list_: str, id_: str, person: str, did: Did, text: str, values: Mapping[str, object]) -> bool:
        """Only where the case is open, and nobody else holds it."""
        of, now = CASES.c, self._clock.now()
        free = of.holder.in_(("", person)) | (of.until <= now)
        mine = (of.list == list_) & (of.id == id_) & (of.decided == "") & free
        with self._database.write() as db:
            _known(db, list_, id_)
            if not db.execute(update(CASES).where(mine).values(**values)).rowcount:
                return False
            self._write(db, list_, id_, person, did, text)
        return True

    def _write(self, db: Connection, list_: str, id_: str, person: str, did: Did, text: str) -> None:
        of = CASE_LINES.c
        last = db.execute(select(func.max(of.number)).where(of.list == list_, of.id == id_)).scalar()
        number = 0 if last is None else last + 1
        row = {"list": list_, "id": id_, "number": number, "at": self._clock.now()}
        db.execute(insert(CASE_LINES), row | {"person": person, "did": did, "text": text})


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """A statement takes some thousand values only."""
    every = sorted(set(ids))
    yield from (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))


def _known(db: Connection, list_: str, id_: str) -> None:
    """There is a row of this case."""
    if db.execute(select(CASES.c.id).where(CASES.c.list == list_, CASES.c.id == id_)).first() is None:
        row = {"list": list_, "id": id_, "holder": "", "until": 0.0, "structure": "", "name": ""}
        db.execute(insert(CASES), row | {"decided": "", "decided_by": "", "decided_at": 0.0})


def _last_notes(db: Connection, list_: str, ids: Sequence[str]) -> dict[str, CaseLine]:
    of = CASE_LINES.c
    query = select(CASE_LINES).where(of.list == list_, of.id.in_(ids), of.did == "note").order_by(of.number)
    return {row["id"]: _line(row) for row in db.execute(query).mappings()}


def _state(row: Any, now: float, note: CaseLine | None) -> CaseState:
    """A lock whose time is over is none."""
    held = row["until"] > now
    same = {name: row[name] for name in ("decided", "decided_by", "decided_at", "structure", "name")}
    return CaseState(holder=row["holder"] if held else "", until=row["until"] if held else 0.0, note=note, **same)


def _line(row: Any) -> CaseLine:
    return CaseLine(**{name: row[name] for name in CaseLine.__dataclass_fields__})
