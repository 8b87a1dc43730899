"""The journal's role."""

from __future__ import annotations

from router.audit.collecting import Collecting
from router.journal.worker import JournalWorker
from router.observe.traces import Traces
from router.runtime.maintenance import Maintenance
from router.runtime.roles import Ready
from router.runtime.roles.event_loop import alert
from router.runtime.site_services import SiteServices


class JournalRole:
    """The journal and receipts topics into SQL; beside it, the upkeep of bus, ledger and journal."""

    def __init__(self, services: SiteServices, slot: int) -> None:
        self._services = services
        config = services.config
        self._traces: Traces | None = None
        if (wanted := config.traces) is not None:
            self._traces = Traces(wanted.endpoint, config.environment, ca=wanted.ca, ratio=wanted.ratio)
        self._worker = JournalWorker(
            services.bus,
            services.journal,
            member=f"journal-{slot}",
            clock=services.clock,
            observer=services.observer,
            keep=services.traces.keep,
            told=self._traces.told if self._traces is not None else None,
            proofs=services.archive.write_receipts if services.archive is not None else None,
        )
        self._maintenance = Maintenance(services)
        self._collecting: Collecting | None = None
        if (collector := config.audit.collector) is not None:
            self._collecting = Collecting(
                collector,
                config.environment,
                lambda: services.audit,
                lambda: services.traces,
                clock=services.clock,
                alert=alert,
            )

    def run(self, ready: Ready) -> None:
        self._maintenance.start()
        if self._collecting is not None:
            self._collecting.start()
        ready({})
        try:
            self._worker.run()
        finally:
            self._maintenance.stop()
            if self._collecting is not None:
                self._collecting.stop()
            if self._traces is not None:
                self._traces.close()

    def stop(self) -> None:
        self._worker.stop()
