"""Messages that no pipeline takes: which of them are dead letters, and which documents no condition would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.config.site_models import FeedConfig
from router.contracts import Header
from router.exchange import Event
from router.hl7.message import Message


@dataclass(frozen=True, slots=True)
class Unmatched:
    """See `router.engine.pipeline.compiled.Unmatched`: what the feed says, else whether a document would be lost.

    An ADT feed that is default carries none: its events that no pipeline wants would only hide the others.
    """

    feeds: Mapping[str, FeedConfig]

    def __call__(self, event: Event) -> bool:
        """Raises `Malformed` for bytes that are no message; the engine then makes a dead letter of them."""
        feed = self.feeds.get(event.feed)
        if feed is None:
            return True
        if feed.unmatched is not None:
            return feed.unmatched == "dead-letter"
        return feed.kind == "documents" or (feed.kind == "relay" and _holds_a_document(event))


def _holds_a_document(event: Event) -> bool:
    """A message for documents (MDM), or with one in an OBX (type ED); a raw CDA is one itself."""
    if event.headers.get(Header.KIND) == "cda":
        return True
    message = Message.parse(event.body)
    return message.code == "MDM" or any(one.text("2").upper() == "ED" for one in message.segments("OBX"))
