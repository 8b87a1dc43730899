"""Orders of people about many dead letters: the set is frozen by a dry run, confirmed once, and worked off in steps."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, insert, or_, select, update

from router.access.person import Person
from router.console.tables import ITEMS, ORDERS
from router.contracts import Clock
from router.database import Database
from router.engine.dead_letters.listing import DeadLetter
from router.engine.dead_letters.operator_commands import Answer
from router.exchange import Origin

Act = Literal["replay", "discard", "take-back"]
VALID: Final = 15 * 60.0
"""Seconds after a dry run in which it may be confirmed."""
LEASE: Final = 60.0
_KEPT: Final = 90 * 86_400.0
KEPT_PLANS: Final = 30
"""Dry runs of one person at most; an older one is forgotten for a new one."""
_AT_ONCE: Final = 1000
_PLANS_KEPT: Final = 4 * 3600.0
"""Seconds for which a dry run is kept that nobody confirmed: its page says that it is too old."""


class OrderState(StrEnum):
    """PLANNED is a dry run; SECOND waits for a second person, who may decline it; ASKS waits for a person after the
    first ones failed.
    """

    PLANNED = "planned"
    SECOND = "second"
    DECLINED = "declined"
    RUNNING = "running"
    STOPPED = "stopped"
    ASKS = "asks"
    DONE = "done"


RUNS: Final = (OrderState.RUNNING,)
WAITS: Final = (OrderState.STOPPED, OrderState.ASKS)
"""States from which an order may be stopped, and from which it may go on."""


class ItemState(StrEnum):
    """SKIPPED: refused by the dry run already; WOULD: not ordered yet; the others are how it ended."""

    SKIPPED = "skipped"
    WOULD = "would"
    ORDERED = "ordered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """person: name of who ordered it, for people to read; both names once a second person has confirmed
    asker, second: `Person.id` of who ordered it, and of the second person; "" for none, and for orders of before
    again: through today's pipelines (`dlq replay --decide-again`)
    cause, query: what it was asked by: a cause, and the other filters as parameters of an address
    digest: of the configuration at the dry run;  size: dead letters in the set
    made, begun, ended: Unix seconds, 0 for not yet;  tried: whether the first ones are known to have gone well
    lease: of one that waits for a second person, until when it may be confirmed
    """

    id: str
    person: str
    asker: str
    second: str
    act: Act
    again: bool
    cause: str
    query: str
    reason: str
    digest: str
    state: OrderState
    size: int
    made: float
    begun: float
    ended: float
    tried: bool
    lease: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderItem:
    """number: from 0, in the order of sending;  code, text, proof: of a refusal, see `Answer`"""

    number: int
    state: ItemState
    code: str
    text: str
    proof: str
    dead_letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Tally:
    """How many items of an order are in one state, for one reason."""

    state: ItemState
    code: str
    text: str
    count: int


class OrderStore:
    """Any thread; each call is one transaction. Raises `Unavailable` while the database is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    # ------------------------------------------------------------------------------------------------- making

    def plan(
        self, by: Person, act: Act, answers: Sequence[Answer], *, again: bool, cause: str, query: str, digest: str
    ) -> str:
        """Keep a dry run of this person; returns its id. Orders that ended long ago are forgotten meanwhile."""
        id_, now = secrets.token_urlsafe(9), self._clock.now()
        row = {
            "id": id_, "person": by.name, "asker": by.id, "second": "", "act": act, "again": again, "cause": cause,
            "query": query, "reason": "",
            "digest": digest, "state": OrderState.PLANNED, "size": len(answers), "made": now, "begun": 0.0,
            "ended": 0.0, "tried": False, "owner": "", "lease": 0.0,
        }  # fmt: skip
        items = [_item_row(id_, number, answer) for number, answer in enumerate(answers)]
        with self._database.write() as db:
            _forget(db, by.id, now)
            db.execute(insert(ORDERS), row)
            if items:
                db.execute(insert(ITEMS), items)
        return id_

    def confirm(self, id_: str, reason: str) -> bool:
        """Begin; False when it was confirmed already. Only the first of two confirmations begins it."""
        return self._moved(id_, (OrderState.PLANNED,), state=OrderState.RUNNING, reason=reason, begun=self._clock.now())

    def ask_second(self, id_: str, reason: str, until: float) -> bool:
        """Have it wait for a second person; False when it was confirmed already."""
        return self._moved(id_, (OrderState.PLANNED,), state=OrderState.SECOND, reason=reason, lease=until)

    def second(self, id_: str, second: Person, persons: str) -> bool:
        """Begin what a second person confirms; False when somebody has decided already. persons: both, as shown."""
        begins = {"state": OrderState.RUNNING, "begun": self._clock.now(), "lease": 0.0}
        return self._moved(id_, (OrderState.SECOND,), **begins, person=persons, second=second.id)

    def decline(self, id_: str) -> bool:
        """It is not begun, ever."""
        return self._moved(id_, (OrderState.SECOND,), state=OrderState.DECLINED, ended=self._clock.now())

    def stop(self, id_: str) -> bool:
        """No further item is ordered; what was ordered goes its way."""
        return self._moved(id_, RUNS, state=OrderState.STOPPED, owner="", lease=0.0)

    def resume(self, id_: str) -> bool:
        """Go on after `stop`, or after the first ones failed."""
        return self._moved(id_, WAITS, state=OrderState.RUNNING, tried=True)

    def _moved(self, id_: str, states: Sequence[OrderState], **values: Any) -> bool:
        which = (ORDERS.c.id == id_) & ORDERS.c.state.in_(states)
        with self._database.write() as db:
            return bool(db.execute(update(ORDERS).where(which).values(**values)).rowcount)

    # ------------------------------------------------------------------------------------------------ working

    def claim(self, owner: str) -> Order | None:
        """The oldest running order that nobody else works on, for `LEASE` seconds."""
        now = self._clock.now()
        free = (ORDERS.c.state == OrderState.RUNNING) & ((ORDERS.c.lease < now) | (ORDERS.c.owner == owner))
        with self._database.read() as db:  # mostly there is none: to look once a second takes no lock
            row = db.execute(select(ORDERS).where(free).order_by(ORDERS.c.begun).limit(1)).mappings().first()
        if row is None:
            return None
        with self._database.write() as db:
            taken = update(ORDERS).where(free & (ORDERS.c.id == row["id"])).values(owner=owner, lease=now + LEASE)
            return _order(row) if db.execute(taken).rowcount else None

    def next_items(self, id_: str, limit: int) -> list[OrderItem]:
        """The next ones to order."""
        query = select(ITEMS).where(ITEMS.c.order_id == id_, ITEMS.c.state == ItemState.WOULD)
        with self._database.read() as db:
            return [_item(row) for row in db.execute(query.order_by(ITEMS.c.number).limit(limit)).mappings()]

    def settle(self, id_: str, ended: Mapping[int, Answer]) -> None:
        """What became of these items, by their number."""
        with self._database.write() as db:
            for number, answer in ended.items():
                one = (ITEMS.c.order_id == id_) & (ITEMS.c.number == number)
                db.execute(update(ITEMS).where(one).values(**_answered(answer, ItemState.ORDERED, ItemState.REFUSED)))

    def went_well(self, id_: str) -> None:
        """The first ones did: the others follow."""
        self._moved(id_, (OrderState.RUNNING,), tried=True)

    def ask(self, id_: str) -> None:
        """The first ones did not: a person decides."""
        self._moved(id_, (OrderState.RUNNING,), state=OrderState.ASKS, owner="", lease=0.0)

    def finish(self, id_: str) -> None:
        self._moved(id_, (OrderState.RUNNING,), state=OrderState.DONE, ended=self._clock.now())

    # ------------------------------------------------------------------------------------------------ reading

    def order(self, id_: str) -> Order | None:
        with self._database.read() as db:
            row = db.execute(select(ORDERS).where(ORDERS.c.id == id_)).mappings().first()
        return _order(row) if row is not None else None

    def latest(
        self, limit: int = 50, *, within: Collection[str] | None = None, after: str = ""
    ) -> tuple[list[Order], str]:
        """(confirmed ones, newest first; the place behind which the next page begins, "" on the last one).

        within: only those all of whose dead letters are of these structures (FINESS); None: all
        after: such a place; another text begins at the beginning
        """
        of, mine = ORDERS.c, [ORDERS.c.state != OrderState.PLANNED]
        mine += _within(within)
        if place := _place(after):
            made, id_ = place
            mine.append(or_(of.made < made, and_(of.made == made, of.id < id_)))
        query = select(ORDERS).where(*mine).order_by(of.made.desc(), of.id.desc()).limit(limit + 1)
        with self._database.read() as db:
            found = [_order(row) for row in db.execute(query).mappings()]
        shown = found[:limit]
        return shown, f"{shown[-1].made!r}~{shown[-1].id}" if len(found) > limit else ""

    def waiting(self, within: Collection[str] | None) -> list[Order]:
        """Those that wait for a person now, the oldest first: for the second one, or after the first ones failed.

        within: see `latest`
        """
        of = ORDERS.c
        second = (of.state == OrderState.SECOND) & (of.lease > self._clock.now())
        query = select(ORDERS).where(second | (of.state == OrderState.ASKS), *_within(within)).order_by(of.made)
        with self._database.read() as db:
            return [_order(row) for row in db.execute(query).mappings()]

    def structures(self, id_: str) -> frozenset[str]:
        """FINESS of the structures whose dead letters are in it; "" stands for those of none."""
        query = select(ITEMS.c.structure).where(ITEMS.c.order_id == id_).distinct()
        with self._database.read() as db:
            return frozenset(db.execute(query).scalars())

    def counts(self, id_: str) -> dict[str, tuple[int, int]]:
        """By structure (FINESS, "" for none) how many of its dead letters are to be ordered, and how many it has."""
        of = ITEMS.c
        wanted = func.sum(case((of.state == ItemState.WOULD, 1), else_=0))
        query = select(of.structure, wanted, func.count()).where(of.order_id == id_).group_by(of.structure)
        with self._database.read() as db:
            return {structure: (int(some), count) for structure, some, count in db.execute(query)}

    def tally(self, id_: str) -> list[Tally]:
        """What the items came to, the most numerous first."""
        of = ITEMS.c
        query = select(of.state, of.code, of.text, func.count()).where(of.order_id == id_)
        with self._database.read() as db:
            rows = db.execute(query.group_by(of.state, of.code, of.text)).all()
        found = [Tally(ItemState(state), code, text, count) for state, code, text, count in rows]
        return sorted(found, key=lambda one: (-one.count, one.code))

    def items(self, id_: str, *states: ItemState, after: int = -1, limit: int = 50) -> list[OrderItem]:
        """Items in one of these states (all of them for none), in their order, behind the number `after`."""
        which: ColumnElement[bool] = (ITEMS.c.order_id == id_) & (ITEMS.c.number > after)
        if states:
            which &= ITEMS.c.state.in_(states)
        query = select(ITEMS).where(which).order_by(ITEMS.c.number).limit(limit)
        with self._database.read() as db:
            return [_item(row) for row in db.execute(query).mappings()]


