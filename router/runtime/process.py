"""One worker process: `python -m router.runtime.process SITE ROLE SLOT`, started by the supervisor.

It drains on SIGTERM and leaves SIGINT to its supervisor. While it works, `<data>/run/<role>-<slot>.json` says so,
with the ports it listens on.
"""

from __future__ import annotations

if __name__ == "__main__":
    from router.runtime import lean

    lean.begin()

import gc
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from router import private
from router.config.safety import refusals
from router.config.site import Site
from router.engine.retry_policy import backoff
from router.errors import ConfigFault, Fenced, RouterError, Unavailable
from router.observe import logs
from router.runtime import lean
from router.runtime.readiness import Readiness, ready_file
from router.runtime.supervisor.workers import EXIT_CONFIG

if TYPE_CHECKING:
    from router.runtime.site_services import SiteServices

EXIT_FENCED: Final = 75
"""Exit code when another process has our name or share (sysexits EX_TEMPFAIL): the supervisor tries again later."""


def metrics_folder(site: Site) -> Path:
    """Where the workers of this machine leave their measures."""
    return site.data / "run" / "metrics"


def main(argv: list[str], work: Callable[[Site, str, int], int] | None = None) -> int:
    """Run one role until SIGTERM. The exit code tells the supervisor whether starting again can help.

    work: what this process does (site, role, slot); default: a role of `router.runtime.roles`
    """
    private.mask()
    site_path, role, slot = Path(argv[0]), argv[1], int(argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.hush()
    logs.configure(role=role, slot=slot)
    log = structlog.get_logger()
    try:
        site = Site(site_path)
        logs.configure(role=role, slot=slot, level=site.config.log_level)
        if found := refusals(site):
            raise ConfigFault(found)
        return (work or _work)(site, role, slot)
    except ConfigFault as fault:
        for problem in fault.problems:
            log.error("configuration refused", problem=str(problem))
        return EXIT_CONFIG
    except Fenced as fault:
        log.error("another process has our name or our share", code=fault.code, alert="fenced")
        return EXIT_FENCED
    except Unavailable as fault:
        log.error("can't work now", code=fault.code, place=fault.place, text=fault.text)
        return 1
    except RouterError as fault:
        log.error("a person must look", code=fault.code, place=fault.place, text=fault.text, alert="operator")
        return EXIT_CONFIG
    except Exception:
        log.error("worker failed", exc_info=True, alert="worker-failed")
        return 1


def _work(site: Site, role: str, slot: int) -> int:
    from router.observe.metrics import Metrics, share_between_processes

    share_between_processes(metrics_folder(site))

    from router.runtime.label_values import closed_lists
    from router.runtime.roles import open_role
    from router.runtime.roles.event_loop import alert
    from router.runtime.site_services import SiteServices

    lean.imported()
    observer, readers = Metrics(closed_lists(site)), readers_of(site, role)
    services = SiteServices(site, observer=observer, alert=alert, readers=readers, upgrade=True)
    said = ready_file(site, role, slot)
    said.parent.mkdir(parents=True, exist_ok=True)

    def unheard() -> Sequence[str]:
        return () if role == "gateway" else services.bus.unheard()

    readiness = Readiness(said, unheard)
    try:
        _reach(services)
        _compare(services)
        work = open_role(role, services, slot)
        signal.signal(signal.SIGTERM, lambda *_: work.stop())

        def ready(ports: Mapping[str, str]) -> None:
            _collect_less()
            readiness.say(ports)

        work.run(ready)
    finally:
        readiness.end()
        services.close()
    return 0


def readers_of(site: Site, role: str) -> int:
    """How many consumers a process of this role opens that have much to hold."""
    return len(site.config.sinks) if role == "sinks" else 1


def _reach(services: SiteServices) -> None:
    """Returns when the bus answers: to wait here costs less than to be started again and again."""
    attempts = 0
    while True:
        try:
            _ = services.bus
            return
        except Unavailable as fault:
            attempts += 1
            if attempts == 1:
                structlog.get_logger().warning("waits for the bus", code=fault.code, place=fault.place, text=fault.text)
            time.sleep(backoff(attempts, 0.5, 2.0, 10.0, 0.2))


def _compare(services: SiteServices) -> None:
    """Ledger and bus may have changed places with older ones, or others, since the router was started."""
    from router.runtime.reconcile import reconcile

    try:
        with closing(services.ledger()) as ledger:
            reconcile(services, services.alert, ledger, adopt=False)
    except Unavailable as fault:  # what needs the ledger waits for it; the journal's process compares again
        structlog.get_logger().warning("ledger and bus not compared", code=fault.code, place=fault.place)


def _collect_less() -> None:
    """What was made at the start stays; messages are freed by their counts, so cycles are looked for more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
