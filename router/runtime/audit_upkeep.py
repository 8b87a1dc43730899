"""The upkeep of audit and traces: whether the chain is whole, what waits for the collector, what is too old."""

from __future__ import annotations

from typing import Final

import structlog

from router.audit.chain import Mark
from router.audit.event import Action, AuditEvent
from router.audit.trail import SYSTEM
from router.audit.verification import Finding
from router.audit.wording import verdict as in_words
from router.language import in_language
from router.runtime.site_services import SiteServices

log = structlog.get_logger()

DAY: Final = 86_400.0
VERIFY_SECONDS: Final = 300.0
"""Between two looks at the rows that came since the last one; all rows are walked at the start and once a day."""


class AuditUpkeep:
    """Called by `Maintenance`, in its thread. Every call raises `Unavailable` while a database is away."""

    def __init__(self, services: SiteServices) -> None:
        self._services = services
        self._whole_since: Mark | None = None
        self._walked = float("-inf")
        self._told = ""

    def gauges(self) -> None:
        """How much the collector lacks, and since when; now when it lacks nothing."""
        services = self._services
        if services.config.audit.collector is None:
            return
        waiting = [services.audit.waiting(), services.traces.waiting()]
        now = services.clock.now()
        services.observer.set("audit_unsent", sum(count for count, _ in waiting))
        oldest = min(now if at is None else at for _, at in waiting)
        services.observer.set("audit_oldest_unsent_timestamp_seconds", oldest)

    def verify(self) -> None:
        """Walk along the chain; say so in metrics, and in the log how far it reaches: that is an anchor too."""
        services, now = self._services, self._services.clock.monotonic()
        everything = now - self._walked > DAY or self._whole_since is None
        found = services.audit.verify(after=None if everything else self._whole_since)
        services.observer.set("audit_whole", 1 if found.whole else 0)
        if found.whole:
            services.audit.remember(found)  # other machines write too, and this one's anchor may be the only one
            self._whole_since, self._told = found.head, ""
            if everything:
                self._walked = now
            if found.rows:
                log.info("audit reaches", number=found.head.number, mac=found.head.mac)
            return
        self._whole_since = None
        with in_language("en"):
            text = in_words(found)
        if text != self._told and found.finding is not None:
            log.error("the audit is not as it was written", text=text, alert="audit-broken")
            first, self._told = not self._told, text
            if first:
                self._record(found.finding)

    def _record(self, found: Finding) -> None:
        """So that the collector hears of it too: a security alert."""
        self._services.audit.record(
            AuditEvent(
                at=self._services.clock.now(),
                who=SYSTEM,
                action=Action.VERIFIED,
                kind="audit",
                object=str(found.number),
                refused=True,
                detail=str(found.fault),
            )
        )

    def purge(self) -> None:
        """Remove what is too old."""
        services, kept = self._services, self._services.config.audit
        collected, now = kept.collector is not None, services.clock.now()
        services.audit.purge(now - kept.days * DAY, collected=collected)
        services.traces.purge(now - kept.traces_days * DAY, collected=collected)
