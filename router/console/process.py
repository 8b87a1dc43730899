"""The worker of the role `console`: `python -m router.console.process SITE console SLOT`, started by the supervisor.

It needs neither bus nor ledger to start: who looks must see that they are away.
"""

from __future__ import annotations

if __name__ == "__main__":
    from router.runtime import lean

    lean.begin()

import signal
import sys
from contextlib import closing

from router.config.site import Site
from router.console.service import ConsoleService
from router.observe.metrics import Metrics, share_between_processes
from router.runtime import lean
from router.runtime.label_values import closed_lists
from router.runtime.process import main, metrics_folder
from router.runtime.readiness import Readiness, ready_file
from router.runtime.roles.event_loop import alert
from router.runtime.site_services import SiteServices


def work(site: Site, role: str, slot: int) -> int:
    """Answer browsers until SIGTERM."""
    lean.imported()
    share_between_processes(metrics_folder(site))
    services = SiteServices(site, observer=Metrics(closed_lists(site)), alert=alert)
    said = ready_file(site, role, slot)
    said.parent.mkdir(parents=True, exist_ok=True)
    readiness = Readiness(said, tuple)
    with closing(services), closing(ConsoleService(services)) as service:
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        try:
            service.run(lambda: readiness.say({"console": str(service.port)}))
        finally:
            readiness.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
