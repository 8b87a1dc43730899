"""The traces of exchanges with the outside (mssante §11): who asked which server for what, when, and the answer.

Never content, never an identity of a patient. Written by the journal's worker from what stands on the bus: receipts,
and the entries of the mailboxes' readers. The same lines read again add nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Clock
from router.database import Database, Took, unheard
from router.exchange import JournalEntry, Receipt, Spoken
from router.locks import make_way

VERSION: Final = 1
METADATA: Final = MetaData()
_SPOKEN: Final = TypeAdapter(Spoken)
_TEXTS: Final = ("protocol", "server", "author", "action", "request", "answer")
_CONTEXT: Final = ("sink", "label", "event_id", "delivery_id")
_NEXT: Final = frozenset({("MAIL", "RCPT"), ("RCPT", "DATA")})
_LONGEST: Final = 500
_AT_ONCE: Final = 1000


def _text(name: str) -> Column[str]:
    return Column(name, String, nullable=False, default="")


LINES: Final = Table(
    "traces_lines",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("digest", String(32), nullable=False, unique=True),
    Column("at", Float(53), nullable=False, index=True),
    *(_text(name) for name in (*_TEXTS, *_CONTEXT)),
    Column("ok", Boolean, nullable=False),
    Column("facts", Text, nullable=False, default="{}"),
    Index("traces_lines_event", "event_id"),
)
SENT: Final = Table(
    "traces_sent",
    METADATA,
    Column("name", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLine:
    """One line, as it was read. `label`: the recipient as operators see him; a patient is `patient`."""

    number: int
    spoken: Spoken
    sink: str = ""
    label: str = ""
    event_id: str = ""
    delivery_id: str = ""


class TraceStore:
    """The traces on SQLite or PostgreSQL. Any thread. Raises `Unavailable` (`TRACES-…`) while the database is away."""

    def __init__(self, url: str, clock: Clock, took: Took = unheard) -> None:
        self._database = Database("traces", url, METADATA, VERSION)
        self._database.timing.took = took
        self._clock = clock
        words: Any = postgresql if self._database.dialect == "postgresql" else sqlite
        names = [column.name for column in LINES.c if column.name != "number"]
        new = words.insert(LINES).on_conflict_do_nothing(index_elements=["digest"])
        self._new = self._database.many(new, names)
        self._first_sent = words.insert(SENT).on_conflict_do_nothing(index_elements=["name"])

    def close(self) -> None:
        self._database.close()

    def keep(self, entries: Sequence[JournalEntry], receipts: Sequence[Receipt]) -> None:
        """The lines of a batch from the bus, in one transaction."""
        rows = [_row(spoken, {}) for entry in entries for spoken in entry.spoken]
        for receipt in receipts:
            context = {name: _clean(getattr(receipt, name)) for name in _CONTEXT}
            rows += [_row(_known(spoken, receipt), context) for spoken in folded(receipt.spoken)]
        if rows:
            with self._database.write() as db:
                self._new(db, rows)

    def lines(
        self, *, since: float | None = None, until: float | None = None, after: int = 0, limit: int = _AT_ONCE
    ) -> list[TraceLine]:
        """Lines of a period (Unix seconds, the end excluded), in the order in which they were kept."""
        query = select(LINES).where(LINES.c.number > after).order_by(LINES.c.number).limit(limit)
        query = query.where(LINES.c.at >= since) if since is not None else query
        query = query.where(LINES.c.at < until) if until is not None else query
        with self._database.read() as db:
            return [_line(row) for row in db.execute(query).mappings()]

    def every(self, since: float | None, until: float | None) -> Iterator[TraceLine]:
        """The same, all of them, a page at a time."""
        after = 0
        while page := self.lines(since=since, until=until, after=after):
            yield from page
            after = page[-1].number

    def purge(self, before: float, *, collected: bool = False) -> int:
        """Forget lines of before this Unix time; `collected`: not those that the collector lacks. How many went."""
        gone = 0
        while True:
            begun = time.monotonic()
            with self._database.write() as db:
                old = select(LINES.c.number).where(LINES.c.at < before).limit(_AT_ONCE)
                if collected:
                    sent = db.execute(select(SENT.c.number)).scalar() or 0
                    old = old.where(LINES.c.number <= sent)
                count = db.execute(delete(LINES).where(LINES.c.number.in_(old))).rowcount
            gone += count
            if count < _AT_ONCE:
                return gone
            make_way(begun)

    # ------------------------------------------------------------------------------------------------ collector

    def unsent(self, limit: int = 100) -> list[TraceLine]:
        """The next lines that the collector does not have."""
        with self._database.read() as db:
            sent = db.execute(select(SENT.c.number)).scalar() or 0
        return self.lines(after=sent, limit=limit)

    def sent(self, number: int) -> None:
        """The collector has what it is told of, up to this line."""
        with self._database.write() as db:
            db.execute(self._first_sent, {"name": "sent", "number": number})
            db.execute(update(SENT).where(SENT.c.number < number).values(number=number))

    def waiting(self) -> tuple[int, float | None]:
        """(lines behind the last one that the collector has been told of, Unix time of the oldest)."""
        with self._database.read() as db:
            behind = LINES.c.number > (db.execute(select(SENT.c.number)).scalar() or 0)
            count = db.execute(select(func.count()).select_from(LINES).where(behind)).scalar_one()
            oldest = db.execute(select(LINES.c.at).where(behind).order_by(LINES.c.number).limit(1)).scalar()
        return count, oldest


def folded(spoken: Sequence[Spoken]) -> list[Spoken]:
    """MAIL, RCPT and DATA of one mail as one line, so that a mail takes a third of the room; nothing is left out.

    Answers stand in the order of the commands, between slashes; the last one says whether it was done.
    """
    found: list[Spoken] = []
    for one in spoken:
        last = found[-1] if found else None
        if last is None or one.protocol != "smtp" or (last.action.split()[-1], one.action) not in _NEXT:
            found.append(one)
            continue
        texts: dict[str, Any] = {
            "action": f"{last.action} {one.action}",
            "request": " ".join(filter(None, (last.request, one.request))),
            "answer": f"{last.answer} / {one.answer}",
        }
        found[-1] = replace(one, facts={**last.facts, **one.facts}, **texts)
    return found


def _known(spoken: Spoken, receipt: Receipt) -> Spoken:
    """With the Message-ID of the mail that left, by which the operator knows it."""
    message_id = receipt.evidence.get("message_id", "")
    if not message_id or spoken.protocol != "smtp":
        return spoken
    return replace(spoken, facts={**spoken.facts, "message_id": message_id})


def _row(spoken: Spoken, context: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: _clean(getattr(spoken, name)) for name in _TEXTS}
    row |= {name: context.get(name, "") for name in _CONTEXT}
    digest = hashlib.blake2b(_SPOKEN.dump_json(spoken), digest_size=16)
    digest.update(row["delivery_id"].encode())
    facts = json.dumps(dict(spoken.facts), ensure_ascii=True)
    return row | {"digest": digest.hexdigest(), "at": spoken.at, "ok": spoken.ok, "facts": facts}


def _line(row: Mapping[Any, Any]) -> TraceLine:
    texts = {name: row[name] for name in _TEXTS}
    spoken = Spoken(at=row["at"], ok=row["ok"], facts=json.loads(row["facts"]), **texts)
    return TraceLine(number=row["number"], spoken=spoken, **{name: row[name] for name in _CONTEXT})


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:_LONGEST]
