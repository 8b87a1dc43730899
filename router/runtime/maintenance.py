"""What must be swept now and then: expired records, old claims, old stories; and the gauges nobody else sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from router.contracts import Ledger
from router.engine.dead_letters.listing import STAGES
from router.engine.dead_letters.reading import read_topics
from router.engine.delivery.supersession_rules import HELD
from router.engine.delivery.trimming import Trimmer
from router.errors import RouterError
from router.journal.expected import expected_hour
from router.runtime.audit_upkeep import VERIFY_SECONDS, AuditUpkeep
from router.runtime.reconcile import reconcile
from router.runtime.site_services import SiteServices

log = structlog.get_logger()

SWEEP_SECONDS: Final = 600.0
GAUGE_SECONDS: Final = 5.0
HELD_SECONDS: Final = 15.0
EXPECTED_SECONDS: Final = 300.0
LETTERS_SECONDS: Final = 30.0
DAY: Final = 86_400.0
SEGMENT_DAYS: Final = 8
"""Claims outlive the retention of `in.*` by so much: Kafka removes whole segments, so a record stands for up to a week
longer, and one that is read again after its claim is gone would be delivered again."""
JUMP_SECONDS: Final = DAY / 2
"""Of a wall clock before the monotonic one since we began: nothing is held for expired then."""
CHECKPOINT_SECONDS: Final = 0.25
"""Between two copies of an SQLite log into its file: at 100 MB/s it holds 25 MB then, of 32 at most."""
LITTLE_PAGES: Final = 1000
"""After a copy of fewer pages the next comes four times later: a page that is written twice meanwhile goes once."""
Copy = Callable[[], int]
"""Copies a log; returns how many pages it has."""


class Maintenance:
    """Threads of the journal's process: one for what is swept, and one for each log of SQLite, of the bus and of the
    ledger."""

    def __init__(self, services: SiteServices) -> None:
        self._services = services
        self._began = services.clock.now() - services.clock.monotonic()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, name="upkeep", daemon=True)]
        self._threads += (
            threading.Thread(target=self._checkpoints, args=(copy,), name="checkpoints", daemon=True)
            for copy in self._logs()
        )
        self._ledger: Ledger | None = None
        self._audit = AuditUpkeep(services)
        self._trimmer = Trimmer(services.bus, services.config.sinks, services.clock)
        self._groups = ["pipelines", "feedback", "journal", *(f"out.{name}" for name in services.config.sinks)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _run(self) -> None:
        chores = {
            self._gauges: 0.0,
            self._held: HELD_SECONDS,
            self._letters: LETTERS_SECONDS,
            self._expected: EXPECTED_SECONDS,
            self._topics: SWEEP_SECONDS,
            self._compare: SWEEP_SECONDS,
            self._sweep: SWEEP_SECONDS,
            self._audit.gauges: GAUGE_SECONDS,
            self._audit.verify: VERIFY_SECONDS,
        }
        done = dict.fromkeys(chores, float("-inf"))
        while not self._stop.wait(GAUGE_SECONDS):
            for chore, pause in chores.items():
                now = self._services.clock.monotonic()
                if now - done[chore] > pause:
                    done[chore] = now
                    self._guarded(chore)

    @staticmethod
    def _guarded(work: Callable[[], None]) -> None:
        """A gauge that can't be read must not end the sweeping, nor one sweep the next."""
        try:
            work()
        except RouterError as error:
            log.warning("upkeep waits", code=error.code, place=error.place)
        except Exception:
            log.error("upkeep failed", exc_info=True, alert="upkeep")

    def _logs(self) -> Iterator[Copy]:
        services = self._services
        if (copy := getattr(services.bus, "checkpoint", None)) is not None:
            yield copy
        if services.url("ledger").startswith("sqlite"):
            yield services.ledger().checkpoint

    def _checkpoints(self, copy: Copy) -> None:
        pages, pause = 0, CHECKPOINT_SECONDS
        while not self._stop.wait(pause):
            try:
                before, pages = pages, copy()
                new = pages - before if pages >= before else pages
                pause = CHECKPOINT_SECONDS * (4 if new < LITTLE_PAGES else 1)
            except RouterError as error:
                log.warning("checkpoint waits", code=error.code)
                self._stop.wait(GAUGE_SECONDS)
            except Exception:  # without it the log of the bus would grow until the disk is full
                log.error("checkpoint failed", exc_info=True, alert="upkeep")
                self._stop.wait(GAUGE_SECONDS)

    def _gauges(self) -> None:
        for group in self._groups:
            by_topic: dict[str, int] = {}
            for partition, behind in self._services.bus.lag(group).items():
                by_topic[partition.topic] = by_topic.get(partition.topic, 0) + behind
            for topic, behind in by_topic.items():
                self._services.observer.set("lag", behind, group=group, topic=topic)

    def _held(self) -> None:
        """What a person must decide about, whoever held it: a sink worker, or a restore."""
        ledger = self._ledger = self._ledger or self._services.ledger()
        held = dict.fromkeys(self._services.config.sinks, 0)
        for one in ledger.standing():
            if one.sink in held and one.code == HELD:
                held[one.sink] += one.count
        for sink, count in held.items():
            self._services.observer.set("held_unknown", count, sink=sink)

    def _letters(self) -> None:
        """So that a list of dead letters has little left to read."""
        ledger = self._ledger = self._ledger or self._services.ledger()
        read_topics(self._services.bus, ledger, STAGES, self._services.config.sinks)

    def _expected(self) -> None:
        """How much each feed usually receives at this hour."""
        services = self._services
        usual = expected_hour(services.journal.received, services.config.feeds, services.clock.now())
        for feed, count in usual.items():
            services.observer.set("feed_expected_hour", count, feed=feed)

    def _topics(self) -> None:
        """Somebody may have changed a topic on the cluster: retention, size of records, partitions."""
        services = self._services
        services.observer.set("topics_differing", len(services.bus.check(services.plans())))

    def _compare(self) -> None:
        """A database may have been restored under a router that runs."""
        ledger = self._ledger = self._ledger or self._services.ledger()
        reconcile(self._services, self._services.alert, ledger, adopt=False)

    def _sweep(self) -> None:
        services = self._services
        if services.clock.now() - services.clock.monotonic() > self._began + JUMP_SECONDS:
            text = "the clock has jumped ahead: nothing is removed; if it is right now, restart the router"
            log.error(text, alert="clock")
            return
        maintain = getattr(services.bus, "maintain", None)
        if maintain is not None:  # Kafka sweeps by itself
            maintain()
        ledger = self._ledger = self._ledger or services.ledger()
        forgotten = ledger.forget(services.clock.now() - (services.config.limits.claims_days + SEGMENT_DAYS) * DAY)
        shortened = self._trimmer.trim(ledger, services.clock.monotonic())
        if (days := services.config.limits.journal_days) is not None:
            services.journal.prune(services.clock.now() - days * DAY)
            services.register.prune_stays(services.clock.now() - days * DAY)
        self._audit.purge()
        if services.archive is not None:
            services.archive.purge()
        if shortened:
            log.info("held bytes and resolved dead letters trimmed", count=shortened)
        if forgotten:
            log.info("claims and finished deliveries forgotten", count=forgotten)
