"""Documents that pipelines decide about, counted by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from router.contracts import Header, Observer
from router.exchange import Event, Exchange
from router.runtime.describe import Describe


@dataclass(frozen=True, slots=True)
class Counted:
    """`Describe`, called once for each event: it counts what the event brings. A command brings nothing new."""

    describe: Describe
    observer: Observer

    def __call__(self, event: Event, exchange: Exchange | None) -> dict[str, Any]:
        request = exchange.request if exchange is not None else None
        if request is not None and Header.COMMAND not in event.headers:
            for document in request.documents[:1]:  # an N1 and its N3 are one document
                action, kind = str(request.action), document.code.code
                self.observer.count("documents_total", feed=event.feed, type=kind, action=action)
        return self.describe(event, exchange)