def _forget(db: Connection, asker: str, now: float) -> None:
    """What is too old: orders that ended, and dry runs of which nothing came; of this person all but the last."""
    of, ended, planned = ORDERS.c, ORDERS.c.state != OrderState.RUNNING, ORDERS.c.state == OrderState.PLANNED
    old = select(of.id).where(or_(ended & (of.made < now - _KEPT), planned & (of.made < now - _PLANS_KEPT)))
    mine = select(of.id).where(planned, of.asker == asker).order_by(of.made.desc(), of.id).offset(KEPT_PLANS - 1)
    for which in (old.limit(_AT_ONCE), mine.limit(_AT_ONCE)):
        gone = [*db.execute(which.with_for_update()).scalars()]  # nobody confirms one meanwhile
        db.execute(ITEMS.delete().where(ITEMS.c.order_id.in_(gone)))
        db.execute(ORDERS.delete().where(of.id.in_(gone)))


def _within(within: Collection[str] | None) -> list[ColumnElement[bool]]:
    """That all dead letters of an order are of these structures; None: no condition."""
    if within is None:
        return []
    foreign = ITEMS.c.order_id == ORDERS.c.id, ITEMS.c.structure.not_in(sorted(within))
    return [~exists().where(*foreign)]


def _place(text: str) -> tuple[float, str] | None:
    """(made, id) of a place; None for anything else."""
    made, _, id_ = text.partition("~")
    try:
        at = float(made)
    except ValueError:
        return None
    return (at, id_) if math.isfinite(at) and id_ and id_.isprintable() else None


# ------------------------------------------------------------------------------------------------------ rows


def _answered(answer: Answer, accepted: ItemState, refused: ItemState) -> dict[str, str]:
    state = accepted if answer.accepted else refused
    return {"state": state, "code": answer.code, "text": answer.text, "proof": answer.proof}


def _item_row(order: str, number: int, answer: Answer) -> dict[str, Any]:
    dead_letter = answer.dead_letter
    body = json.dumps(asdict(dead_letter) | {"at": str(dead_letter.at)}, ensure_ascii=False)
    row = {"order_id": order, "number": number, "structure": dead_letter.structure, "dead_letter": body}
    return row | _answered(answer, ItemState.WOULD, ItemState.SKIPPED)


def _item(row: Any) -> OrderItem:
    kept = json.loads(row["dead_letter"])
    dead_letter = replace(DeadLetter(**kept), at=Origin.parse(kept["at"]))
    return OrderItem(
        number=row["number"],
        state=ItemState(row["state"]),
        code=row["code"],
        text=row["text"],
        proof=row["proof"],
        dead_letter=dead_letter,
    )


def _order(row: Any) -> Order:
    names = Order.__dataclass_fields__
    return Order(**{name: row[name] for name in names} | {"state": OrderState(row["state"])})
