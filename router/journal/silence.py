"""Mails about which a person has to ask the recipient: nothing was heard of them, or he keeps an older version.

All of them are asked for at once, by their codes: the head of each page of the console counts them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, literal_column, or_, select

from router.journal.criteria import Cursor
from router.journal.numbers import of_text
from router.journal.rows import RECEIPT
from router.journal.search import joined
from router.journal.sources import few_rows, in_days, these, within_days
from router.journal.tables import DELIVERIES, EVENTS, RECEIPTS, TERMS, day_of
from router.journal.terms import term
from router.journal.timeline import of_receipt, when
from router.journal.views import Moment

_REPORTS: Final = ('%"kind":"dsn"%', '%"kind":"mdn"%')
"""Lines of the receipts that may be a report: which of them are, the line itself says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which mails are meant. Times are Unix seconds.

    since: when the message was received;  within: FINESS of the structures whose messages count, None for all
    limit: so many messages at most, the newest
    """

    since: float
    within: Collection[str] | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """A mail to ask about. at: since when, Unix seconds;  structure: FINESS, "" for none"""

    delivery_id: str
    event_id: str
    control_id: str
    structure: str
    sink: str
    label: str
    at: float


def ended_with(connection: Connection, code: str, asked: Asked, now: float) -> Iterator[Unheard]:
    """Deliveries whose outcome has this code."""
    few_rows(connection)
    of, days = DELIVERIES.c, (day_of(asked.since), day_of(now) + 1)
    mine = of.code == code, of.code != literal_column("''"), of.received >= asked.since
    query = _with_event(select(of.delivery_id, of.sink, of.label, of.at), DELIVERIES, asked)
    query = query.where(in_days(connection, of.day, *days), *mine).order_by(of.received.desc(), of.event.desc())
    for row in connection.execute(query.limit(asked.limit)).mappings():
        yield Unheard(**row)


def silent(connection: Connection, code: str, neutral: Collection[str], asked: Asked, now: float) -> Iterator[Unheard]:
    """Mails of which a report with this code was the last word; reports with one of the neutral codes are no word."""
    few_rows(connection)
    of, days = TERMS.c, (day_of(asked.since), day_of(now) + 1)
    mine = of.term == of_text(term("code", code)), of.at >= asked.since
    query = _with_event(select(of.event, of.at.label("received")), TERMS, asked)
    query = query.where(in_days(connection, of.day, *days), *mine).order_by(of.at.desc(), of.event.desc())
    events = {row["event"]: row for row in connection.execute(query.limit(asked.limit)).mappings()}
    if not events:
        return
    page = [Cursor(row["received"], number) for number, row in events.items()]
    late = {
        number: found
        for number, moments in _reports(connection, page).items()
        if (found := _last_words(moments, code, neutral))
    }
    for leg in _legs(connection, [place for place in page if place.event in late]):
        if (at := late[leg["event"]].get(leg["delivery_id"])) is not None:
            of_event = events[leg["event"]]
            told = {name: of_event[name] for name in ("event_id", "control_id", "structure")}
            yield Unheard(delivery_id=leg["delivery_id"], sink=leg["sink"], label=leg["label"], at=at, **told)


def _with_event(query: Select[Any], table: Any, asked: Asked) -> Select[Any]:
    """The same with the names of its event, of the structures that are asked for."""
    event = EVENTS.c
    query = query.add_columns(event.event_id, event.control_id, event.structure)
    query = query.select_from(table.join(EVENTS, event.event == table.c.event))
    return query if asked.within is None else query.where(event.structure.in_(sorted(asked.within)))


def _reports(connection: Connection, page: Sequence[Cursor]) -> Mapping[int, Sequence[Moment]]:
    """Event -> its reports in order of time."""
    of, at = RECEIPTS.c, these(connection, page)
    mine = of.day == at.c.day, of.event == at.c.event, within_days(of.day, page)
    reports = or_(*(of.body.like(words) for words in _REPORTS))
    query = joined(connection, at, select(of.event, of.body).where(*mine, reports))
    found: dict[int, list[Moment]] = {}
    for event, body in connection.execute(query):
        found.setdefault(event, []).append(of_receipt(RECEIPT.validate_json(body)))
    return {event: sorted(moments, key=when) for event, moments in found.items()}


def _last_words(moments: Sequence[Moment], code: str, neutral: Collection[str]) -> dict[str, float]:
    """Delivery -> since when it is silent."""
    late: dict[str, float] = {}
    for moment in moments:
        if moment.kind == "dsn" and moment.code == code:
            late.setdefault(moment.delivery_id, moment.at)
        elif moment.kind == "mdn" or (moment.kind == "dsn" and moment.code not in neutral):
            late.pop(moment.delivery_id, None)
    return late


def _legs(connection: Connection, page: Sequence[Cursor]) -> Sequence[Mapping[Any, Any]]:
    """The deliveries of these events."""
    if not page:
        return ()
    of, at = DELIVERIES.c, these(connection, page)
    mine = of.day == at.c.day, of.event == at.c.event, within_days(of.day, page)
    query = joined(connection, at, select(of.event, of.delivery_id, of.sink, of.label).where(*mine))
    return connection.execute(query).mappings().all()
