"""What people ordered alone lately, wherever they did it: for the rule of two persons, which nobody may get round by
splitting an order.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.access import makers
from router.access.tables import ORDERED
from router.access.written import written
from router.contracts import Clock
from router.database import Database

WITHIN: Final = 3600.0
"""Seconds for which an order counts together with the next one of the same person and the same act."""


class Ordered:
    """Any thread, any process; each call is one transaction. Raises `Unavailable` while the database is away.

    person: `Person.id`; what her tokens and her account of the machine ordered counts as hers (`makers.hands`)
    act: what is done, as the audit calls it
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def lately(self, person: str, act: str) -> int:
        """How many dead letters this person ordered alone within the hour."""
        with self._database.read() as db:
            return _lately(db, person, act, self._clock.now() - WITHIN)

    def alone(self, order: str, person: str, act: str, count: int, most: int) -> bool:
        """Whether this order may begin without a second person: then it counts from now on.

        order: its id; what is asked twice counts once;  most: dead letters that one person may order within the hour
        """
        return self._counted(order, person, act, count, most, anew=False)

    def goes_on(self, order: str, person: str, act: str, count: int, most: int) -> bool:
        """The same of an order that was stopped: it counts from now on, once; in the hour of its beginning, as it did.

        count: what is left of it
        """
        return self._counted(order, person, act, count, most, anew=True)

    def _counted(self, order: str, person: str, act: str, count: int, most: int, *, anew: bool) -> bool:
        now = self._clock.now()

        def begin(db: Connection) -> bool:
            if db.dialect.name == "postgresql":  # two at once would each count the other out
                db.exec_driver_sql(f"LOCK TABLE {ORDERED.name} IN SHARE ROW EXCLUSIVE MODE")
            db.execute(ORDERED.delete().where(ORDERED.c.at <= now - WITHIN))
            if db.execute(sa.select(ORDERED.c.id).where(ORDERED.c.id == order)).first():
                if anew:
                    db.execute(ORDERED.update().where(ORDERED.c.id == order).values(at=now))
                return True
            if _lately(db, person, act, now - WITHIN) + count > most:
                return False
            db.execute(ORDERED.insert().values(id=order, person=person, act=act, count=count, at=now))
            return True

        return written(self._database, begin)

    def came_to(self, order: str, count: int) -> None:
        """So many of it were ordered in the end, for some were refused. Nothing for an order that is not counted."""
        statement = ORDERED.update().where(ORDERED.c.id == order).values(count=count)
        written(self._database, lambda db: db.execute(statement))


def _lately(db: Connection, person: str, act: str, since: float) -> int:
    of, mine = ORDERED.c, makers.hands(db, person)
    counted = sa.select(of.person, sa.func.sum(of["count"])).where(of.act == act, of.at > since).group_by(of.person)
    return sum(int(count) for other, count in db.execute(counted) if not mine.isdisjoint(makers.hands(db, other)))
