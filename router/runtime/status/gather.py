"""Looks at everything that `status` shows. What is away leaves its part out, and is told; nothing is written.

It sees what this machine can see: the bus and the databases of the site, and the processes of this data folder. Other
supervisors are asked at the addresses that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from router.bus.opening import open_bus
from router.bus.settings import KafkaConfig, SqliteBusConfig
from router.config.site import Site
from router.contracts import Bus, Ledger, Standing, out_topic
from router.engine.dead_letters import listing
from router.errors import RouterError
from router.french_time import in_france
from router.journal import lateness
from router.runtime.presence import Presence, presence
from router.runtime.roles import ROLES
from router.runtime.roles.feedback import inboxes
from router.runtime.site_services import SiteServices
from router.runtime.status import own_files
from router.runtime.status.judge import judged
from router.runtime.status.others import Others
from router.runtime.status.processes import Measured, own_report
from router.runtime.status.views import (
    Circuit,
    DeadLettersView,
    FeedView,
    MailboxView,
    ProcessReport,
    SinkView,
    Status,
    Unseen,
    counted,
)
from router.runtime.wording import ADVICE
from router.software import our_version

T = TypeVar("T")
HOUR: Final = 3600.0
DAY: Final = 86_400.0
_LATE: Final = 300.0
"""Seconds after which hours that have ended are counted again: the journal may have been late."""
_PEOPLE: Final = ("human", "quarantine")
"""Values of `kind` in `mail_read_total` of mails that only a person can deal with."""


class Gatherer:
    """Opens bus and databases once; `gather` looks as often as wanted. One thread."""

    def __init__(self, site: Site, at: Sequence[tuple[str, int]] = (), *, by_hour: bool = False) -> None:
        """at: addresses and ports of other supervisors' administration ports;  by_hour: count `FeedView.hours` too"""
        self.site = site
        self._others = Others(at)
        self._by_hour = by_hour
        self._counted: dict[str, tuple[float, float, list[int]]] = {}
        """Feed -> (begin of the first hour, when all were counted, their numbers)."""
        self._services = SiteServices(site)
        self._bus: Bus | None = None
        self._ledger: Ledger | None = None
        self._unseen: list[Unseen] = []

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()
        self._services.close()

    def gather(self) -> Status:
        """Everything, as it is now. Raises nothing of the bus or the databases: what is away is in `unseen`."""
        self._unseen = []
        config, now = self.site.config, self._services.clock.now()
        bus = self._part("bus", self._opened_bus)
        here = presence(self.site, bus)
        reports = self._processes(here, now)
        if not here.running and any(one.at and one.workers for one in reports):
            here = replace(here, state="elsewhere")
        measured = Measured(reports)
        standing = self._part("ledger", lambda: self._opened_ledger().standing())
        status = Status(
            at=now,
            environment=config.environment,
            version=our_version(),
            bus=config.bus.type,
            presence=here,
            processes=reports,
            feeds=self._part("journal", lambda: self._feeds(measured, now)),
            sinks=tuple(self._sink(name, standing, measured) for name in config.sinks),
            mailboxes=self._mailboxes(measured, now),
            certificates=own_files.certificates_seen(
                own_files.certificates(self.site), reports, all_answered=not any(one.process for one in self._unseen)
            ),
            directory=own_files.directory_seen(
                self._part("directory", lambda: own_files.directory(self.site, self._services.clock)), reports
            ),
            journal_behind=self._part("journal", lambda: self._behind(now)),
            undecided=self._part("bus", lambda: self._lag("pipelines")),
            dead_letters=self._part("dead letters", lambda: self._dead_letters(now)),
            work_entries=self._part("register", self._work_entries),
            disk=self._part("disk", lambda: own_files.disk(self.site.data)),
            pipelines_refused=measured.most("pipelines_refused"),
            site_changed=measured.most("site_file_changed") > 0,
        )
        return judged(status, tuple(self._unseen), [role for role in ROLES if config.processes[role]])

    def _part(self, what: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except _Nothing:
            return None
        except RouterError as fault:
            self._not_seen(Unseen(what, fault.code, fault.text))
        except OSError as error:
            self._not_seen(Unseen(what, type(error).__name__, error.strerror or ""))
        return None

    def _not_seen(self, one: Unseen) -> None:
        if all(other.what != one.what for other in self._unseen):
            self._unseen.append(one)

    # ---------------------------------------------------------------------------------------- what is open

    def _opened_bus(self) -> Bus:
        """Without making topics, as a router does: who looks changes nothing."""
        if self._bus is None:
            config = self._services.bus_config() if self._has_run() else self.site.config.bus
            if isinstance(config, SqliteBusConfig):
                self._there(config.path)
            self._bus = open_bus(config)
        return self._bus

    def _opened_ledger(self) -> Ledger:
        if self._ledger is None:
            self._file("ledger")
            self._ledger = self._services.ledger()
        return self._ledger

    def _has_run(self) -> bool:
        return self.site.data.is_dir()

    def _file(self, name: str) -> None:
        """A database of a file each is there only once a router has run."""
        database = self.site.config.database
        if database.url is None and database.url_secret is None:
            self._there(self.site.data / f"{name}.db")

    @staticmethod
    def _there(path: Path) -> None:
        if not path.exists():
            raise _Nothing

    # ------------------------------------------------------------------------------------------- the parts

    def _processes(self, here: Presence, now: float) -> tuple[ProcessReport, ...]:
        """Of a router that has stopped, what its processes were is told, and nothing that they measured."""
        found, unseen = self._others.ask(now)
        for one in unseen:
            self._not_seen(one)
        own = self._part("processes", lambda: own_report(self.site)) if here.state == "here" else None
        return (own, *found) if own is not None else tuple(found)

    def _feeds(self, measured: Measured, now: float) -> tuple[FeedView, ...]:
        self._file("journal")
        found = []
        for name, feed in self.site.config.feeds.items():
            hour = self._services.journal.activity(name, now - HOUR)
            day = self._services.journal.activity(name, now - DAY)
            connections = measured.total("connections", feed=name)
            left = measured.total("files_left", feed=name) or 0
            found.append(
                FeedView(
                    name,
                    feed.kind,
                    hour.last,
                    hour.received,
                    day.received,
                    hour.refused,
                    connections,
                    left,
                    self._hours(name, now) if self._by_hour else (),
                )
            )
        return tuple(found)

    def _hours(self, feed: str, now: float) -> tuple[int, ...]:
        """Of the last 24 hours of the clock; those that have ended are counted once."""
        begin = now // HOUR * HOUR - 23 * HOUR
        known = self._counted.get(feed)
        if known is None or known[0] != begin or now - known[1] > _LATE:
            self._counted[feed] = known = (begin, now, self._services.journal.hours(feed, begin, 24))
        else:
            known[2][-1:] = self._services.journal.hours(feed, begin + 23 * HOUR, 1)
        return tuple(known[2])

    def _sink(self, name: str, standing: Sequence[Standing] | None, measured: Measured) -> SinkView:
        unread = self._part("bus", lambda: self._unread(name)) or 0
        rows = [one for one in standing or () if one.sink == name]
        circuits = [reading.value for reading in measured.of("circuit_open", sink=name)]
        circuit: Circuit = ("open" if max(circuits) else "closed") if circuits else "unknown"
        return SinkView(
            name=name,
            type=self.site.config.sinks[name].type,
            circuit=circuit,
            in_flight=measured.total("in_flight", sink=name),
            waiting=None if standing is None else sum(row.count for row in rows) + unread,
            unread=unread,
            **counted(rows),
        )

    def _lag(self, group: str) -> int:
        """Records that a group has not read."""
        return sum(max(0, behind - self._spare()) for behind in self._opened_bus().lag(group).values())

    def _spare(self) -> int:
        """On Kafka the end of a transaction counts as a record: a partition may say 1 for 0."""
        return 1 if isinstance(self.site.config.bus, KafkaConfig) else 0

    def _unread(self, sink: str) -> int:
        """Records on a sink's topic that have no row yet. A row comes before the offset moves: the lesser counts."""
        topic, bus = out_topic(sink), self._opened_bus()
        behind, seen = bus.lag(topic), self._opened_ledger().seen(topic)
        left = 0
        for place, end in bus.ends(topic).items():
            without_row = end - seen.get(place.number, 0)
            left += max(0, min(without_row, behind.get(place, without_row)) - self._spare())
        return left

    def _mailboxes(self, measured: Measured, now: float) -> tuple[MailboxView, ...]:
        found = []
        for number, inbox in enumerate(inboxes(self.site.config)):
            sink = inbox.sinks[0]
            mine = [r for r in measured.of("mailbox_ok", sink=sink) if r.labels.get("mailbox") in (str(number), None)]
            ages = measured.of("oldest_unread_mail_timestamp_seconds", sink=sink)
            waits = min((reading.value for reading in ages if reading.value), default=None)
            people = sum(measured.total("mail_read_total", sink=sink, kind=kind) or 0 for kind in _PEOPLE)
            late = waits is not None and now - waits > 2 * inbox.imap.poll_seconds
            readable = bool(min(reading.value for reading in mine)) if mine else None
            found.append(MailboxView(sink, readable, waits if late else None, people))
        return tuple(found)

    def _behind(self, now: float) -> float | None:
        bus = self._opened_bus()
        self._file("journal")
        return lateness.behind(bus, self._services.journal, now)

    def _dead_letters(self, now: float) -> DeadLettersView:
        bus, ledger = self._opened_bus(), self._opened_ledger()
        sinks, since = self.site.config.sinks, yesterday(now)
        found = listing.groups(bus, ledger, sinks=sinks, advice=ADVICE)
        recent = listing.groups(bus, ledger, listing.Filter(since=since), sinks=sinks, advice=ADVICE)
        return DeadLettersView(sum(group.count for group in found), len(found), since, tuple(recent))

    def _work_entries(self) -> int:
        self._file("register")
        return self._services.register.open_work()


class _Nothing(Exception):
    """There is nothing to look at yet: no router has run here."""


def yesterday(now: float) -> float:
    """Midnight at which yesterday began, in France."""
    today = in_france(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=1)).timestamp()
