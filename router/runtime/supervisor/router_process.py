"""`run`: the supervisor's process. It starts the workers, answers for all of them, and stops them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from router import private
from router.audit.event import Action, AuditEvent
from router.audit.trail import SYSTEM
from router.config.safety import refusals, shared_refusals
from router.config.site import Site
from router.errors import ConfigFault, OperatorFault, Unavailable
from router.language import N_, filled
from router.observe.health import AdminServer
from router.observe.metrics import Metrics, forget_runs, process_died, share_between_processes
from router.runtime.backup import unfinished
from router.runtime.label_values import begin_at_zero, closed_lists
from router.runtime.listeners import occupied
from router.runtime.process import metrics_folder
from router.runtime.readiness import ready_file, waits_for
from router.runtime.reconcile import reconcile
from router.runtime.reload import PipelineSet
from router.runtime.roles import MODULES, ROLES
from router.runtime.roles.event_loop import alert
from router.runtime.site_services import SiteServices
from router.runtime.status.processes import page
from router.runtime.supervisor.machine_measures import MachineMeasures
from router.runtime.supervisor.notify import READY, STOPPING, notify
from router.runtime.supervisor.workers import Role, Supervisor
from router.runtime.tenure import Tenure
from router.software import our_version

LOOK_SECONDS = 0.1
CLOSING_SECONDS = 3.0
"""Seconds that a worker has after the drain to close its connections. Then it is killed."""
MALLOC: Final = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "2097152", "MALLOC_TRIM_THRESHOLD_": "8388608"}
"""Of glibc. With an arena for each of its thirty threads, a worker on Kafka holds a tenth more memory that nobody uses.
Without a fixed threshold, what a large document took stays with the process: a third of its peak."""
_AWAY: Final = "the bus can't be used: is the cluster up, are `bus.servers` right? Nothing is acknowledged meanwhile"


class RouterProcess:
    """One machine's share of a site, from `run` to the end."""

    def __init__(self, site: Site, only: Sequence[str] = (), slot: int | None = None) -> None:
        """Checks what can be checked at once: site, data folder, ports. Raises in one sentence.

        slot: run one worker, of the one role of `only`, under this number: one of several machines or pods.
        """
        self.site = site
        counts = {name: site.config.processes[name] for name in ROLES}
        self.counts = {name: count for name, count in counts.items() if count and (not only or name in only)}
        if slot is not None:
            self.counts = {_only_one(only): 1}
        self._first = slot or 0
        if found := [*refusals(site), *(shared_refusals(site) if slot is not None else ())]:
            raise ConfigFault(found)
        self._prepared = False
        self._writable()
        unfinished.refuse(site.data)
        self._tenure = Tenure(site.data)
        try:
            self.supervisor = self._supervisor()
        except BaseException:
            self._tenure.end()
            raise

    def _supervisor(self) -> Supervisor:
        site = self.site
        if "gateway" in self.counts:
            _free_ports(site)
        share_between_processes(metrics_folder(site))
        forget_runs(metrics_folder(site))
        for name, count in self.counts.items():
            for slot in range(self._first, self._first + count):
                ready_file(site, name, slot).unlink(missing_ok=True)
        self.observer = Metrics(closed_lists(site))
        begin_at_zero(site, self.counts, self.observer)
        return Supervisor(
            [self._role(name, count) for name, count in self.counts.items()],
            state=site.data / "run" / "state.json",
            observer=self.observer,
            alert=alert,
            ended=process_died,
            drain=site.config.limits.drain_seconds + CLOSING_SECONDS,
            longest_wait=site.config.limits.restart_ceiling,
        )

    def _writable(self) -> None:
        folder = self.site.data / "run"
        try:
            private.make(self.site.data)
            private.make(folder)
            probe = folder / f"probe.{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise OperatorFault(
                "SITE-DATA", str(folder), filled("can't be written: {reason}", reason=error.strerror)
            ) from error
        self._closed_to_others()

    def _closed_to_others(self) -> None:
        """No other account of the machine may reach what we keep: refused in production, told elsewhere (D12)."""
        data, secret = self.site.data, self.site.config.secret
        key = secret.file if secret is not None else None
        for path, mode in ((data, "700"), (key, "600")):
            if path is None or not private.open_to_others(path):
                continue
            text = filled(
                "other accounts of this machine can reach it: chmod {mode}, or choose another place", mode=mode
            )
            if path is data and self.site.config.environment == "production":
                raise OperatorFault("SITE-OPEN", str(path), text)
            alert("data-open", {"code": "SITE-OPEN", "place": str(path), "text": text})
        if closed := private.close_inside(data):
            text = N_("files and folders in the data folder were open to other accounts: they no longer are")
            alert("data-open", {"code": "SITE-OPEN", "place": str(data), "text": text, "count": str(closed)})

    def _prepare(self) -> None:
        """Open once what every worker opens, so that a mistake is told here, in one sentence, and schemas exist."""
        services = SiteServices(self.site, upgrade=True)
        try:
            try:
                _ = services.bus
            except Unavailable as fault:  # the workers wait for it
                alert("bus-away", {"code": fault.code, "place": "bus", "text": _AWAY})
            ledger = services.ledger()
            with suppress(Unavailable):  # the workers compare once both are there
                reconcile(services, alert, ledger, adopt=True)
            _ = services.journal
            _ = services.register
            _ = services.traces
            with suppress(Unavailable):
                services.access.accounts.seal_keys()
            self._audited(services, Action.STARTED)
            problems = PipelineSet(services).load() if "pipelines" in self.counts else []
        finally:
            services.close()
        if problems:
            raise ConfigFault(problems)

    def _audited(self, services: SiteServices, action: Action) -> None:
        """The router's own start and stop; nothing waits for a database that is away."""
        try:
            services.audit.record(
                AuditEvent(
                    at=services.clock.now(),
                    who=SYSTEM,
                    action=action,
                    kind="router",
                    object=socket.gethostname(),
                    source="supervisor",
                    detail=" ".join([our_version(), *self.counts]),
                )
            )
        except Unavailable as fault:
            alert("audit-away", {"code": fault.code, "place": "audit", "text": fault.text})

    def _stopped(self) -> None:
        services = SiteServices(self.site)
        try:
            self._audited(services, Action.STOPPED)
        except OperatorFault as fault:
            alert("audit-away", {"code": fault.code, "place": "audit", "text": fault.text})
        finally:
            services.close()

    def _role(self, name: str, count: int) -> Role:
        def argv(slot: int) -> list[str]:
            module = MODULES.get(name, "router.runtime.process")
            return [sys.executable, "-m", module, str(self.site.path), name, str(slot)]

        return Role(
            name,
            argv,
            count,
            self._first,
            environment={name: os.environ.get(name, ours) for name, ours in MALLOC.items()},
        )

    # ----------------------------------------------------------------------------------------------- running

    def waiting(self) -> Mapping[str, str]:
        """What is not ready, by worker, and why."""
        if not self._prepared:
            return {"start": "opens bus, ledger and journal"}
        waiting: dict[str, str] = {}
        for worker in self.supervisor.workers:
            if worker.status != "running":
                waiting[worker.name] = worker.status
            elif why := waits_for(self.site, worker.role, worker.slot, worker.pid):
                waiting[worker.name] = why
        return waiting

    def _page(self) -> Mapping[str, object]:
        """For `/status`: how the workers are, and what they have measured."""
        return page(self.site)

    def ports(self) -> dict[str, int]:
        """The ports of the gateway, by feed (and `http`), and that of the console, once they are ready."""
        found: dict[str, int] = {}
        for role in ("gateway", "console"):
            with suppress(OSError, ValueError):
                said = json.loads(ready_file(self.site, role, self._first).read_text())
                found |= {name: int(port) for name, port in said["ports"].items()}
        return found

    async def run(self, ready: Callable[[], None] = lambda: None) -> int:
        """Until SIGTERM or SIGINT; `ready` is called once, when every worker works.

        The administration port answers first: what comes then may take a minute (a migration of the database). Raises
        `ConfigFault` or `OperatorFault` when pipelines, bus or database are not as they must be.
        """
        admin = self.site.config.admin
        server = AdminServer(self.waiting, admin.host, admin.port, self._page) if admin.port else None
        machine = MachineMeasures(self.site.data, self.site.source.source, self.observer)
        tasks = [asyncio.create_task(self._announce(ready)), asyncio.create_task(machine.watch())]
        if server is not None:
            tasks.append(asyncio.create_task(server.serve()))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.supervisor.stop)
        try:
            await asyncio.to_thread(self._prepare)
            self._prepared = True
            return await self.supervisor.run()
        finally:
            notify(STOPPING)
            if server is not None:
                server.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._prepared:
                await asyncio.to_thread(self._stopped)
            self._tenure.end()

    async def _announce(self, ready: Callable[[], None]) -> None:
        while self.waiting():  # noqa: ASYNC110  # other processes say it in files
            await asyncio.sleep(LOOK_SECONDS)
        notify(READY)
        ready()


def _only_one(only: Sequence[str]) -> str:
    if len(only) != 1:
        raise OperatorFault("SLOT", "--slot", "is the number of one worker: name its role with --only")
    return only[0]


def _free_ports(site: Site) -> None:
    """Raises `OperatorFault` for a listener's port that something else has: told now, not by a worker that falls."""
    for one in occupied(site):
        text = filled("{listener} can't listen there: {reason}", listener=one.what, reason=one.reason)
        raise OperatorFault("LISTEN", one.place, text)
