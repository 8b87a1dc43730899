"""What a changed pipeline would have made of the last accepted events, beside what the present one makes of them.

Both versions look at today's register and directory, so that every difference is the file's. Nothing is stored or sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from router.config.pipeline import PipelineFile
from router.contracts import Header, in_topic
from router.engine.pipeline.compiled import UNWANTED
from router.errors import MessageFault
from router.exchange import Delivery, Event, Exchange, Filtered, Routed
from router.language import _
from router.runtime.examples import Player
from router.runtime.pipelines import Compiled
from router.runtime.site_services import SiteServices
from router.wire import read_event


@dataclass(frozen=True, slots=True)
class Difference:
    """One event that would end otherwise. Lines name sinks, rules and professionals' mailboxes, never a patient."""

    event_id: str
    control_id: str
    at: float
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Deliveries that stay, with another content or other options."""


@dataclass(frozen=True, slots=True)
class _End:
    """What one version makes of one event."""

    deliveries: dict[str, Delivery]
    other: frozenset[str] = frozenset()
    """Refusals, a fault, a filter: sentences."""


class PipelineDiff:
    """`present`: the file of the same name in the site's folder; None for a new pipeline."""

    def __init__(self, services: SiteServices, candidate: PipelineFile, present: PipelineFile | None) -> None:
        self._services = services
        self._player = Player(services)
        self._candidate = candidate
        self._present = present
        self.seen = 0

    def differences(self, last: int) -> Iterator[Difference]:
        """Over the last so many events of each feed that either version reads, newest first; `seen` counts them."""
        feeds = dict.fromkeys((*(self._present.config.feeds if self._present else ()), *self._candidate.config.feeds))
        for feed in feeds:
            old, new = self._compiled(self._present, feed), self._compiled(self._candidate, feed)
            for record in islice(self._services.bus.scan(in_topic(feed), newest_first=True, limit=last), last):
                self.seen += 1
                event = read_event(record)
                if found := _difference(event, _end(old, event), _end(new, event)):
                    yield found

    def _compiled(self, file: PipelineFile | None, feed: str) -> Compiled | None:
        reads = file is not None and feed in file.config.feeds and feed in self._services.config.feeds
        return self._player.compiled(file, feed) if reads and file is not None else None


def _end(pipeline: Compiled | None, event: Event) -> _End:
    if pipeline is None:
        return _End({})
    try:
        result = pipeline.process(Exchange(event))
    except MessageFault as fault:
        return _End({}, frozenset({_("dead letter {code} {place}", code=fault.code, place=fault.place).strip()}))
    if isinstance(result, Filtered):
        return _End(
            {}, frozenset() if result.code == UNWANTED else frozenset({_("filtered: {reason}", reason=result.reason)})
        )
    return _End({delivery.id: delivery for delivery in result.deliveries}, _refusals(result))


def _refusals(routed: Routed) -> frozenset[str]:
    return frozenset(
        _("{sink}: {label} not served, {code}", sink=one.sink, label=one.label, code=one.code)
        for one in routed.receipts
    )


def _difference(event: Event, old: _End, new: _End) -> Difference | None:
    gone = [_line(one) for name, one in old.deliveries.items() if name not in new.deliveries]
    added = [_line(one) for name, one in new.deliveries.items() if name not in old.deliveries]
    both = old.deliveries.keys() & new.deliveries.keys()
    changed = [_line(new.deliveries[name]) for name in both if _content(old, name) != _content(new, name)]
    gone += sorted(old.other - new.other)
    added += sorted(new.other - old.other)
    if not (gone or added or changed):
        return None
    headers = event.headers
    at = float(headers.get(Header.RECEIVED, "0"))
    return Difference(event.id, headers.get(Header.CONTROL, ""), at, tuple(gone), tuple(added), tuple(sorted(changed)))


def _content(end: _End, name: str) -> tuple[bytes, bool]:
    delivery = end.deliveries[name]
    return delivery.payload, delivery.strict


def _line(delivery: Delivery) -> str:
    return f"{delivery.sink} → {delivery.label}"
