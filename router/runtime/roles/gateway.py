"""The gateway's role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.gateway.checks import RelayCheck
from router.gateway.gateway import Gateway
from router.gateway.received import Checker, Feed
from router.register.patient import ins_pseudonym
from router.request import Identifier
from router.runtime.certificates import Expiries
from router.runtime.checks import AdtCheck, DocumentsCheck
from router.runtime.house import House
from router.runtime.roles import Ready
from router.runtime.roles.looping import Looping


class GatewayRole(Looping):
    """Listeners, HTTP, folders and raw topics around one intake."""

    def __init__(self, house: House, slot: int) -> None:
        super().__init__()
        self._house = house
        self._slot = slot

    async def _work(self, stop: asyncio.Event, ready: Ready) -> None:
        house, config = self._house, self._house.config
        gateway = Gateway(
            bus=house.bus,
            ledger=house.ledger(),
            clock=house.clock,
            pseudonyms=house.pseudonyms,
            observer=house.observer,
            feeds=[self._feed(name) for name in config.feeds],
            mllp={name: feed.mllp for name, feed in config.feeds.items() if feed.mllp},
            folders={name: feed.folder for name, feed in config.feeds.items() if feed.folder},
            http=config.http,
            http_feeds=[name for name, feed in config.feeds.items() if feed.http],
            raw={name: feed.ack_topic for name, feed in config.feeds.items() if feed.raw_topic},
            name=f"gateway-{self._slot}",
            budget=config.limits.stage_bytes,
            drain=config.limits.drain_seconds,
        )
        parts = {f"feed {name}": feed for name, feed in config.feeds.items()} | {"http": config.http}
        expiries = Expiries(parts, house.observer, house.clock)
        expiries.start()
        try:
            await gateway.run(stop, lambda: ready({name: str(port) for name, port in gateway.ports.items()}))
        finally:
            expiries.stop()

    def _qualified(self) -> Callable[[Identifier], bool] | None:
        """Whether the register says VALI of an INS, where ADT feeds one: for a raw CDA that doesn't say it (D2)."""
        house = self._house
        if not any(feed.kind == "adt" for feed in house.config.feeds.values()):
            return None

        def qualified(number: Identifier) -> bool:
            found = house.register.find(ins_pseudonym(house.pseudonyms, number))
            return found is not None and found.qualified is True

        return qualified

    def _feed(self, name: str) -> Feed:
        feed = self._house.config.feeds[name]
        rules = self._house.rules(name, feed)
        pseudonyms = self._house.pseudonyms
        check: Checker
        if feed.kind == "documents":
            check = DocumentsCheck(rules, self._house.value_sets, pseudonyms, self._house.schema, self._qualified())
        else:
            check = AdtCheck(rules.autorites, pseudonyms) if feed.kind == "adt" else RelayCheck(pseudonyms)
        return Feed(
            name=name,
            check=check,
            kind=feed.kind,
            charset_fallback=rules.charset_fallback or None,
            rejoin=rules.rejoin_base64,
            refuse_reused=rules.same_control_id_other_content == "refuse",
        )
