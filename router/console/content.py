"""The content of a message, read from the bus: only after a reason was given and stands in the audit."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from router.cda.document import Document
from router.cisis import profile
from router.cisis.findings import Verdict
from router.contracts import Header
from router.errors import MessageFault
from router.exchange import Event, Origin
from router.hl7.message import Message
from router.journal.views import EventStory
from router.payload import unpack_request
from router.request import TransmissionRequest
from router.runtime.site_services import SiteServices
from router.steps.parse import RAW_CDA
from router.wire import event_at, read_event

_OPENING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Content:
    """An accepted message. message: None of a raw CDA;  request, documents: as today's options read them"""

    event: Event = field(repr=False)
    message: Message | None = field(default=None, repr=False)
    request: TransmissionRequest | None = field(default=None, repr=False)
    documents: tuple[Document, ...] = field(default=(), repr=False)
    findings: tuple[str, ...] = ()


def read(services: SiteServices, story: EventStory) -> Content | None:
    """The message of a story; None when the bus holds it no longer, or never did. Raises `Unavailable`."""
    event = _event(services, story)
    if event is None:
        return None
    try:
        message, verdict = _verdict(services, event)
    except MessageFault:  # it was accepted under other options, or its feed takes anything
        return Content(event, Message.tolerant(event.body))
    if verdict is None:
        return Content(event, message)
    findings = tuple(f"{one.rule}: {one.text}" for one in (*verdict.faults, *verdict.warnings))
    return Content(event, message, verdict.request, tuple(verdict.documents), findings)


def _event(services: SiteServices, story: EventStory) -> Event | None:
    try:
        place = Origin.parse(story.origin)
    except ValueError:
        return None
    with _OPENING:  # a cached property of several threads
        bus = services.bus
    record = event_at(bus, place, story.event.event_id)
    return read_event(record) if record is not None else None


def _verdict(services: SiteServices, event: Event) -> tuple[Message | None, Verdict | None]:
    """Raises `MessageFault` for a message that today's options can't read."""
    feed = services.config.feeds.get(event.feed)
    if event.headers.get(Header.KIND) == RAW_CDA:
        headers, document = unpack_request(event.body)
        if feed is None:
            return None, None
        return None, profile.check_cda(document, headers, services.rules(event.feed, feed), services.value_sets)
    message = Message.parse(event.body)
    if feed is None or feed.kind != "documents":
        return message, None
    return message, profile.check(message, services.rules(event.feed, feed), services.value_sets)
