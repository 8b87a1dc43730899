"""The marks on the chain of the audit, which stand outside of it; some are sealed, for who may write the table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select

from router.audit.chain import NOTHING, Chain, Mark
from router.audit.tables import MARKS


class Marks:
    """words: the dialect's `insert`, with `on_conflict_…`. In the transaction of the caller."""

    def __init__(self, chain: Chain, words: Any) -> None:
        self._chain = chain
        self._words = words

    def put(self, db: Connection, name: str, mark: Mark, *, seal: bool = False, unless_there: bool = False) -> None:
        """Write it in the place of the one of this name."""
        kept = {"number": mark.number, "mac": mark.mac, "seal": self._chain.seal(name, mark) if seal else ""}
        new = self._words.insert(MARKS).values(name=name, **kept)
        if unless_there:
            db.execute(new.on_conflict_do_nothing(index_elements=["name"]))
            return
        db.execute(new.on_conflict_do_update(index_elements=["name"], set_=kept))

    def find(self, db: Connection, name: str) -> Mark | None:
        """As it stands there, sealed or not."""
        row = db.execute(select(MARKS.c.number, MARKS.c.mac).where(MARKS.c.name == name)).first()
        return Mark(row.number, row.mac) if row is not None else None

    def sealed(self, db: Connection, name: str) -> tuple[Mark, bool]:
        """(the mark, whether its seal is ours); `NOTHING`, which is ours, where there is none."""
        row = db.execute(select(MARKS).where(MARKS.c.name == name)).first()
        if row is None:
            return NOTHING, True
        mark = Mark(row.number, row.mac)
        return mark, self._chain.sealed(name, mark, row.seal)

    def remove(self, db: Connection, name: str) -> None:
        db.execute(delete(MARKS).where(MARKS.c.name == name))
