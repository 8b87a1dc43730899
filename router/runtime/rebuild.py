"""The register made anew from what the ADT feeds once said (decisions D8): it holds nothing of its own but its work.

Departures and the work-list stay; everything else is forgotten and told again by `in.<feed>`, in the bus's order.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.config.site_models import FeedConfig
from router.contracts import Header, Record, in_topic
from router.errors import MessageFault, OperatorFault
from router.hl7.message import Message
from router.register import adt
from router.register.store import Register
from router.runtime.site_services import SiteServices
from router.wire import read_event


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """events: applied;  unreadable: events of today's topics that no longer read (none, unless an option changed)."""

    feeds: tuple[str, ...]
    events: int = 0
    unreadable: int = 0


def rebuild(services: SiteServices, *, partly: bool = False) -> Rebuilt:
    """Forget and apply again. To be done while no pipeline runs: a patient is unknown until his events are back.

    Raises `OperatorFault` when a topic no longer holds all that it was told, unless `partly`: the oppositions and the
    withdrawn INS of before would be forgotten for good.
    """
    feeds = {name: feed for name, feed in services.config.feeds.items() if feed.kind == "adt"}
    if not partly and (short := [name for name in feeds if _expired(services, in_topic(name))]):
        text = "its oldest events have expired: what they said of patients stands in the register alone"
        raise OperatorFault("REGISTER-EXPIRED", ", ".join(map(in_topic, short)), text)
    register = services.register
    register.clear()
    events = unreadable = 0
    for name, feed in feeds.items():
        for record in services.bus.scan(in_topic(name)):
            try:
                events += apply(register, feed, record)
            except MessageFault:
                unreadable += 1
    return Rebuilt(tuple(feeds), events, unreadable)


def apply(register: Register, feed: FeedConfig, record: Record) -> bool:
    """What a record of an ADT feed says, into the register; False when that was known. Raises `MessageFault`."""
    event = read_event(record)
    message = Message.parse(event.body, charset_fallback=feed.rules.charset_fallback or None)
    change = adt.read(message, feed.rules.autorites)
    again = Header.ORIGIN in record.headers
    return register.apply(event.id, change, origin=event.origin, at=record.timestamp, again=again).new


def _expired(services: SiteServices, topic: str) -> bool:
    """Whether records of the topic are gone."""
    unseen = {partition.number for partition, end in services.bus.ends(topic).items() if end}
    for record in services.bus.scan(topic):
        if not unseen:
            break
        if record.partition in unseen and record.offset:
            return True
        unseen.discard(record.partition)
    return bool(unseen)
