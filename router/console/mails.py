"""The mails of a message as they left: read back from the archive, or made again from the order on the bus.

The caller has looked whether the content is open. What is read is audited first, by the archive or here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.archive.item import Item
from router.audit.event import Action
from router.console.mail_shelf import Sent
from router.console.row_view import Leg, leg
from router.contracts import Row
from router.contracts.keeping import Kind
from router.errors import RouterError, Unavailable
from router.journal.views import EventStory
from router.language import N_
from router.sinks.registry import SINK_TYPES
from router.wire import delivery_at, read_delivery

if TYPE_CHECKING:
    from router.console.visit import Visit

SECONDS: Final = 30.0
"""A mail that takes longer to make again is not shown."""
_GONE: Final = N_("the bus holds this order no longer, and no copy of the mail is kept: see its proofs in the timeline")
_SLOW: Final = N_("this mail takes too long to be made again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One mail of a message. key: of the address: the item of the archive, else the delivery

    proof: SHA-256 of what left, as the journal or the archive says; "" when nothing was kept of it
    """

    key: str
    delivery_id: str
    leg: Leg
    item: Item | None
    proof: str

    @property
    def kept(self) -> bool:
        """Whether the bytes that left are in the archive."""
        return self.item is not None and self.item.stored


def choices(visit: Visit, story: EventStory) -> Sequence[Choice]:
    """Every mail that left, or was to leave, for this message."""
    return list(_choices(visit, story))


def _choices(visit: Visit, story: EventStory) -> Iterator[Choice]:
    archive, sinks = visit.tools.archive, visit.tools.services.config.sinks
    for one in story.deliveries:
        items = [item for item in archive.items(one.delivery_id) if item.kind is Kind.MAIL] if archive else []
        proof = _proof(story, one.delivery_id)
        for item in items:
            yield Choice(key=item.id, delivery_id=one.delivery_id, leg=leg(one), item=item, proof=item.sha256)
        known = sinks.get(one.sink)
        if not items and known is not None and SINK_TYPES[known.type].again is not None:
            yield Choice(key=one.delivery_id, delivery_id=one.delivery_id, leg=leg(one), item=None, proof=proof)


def _proof(story: EventStory, delivery_id: str) -> str:
    """The digest of the mail that the receipts hold, of the last try."""
    found = (one.evidence.get("mail_sha256", "") for one in story.timeline if one.delivery_id == delivery_id)
    return next((digest for digest in reversed(list(found)) if digest), "")


def read(visit: Visit, story: EventStory, choice: Choice) -> Sent:
    """The mail. The audit has its line before. Raises `Unavailable`: bus, ledger, archive or audit are away."""
    session, now, shelf = visit.session.id if visit.session else "", visit.tools.clock.now(), visit.tools.mails
    known = shelf.get(session, choice.key, now) if session else None
    if known is not None:
        return known
    sent = _kept(visit, story, choice.item) if choice.item is not None and choice.kept else None
    if sent is None:
        structure = story.event.structure
        visit.record(Action.VIEWED, kind="mail", of=choice.delivery_id, structure=structure, detail="made-again")
        sent = _again(visit, choice)
    if session and sent.data:
        shelf.put(session, choice.key, now, sent)
    return sent


def _kept(visit: Visit, story: EventStory, item: Item) -> Sent:
    """Back from the archive, which writes its own line of the audit."""
    archive = visit.tools.archive
    asked = visit.audited(Action.VIEWED, story.event.structure)
    try:
        return Sent(data=archive.read(item, asked) if archive is not None else b"", same=True)
    except Unavailable:
        raise
    except RouterError as fault:
        return Sent(fault=fault.text)


def _again(visit: Visit, choice: Choice) -> Sent:
    """Made from the order that the bus still holds, with today's settings."""
    row = visit.tools.desk.rows([choice.delivery_id]).get(choice.delivery_id)
    if row is None:
        return Sent(fault=_GONE)
    try:
        with visit.tools.mails.making:
            data = asyncio.run(_made(visit, row))
    except Unavailable:
        raise
    except TimeoutError:
        return Sent(fault=_SLOW)
    except RouterError as fault:
        return Sent(fault=fault.text)
    if data is None:
        return Sent(fault=_GONE)
    same = hashlib.sha256(data).hexdigest() == choice.proof if choice.proof else None
    return Sent(data=data, again=True, same=same, tried=bool(row.first_try))


async def _made(visit: Visit, row: Row) -> bytes | None:
    services = visit.tools.services
    record = delivery_at(services.bus, row)
    settings = services.config.sinks.get(row.delivery.sink)
    make = SINK_TYPES[settings.type].again if settings is not None else None
    if record is None or make is None:
        return None
    making = make(row.delivery.sink, settings, visit.tools.desk.sink_tools, read_delivery(record), row.first_try)
    return await asyncio.wait_for(making, SECONDS)
