"""The gateway's role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.gateway.checks import RelayCheck
from router.gateway.gateway import Gateway
from router.gateway.received import Checker, Feed
from router.register.patient import ins_pseudonym
from router.request import Identifier
from router.runtime.certificates import Expiries, listeners
from router.runtime.checks import AdtCheck, DocumentsCheck
from router.runtime.roles import Ready
from router.runtime.roles.event_loop import EventLoopRole
from router.runtime.site_services import SiteServices


class GatewayRole(EventLoopRole):
    """Listeners, HTTP, folders and raw topics around one intake."""

    def __init__(self, services: SiteServices, slot: int) -> None:
        super().__init__()
        self._services = services
        self._slot = slot

    async def _work(self, stop: asyncio.Event, ready: Ready) -> None:
        services, config = self._services, self._services.config
        gateway = Gateway(
            bus=services.bus,
            ledger=services.ledger(),
            clock=services.clock,
            pseudonyms=services.pseudonyms,
            observer=services.observer,
            feeds=[self._feed(name) for name in config.feeds],
            mllp={name: feed.mllp for name, feed in config.feeds.items() if feed.mllp},
            folders={name: feed.folder for name, feed in config.feeds.items() if feed.folder},
            http=config.http,
            tokens=services.access.tokens if config.http is not None and config.http.api_tokens else None,
            http_feeds=[name for name, feed in config.feeds.items() if feed.http],
            raw={name: feed.ack_topic for name, feed in config.feeds.items() if feed.raw_topic},
            name=f"gateway-{self._slot}",
            budget=config.limits.stage_bytes,
            drain=config.limits.drain_seconds,
            alert=services.alert,
        )
        expiries = Expiries(listeners(config), services.observer)
        expiries.start()
        try:
            await gateway.run(stop, lambda: ready({name: str(port) for name, port in gateway.ports.items()}))
        finally:
            expiries.stop()

    def _qualified(self) -> Callable[[Identifier], bool] | None:
        """Whether the register says VALI of an INS, where ADT feeds one: for a raw CDA that doesn't say it (D2)."""
        services = self._services
        if not any(feed.kind == "adt" for feed in services.config.feeds.values()):
            return None

        def qualified(number: Identifier) -> bool:
            found = services.register.find(ins_pseudonym(services.pseudonyms, number))
            return found is not None and found.qualified is True

        return qualified

    def _feed(self, name: str) -> Feed:
        feed = self._services.config.feeds[name]
        rules = self._services.rules(name, feed)
        pseudonyms = self._services.pseudonyms
        check: Checker
        if feed.kind == "documents":
            check = DocumentsCheck(
                rules, self._services.value_sets, pseudonyms, self._services.schema, self._qualified()
            )
        else:
            check = AdtCheck(rules.autorites, pseudonyms) if feed.kind == "adt" else RelayCheck(pseudonyms)
        return Feed(
            name=name,
            check=check,
            kind=feed.kind,
            charset_fallback=rules.charset_fallback or None,
            rejoin=rules.rejoin_base64,
            refuse_reused=rules.same_control_id_other_content == "refuse",
            clients={client: frozenset(structures) for client, structures in feed.clients.items()},
            token=feed.token.read if feed.token is not None else None,
        )
