"""All the ways in of one process: built from what the site says, run until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from router.contracts import Alert, Bus, Clock, Ledger, Observer, no_alert
from router.errors import OperatorFault
from router.exchange import Pseudonyms
from router.gateway.api_tokens import SenderTokens
from router.gateway.folder import WatchedFolder
from router.gateway.http_listener import HttpListener
from router.gateway.intake import Intake
from router.gateway.mllp_listener import MllpListener
from router.gateway.places import enough_descriptors
from router.gateway.raw_topic import RawTopic
from router.gateway.received import Feed
from router.gateway.settings import FolderConfig, HttpConfig, MllpConfig

log = logging.getLogger(__name__)

_TICK: Final = 0.5
_FOR_THE_WAYS: Final = 0.8
"""Share of the time to drain that connections may take; the rest is for what is still being written."""


class Way(Protocol):
    """One way in."""

    async def start(self) -> None: ...

    async def tick(self) -> None: ...

    async def close(self, timeout: float) -> None: ...


class Gateway:
    """The gateway role.

    feeds:       every feed with its checker
    mllp:        feed -> its listener's configuration; `folders` likewise
    http:        the HTTP port, for the feeds of `http_feeds`;  tokens: the site's API tokens
    raw:         feed -> topic for its answers, or None
    name:        stable over restarts: it fences a predecessor that is still there
    budget:      bytes of messages held at most;  drain: seconds to finish when told to stop
    alert:       hears what a person should look at
    """

    def __init__(
        self,
        *,
        bus: Bus,
        ledger: Ledger,
        clock: Clock,
        pseudonyms: Pseudonyms,
        observer: Observer,
        feeds: Sequence[Feed],
        mllp: Mapping[str, MllpConfig] | None = None,
        folders: Mapping[str, FolderConfig] | None = None,
        http: HttpConfig | None = None,
        http_feeds: Sequence[str] = (),
        tokens: SenderTokens | None = None,
        raw: Mapping[str, str | None] | None = None,
        name: str = "gateway-0",
        budget: int = 64 * 2**20,
        drain: float = 10.0,
        alert: Alert = no_alert,
    ) -> None:
        known = {feed.name: feed for feed in feeds}
        self.intake = Intake(
            bus=bus,
            ledger=ledger,
            clock=clock,
            pseudonyms=pseudonyms,
            observer=observer,
            name=name,
            budget=budget,
            alert=alert,
        )
        self._connections = sum(one.max_connections for one in (mllp or {}).values())
        self._connections += http.max_connections if http is not None else 0
        self._drain = drain
        self._outdated: set[Way] = set()
        """Ways in whose new certificate can't be read: told once."""
        self.mllp = {feed: MllpListener(one, known[feed], self.intake) for feed, one in (mllp or {}).items()}
        self.http = (
            HttpListener(http, {feed: known[feed] for feed in http_feeds}, self.intake, tokens)
            if http is not None
            else None
        )
        self._ways: list[Way] = [*self.mllp.values(), *([self.http] if self.http else [])]
        self._ways += [WatchedFolder(one, known[feed], self.intake) for feed, one in (folders or {}).items()]
        self._ways += [RawTopic(known[feed], self.intake, topic) for feed, topic in (raw or {}).items()]

    @property
    def ports(self) -> dict[str, int]:
        """The port of each feed's MLLP listener, and of `http`: of use when the configuration says 0."""
        ports = {feed: listener.port for feed, listener in self.mllp.items()}
        return {**ports, "http": self.http.port} if self.http is not None else ports

    async def start(self) -> None:
        """Listen everywhere, or nowhere. Raises `OperatorFault` in one sentence."""
        enough_descriptors(self._connections)
        self.intake.start()
        started: list[Way] = []
        try:
            for way in self._ways:
                await way.start()
                started.append(way)
        except BaseException:
            for way in started:
                await way.close(0)
            await self.intake.close(0)
            raise

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Start, serve until `stop` is set, then drain; `ready` is called once it listens.

        Raises `OperatorFault` or `Fenced` when it can't go on.
        """
        await self.start()
        ready()
        try:
            while not stop.is_set():
                await self._tick()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _TICK)
        finally:
            await self.close()

    async def close(self) -> None:
        """Answer what came whole, take nothing more, within the time to drain."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain
        await asyncio.gather(*(way.close(self._drain * _FOR_THE_WAYS) for way in self._ways))
        await self.intake.close(max(until - loop.time(), 0.0))

    async def _tick(self) -> None:
        if self.intake.fatal is not None:
            raise self.intake.fatal
        self.intake.budget.tick()
        for way in self._ways:
            try:
                await way.tick()
            except OperatorFault as error:
                # A certificate that can't be read: the one in use stays in use, and the next look tries again.
                if error.code not in ("TLS", "SECRET"):
                    raise
                if way not in self._outdated:
                    log.warning("certificate not renewed", extra={"code": error.code})
                self._outdated.add(way)
            else:
                self._outdated.discard(way)
