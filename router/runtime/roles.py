"""The five roles, each one process (or several) of a machine: what it opens, how it runs, how it stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from router.engine.parts import Limits
from router.engine.pipeline_worker import PipelineWorker
from router.engine.sink_worker import SinkWorker
from router.errors import ConfigFault, OperatorFault, Problem
from router.feedback.answers import Endpoint
from router.feedback.correlate import Correlator
from router.feedback.mailbox import Mailbox
from router.feedback.reports import Reports
from router.feedback.worker import FeedbackWorker
from router.gateway.checks import RelayCheck
from router.gateway.gateway import Gateway
from router.gateway.received import Checker, Feed
from router.journal.worker import JournalWorker
from router.runtime.checks import AdtCheck, DocumentsCheck
from router.runtime.describe import Describe, Unserved
from router.runtime.house import House
from router.runtime.pipelines import PipelineSet
from router.runtime.upkeep import Upkeep
from router.sinks.mssante.settings import MssanteConfig

log = structlog.get_logger()

ROLES: Final = ("gateway", "pipelines", "sinks", "feedback", "journal")
OBSERVE_SECONDS: Final = 1.0


class Role(Protocol):
    """One role of one process. `ready` is called once it works."""

    def run(self, ready: Callable[[Mapping[str, str]], None]) -> None: ...

    def stop(self) -> None:
        """Drain and return from `run`. From a signal handler."""
        ...


def alert(what: str, facts: Mapping[str, str]) -> None:
    """Something a person should look at: a line that the alert rules of the log count."""
    log.error(what, alert=what, **facts)


class _Looping:
    """A role that lives on an event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False

    def run(self, ready: Callable[[Mapping[str, str]], None]) -> None:
        import uvloop

        uvloop.run(self._run(ready))

    async def _run(self, ready: Callable[[Mapping[str, str]], None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopped:
            return
        await self._work(self._stop, ready)

    async def _work(self, stop: asyncio.Event, ready: Callable[[Mapping[str, str]], None]) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self._stopped = True
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


class GatewayRole(_Looping):
    """Listeners, HTTP, folders and raw topics around one intake."""

    def __init__(self, house: House, slot: int) -> None:
        super().__init__()
        self._house = house
        self._slot = slot

    async def _work(self, stop: asyncio.Event, ready: Callable[[Mapping[str, str]], None]) -> None:
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
        await gateway.run(stop, lambda: ready({name: str(port) for name, port in gateway.ports.items()}))

    def _feed(self, name: str) -> Feed:
        feed = self._house.config.feeds[name]
        rules = self._house.rules(name, feed)
        pseudonyms = self._house.pseudonyms
        check: Checker
        if feed.kind == "documents":
            check = DocumentsCheck(rules, self._house.value_sets, pseudonyms)
        else:
            check = AdtCheck(rules.autorites, pseudonyms) if feed.kind == "adt" else RelayCheck(pseudonyms)
        return Feed(
            name=name,
            check=check,
            kind=feed.kind,
            charset_fallback=rules.charset_fallback or None,
            rejoin=rules.rejoin_base64,
        )


class PipelinesRole:
    """Events through the pipelines of the folder, reloaded as they change."""

    def __init__(self, house: House, slot: int) -> None:
        self._house = house
        self._pipelines = PipelineSet(house, refused=_refused)
        problems = self._pipelines.load()
        if problems:
            raise ConfigFault(problems)
        self._worker = PipelineWorker(
            house.bus,
            house.ledger(),
            list(house.config.feeds),
            self._pipelines.of,
            member=f"pipelines-{slot}",
            describe=Describe(house.pseudonyms),
            unserved=Unserved(house.pseudonyms, house.clock, self._pipelines.parse),
            clock=house.clock,
            observer=house.observer,
            alert=alert,
        )

    def run(self, ready: Callable[[Mapping[str, str]], None]) -> None:
        self._house.directory.start()
        self._pipelines.watch()
        ready({})
        try:
            self._worker.run()
        finally:
            self._pipelines.close()

    def stop(self) -> None:
        self._worker.stop()


def _refused(problems: Sequence[Problem]) -> None:
    for problem in problems:
        log.error("pipeline refused, the old one goes on", alert="pipeline-refused", problem=str(problem))


class SinksRole(_Looping):
    """Every sink instance of the site, each with its worker, on one event loop."""

    def __init__(self, house: House, slot: int) -> None:
        super().__init__()
        self._house = house
        self._slot = slot

    async def _work(self, stop: asyncio.Event, ready: Callable[[Mapping[str, str]], None]) -> None:
        house, config = self._house, self._house.config
        house.directory.start()
        workers = []
        for name in config.sinks:
            policy = house.policy(name)
            worker = SinkWorker(
                house.sink(name),
                house.bus,
                house.ledger(),
                member=f"sinks-{self._slot}",
                policy=policy,
                clock=house.clock,
                observer=house.observer,
                limits=Limits(bytes=config.limits.stage_bytes, patience=config.limits.drain_seconds),
                alert=alert,
            )
            workers.append(worker)
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        ready({})
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
        finally:
            stopping.cancel()
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks, return_exceptions=True)


class FeedbackRole:
    """Receipts to business acknowledgements, and the mailboxes where DSN and MDN arrive."""

    def __init__(self, house: House, slot: int) -> None:
        self._house = house
        config = house.config
        endpoints = {
            name: Endpoint(feed.reply, feed.dmp_error_system) for name, feed in config.feeds.items() if feed.reply
        }
        mssante = {name: sink for name, sink in config.sinks.items() if isinstance(sink, MssanteConfig)}
        self._worker = FeedbackWorker(
            house.bus,
            house.ledger(),
            endpoints,
            clock=house.clock,
            observer=house.observer,
            member=f"feedback-{slot}",
            dsn_wait={name: sink.feedback.dsn_wait_days * 86_400 for name, sink in mssante.items() if sink.imap},
            alert=alert,
        )
        self._mailboxes = [box for name, sink in mssante.items() for box in self._boxes(name, sink)]

    def _boxes(self, name: str, sink: MssanteConfig) -> list[Mailbox]:
        """One for each sending mailbox of the sink."""
        house = self._house
        if sink.imap is None:
            return []
        users = {one.mailbox for one in house.config.structures.values() if one.mssante == name and one.mailbox}
        users |= {sink.mailbox} if sink.mailbox else set()
        return [
            Mailbox(
                name,
                sink.imap,
                Reports(
                    name,
                    Correlator(house.bus, house.ledger(), name),
                    sink.feedback,
                    admits=house.directory.liste_blanche.admits,
                ),
                house.bus.producer(f"mailbox-{name}-{rank}"),
                tls=sink.tls,
                user=user,
                clock=house.clock,
                observer=house.observer,
                alert=alert,
            )
            for rank, user in enumerate(sorted(users))
        ]

    def run(self, ready: Callable[[Mapping[str, str]], None]) -> None:
        self._house.directory.start()
        threads = [threading.Thread(target=box.run, name="mailbox", daemon=True) for box in self._mailboxes]
        for thread in threads:
            thread.start()
        ready({})
        try:
            self._worker.run()
        finally:
            for box in self._mailboxes:
                box.stop()
            for thread in threads:
                thread.join(timeout=5)

    def stop(self) -> None:
        self._worker.stop()


class JournalRole:
    """The journal and receipts topics into SQL; beside it, the upkeep of bus, ledger and journal."""

    def __init__(self, house: House, slot: int) -> None:
        self._house = house
        self._worker = JournalWorker(
            house.bus, house.journal, member=f"journal-{slot}", clock=house.clock, observer=house.observer
        )
        self._upkeep = Upkeep(house)

    def run(self, ready: Callable[[Mapping[str, str]], None]) -> None:
        self._upkeep.start()
        ready({})
        try:
            self._worker.run()
        finally:
            self._upkeep.stop()

    def stop(self) -> None:
        self._worker.stop()


_KINDS: Final[Mapping[str, Callable[[House, int], Role]]] = {
    "gateway": GatewayRole,
    "pipelines": PipelinesRole,
    "sinks": SinksRole,
    "feedback": FeedbackRole,
    "journal": JournalRole,
}


def open_role(name: str, house: House, slot: int) -> Role:
    """Raises `OperatorFault` in one sentence for what a person must mend."""
    if name not in _KINDS:
        raise OperatorFault("ROLE", name, f"no such role: one of {', '.join(ROLES)}")
    return _KINDS[name](house, slot)
