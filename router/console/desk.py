"""The dead letters of the site for the console: listed, tried dry, ordered. Bus and ledger open when asked for."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from router.console.orders import Act
from router.contracts import Ledger, Producer, Row
from router.engine.dead_letters import listing, operator_commands, paging
from router.engine.dead_letters.listing import DeadLetter, Filter, Group
from router.engine.dead_letters.operator_commands import Answer
from router.engine.dead_letters.paging import Page
from router.runtime import asking
from router.runtime.site_services import SiteServices
from router.runtime.withdraw import Withdrawals
from router.runtime.wording import ADVICE, EVIDENCE
from router.sinks.tools import Tools

MOST: Final = 2000
"""Dead letters of one order at most: those that are older come first."""
_NO_REASON: Final = "-"


class DeadLetterDesk:
    """Any thread: one at a time works with the ledger. Raises `Unavailable` while bus or ledger is away."""

    def __init__(self, services: SiteServices) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None

    def groups(self, which: Filter) -> list[Group]:
        """By cause, the most numerous first."""
        sinks = self._services.config.sinks
        with self._opened() as ledger:
            return listing.groups(self._services.bus, ledger, which, sinks=sinks, advice=ADVICE)

    def dead_letters(self, which: Filter, limit: int = MOST) -> list[DeadLetter]:
        """Oldest first, so many at most."""
        sinks = self._services.config.sinks
        with self._opened() as ledger:
            return paging.letters(self._services.bus, ledger, which, sinks=sinks, advice=ADVICE, limit=limit)

    def page(self, which: Filter, limit: int, after: str = "") -> Page:
        """Newest first. after: `next` of the page before"""
        sinks = self._services.config.sinks
        with self._opened() as ledger:
            return paging.page(self._services.bus, ledger, which, sinks=sinks, advice=ADVICE, limit=limit, after=after)

    def owners(self, which: Filter) -> frozenset[str]:
        """The structures (FINESS) whose dead letters these are; "" stands for none."""
        with self._opened() as ledger:
            return paging.owners(self._services.bus, ledger, which, sinks=self._services.config.sinks)

    def of_deliveries(self, ids: Iterable[str], which: Filter) -> list[DeadLetter]:
        """These deliveries, dead or not: an order for one that was made is refused, with the proof."""
        found = (listing.of_row(row, ADVICE) for row in self.rows(ids).values())
        return sorted(filter(which.admits, found), key=lambda one: (one.last, one.at))

    def rows(self, ids: Iterable[str]) -> Mapping[str, Row]:
        """What the ledger knows of these deliveries, by id."""
        with self._opened() as ledger:
            return ledger.get(sorted(set(ids)))

    def lineage(self, sink: str, name: str) -> Sequence[Row]:
        """Deliveries of a sink about a document, or a family of versions, by its pseudonym."""
        with self._opened() as ledger:
            return list(ledger.lineage(sink, name))

    def named(self, found: Sequence[DeadLetter]) -> list[DeadLetter]:
        """See `asking.named`."""
        return asking.named(self._services, found)

    @contextmanager
    def withdrawals(self) -> Iterator[Withdrawals]:
        """To be used inside the block alone."""
        with self._opened() as ledger:
            yield Withdrawals(self._services, ledger)

    # ---------------------------------------------------------------------------------------------------- orders

    def tried(self, act: Act, chosen: Sequence[DeadLetter], *, again: bool) -> list[Answer]:
        """What the order would come to for each. Nothing is ordered."""
        return self._answers(act, chosen, by="", reason=_NO_REASON, again=again, order="", producer=None)

    def order(
        self, act: Act, chosen: Sequence[DeadLetter], *, by: str, reason: str, again: bool, order: str
    ) -> list[Answer]:
        """Order it, durably, and answer for each: the ledger may have changed since it was tried.

        order: its id; what is ordered again under it, after a crash, is obeyed once.
        """
        return self._answers(act, chosen, by=by, reason=reason, again=again, order=order, producer=self._producer)

    def _answers(
        self,
        act: Act,
        chosen: Sequence[DeadLetter],
        *,
        by: str,
        reason: str,
        again: bool,
        order: str,
        producer: Producer | None,
    ) -> list[Answer]:
        bus = self._services.bus
        with self._opened() as ledger:
            if act == "take-back":
                now = self._services.clock.now()
                return list(
                    operator_commands.take_back(
                        ledger, chosen, by=by, reason=reason, now=now, order=order, producer=producer, names=EVIDENCE
                    )
                )
            if act == "discard":
                return list(
                    operator_commands.discard(
                        bus, ledger, chosen, by=by, reason=reason, order=order, producer=producer, names=EVIDENCE
                    )
                )
            return list(
                operator_commands.replay(
                    bus,
                    ledger,
                    chosen,
                    by=by,
                    reason=reason,
                    order=order,
                    decide_again=again,
                    producer=producer,
                    names=EVIDENCE,
                )
            )

    @cached_property
    def sink_tools(self) -> Tools:
        """To make again what a sink has sent."""
        return self._services.tools()

    @cached_property
    def _producer(self) -> Producer:
        return self._services.bus.producer(f"console-{os.getpid()}")

    def digest(self) -> str:
        """Of the configuration that decides: the site file and the pipeline files, as they are on the disk now."""
        config, made = self._services.config, hashlib.sha256()
        for path in (self._services.site.path, *sorted(config.pipelines.glob("*.yaml"))):
            made.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return made.hexdigest()[:16]

    @contextmanager
    def _opened(self) -> Iterator[Ledger]:
        with self._lock:
            if self._ledger is None:
                self._ledger = self._services.ledger()
            yield self._ledger
