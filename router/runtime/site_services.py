"""What the workers of one process share, opened once and on first use from the site file."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Final

from router import private
from router.access.sessions import IDLE, LONGEST
from router.access.store import AccessStore
from router.archive.keeper import ArchiveKeeper
from router.archive.store import Archive
from router.audit.anchor import kept_elsewhere
from router.audit.event import AuditEvent
from router.audit.traces import TraceStore
from router.audit.trail import AuditTrail
from router.bus.observed import observed
from router.bus.opening import open_bus
from router.bus.plans import site_plans
from router.bus.sealed import Seals, sealed
from router.bus.settings import BusConfig, SqliteBusConfig
from router.cda.schema import SchemaGate
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.config.site import Site
from router.config.site_models import FeedConfig
from router.contracts import (
    Alert,
    Bus,
    Clock,
    Observer,
    Sink,
    SystemClock,
    TopicPlan,
    Turns,
    Unobserved,
    no_alert,
)
from router.contracts.keeping import Keeper, KeepsNothing
from router.database import Took
from router.directory.directory import Directory
from router.engine.retry_policy import RetryPolicy
from router.errors import OperatorFault, RouterError
from router.exchange import Pseudonyms
from router.journal.store import Journal
from router.ledger.store import SqlLedger
from router.ledger.turns import SqlTurns
from router.register.store import Register
from router.runtime.configured_mailboxes import configured_mailboxes
from router.runtime.register_checked_sink import RegisterCheckedSink
from router.runtime.site_masters import SiteMasters
from router.sealing.keyring import Keyring
from router.sealing.sealer import Sealer
from router.sinks.registry import SINK_TYPES
from router.sinks.tools import Tools

_AWAY: Final = "the database can't be used: is it up, and does `database.url` name it? What needs it waits"

_AHEAD: Final = 2
"""Documents checked against the register for each connection of a sink: the next one is ready when one is free."""


class SiteServices:
    """One process's share of a site. Everything opened is closed by `close`."""

    def __init__(
        self,
        site: Site,
        *,
        observer: Observer | None = None,
        clock: Clock | None = None,
        alert: Alert = no_alert,
        readers: int = 1,
        upgrade: bool = False,
    ) -> None:
        """readers: consumers that this process opens; they share the bytes that are fetched at once.

        upgrade: databases of an older version are migrated when they are opened: for `run`, `ledger migrate` and
                 `restore` alone. Every other command refuses them, for processes of that version may still run
        """
        self.site = site
        self._readers = readers
        self._upgrade = upgrade
        self.config = site.config
        self.observer: Observer = observer or Unobserved()
        self.clock: Clock = clock or SystemClock()
        self.alert = alert
        self._closing = ExitStack()

    def close(self) -> None:
        self._closing.close()

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        return Pseudonyms(self.site.secret())

    @cached_property
    def bus(self) -> Bus:
        """Every topic of the site exists once this returns. Raises `Unavailable`, `OperatorFault`."""
        seals = self._seals()
        bus = open_bus(self.bus_config())
        try:
            bus.create(self.plans())
        except RouterError:
            bus.close()
            raise
        self._closing.callback(bus.close)
        return observed(sealed(bus, seals), self.observer)

    def _seals(self) -> Seals:
        """How the records of the bus are sealed and opened."""
        config = self.config
        answers = [feed.ack_topic for feed in config.feeds.values() if feed.raw_topic and feed.ack_topic]
        writes = config.encryption is not None and config.encryption.bus
        return Seals(self.sealer, writes=writes, in_clear=answers)

    @cached_property
    def keyring(self) -> Keyring | None:
        """The data keys; None where the site has no `encryption`."""
        if self.config.encryption is None:
            self._never_sealed()
            return None
        masters = SiteMasters(self.site.path, self.config.encryption)
        keyring = Keyring(self.url("keyring"), masters, self.clock, self.alert)
        self._closing.callback(keyring.close)
        return keyring

    def _never_sealed(self) -> None:
        """Raises `OperatorFault` where data keys stand beside the bus: it may hold what only they open."""
        path = self.site.data / "keyring.db"
        if path.exists():
            text = "there are data keys here: keep `encryption` (with `bus: false` until what is sealed has expired)"
            raise OperatorFault("SEALING-OFF", str(path), text)

    @cached_property
    def sealer(self) -> Sealer | None:
        """Seals and opens. Raises `OperatorFault` when a data key would stay closed: nothing starts half."""
        if self.keyring is None:
            return None
        self.keyring.verify()
        return Sealer(self.keyring)

    def bus_config(self) -> BusConfig:
        """The bus of the site file; the embedded one lives in the data folder unless it says otherwise."""
        config = self.config.bus
        update: dict[str, object] = {"partitions": self.config.limits.partitions}
        if isinstance(config, SqliteBusConfig):
            named = "path" in config.model_fields_set
            update["path"] = config.path if named else self.data("bus.db")
        else:
            update["fetch_bytes"] = config.shared_fetch(self._readers)
        return config.model_copy(update=update)

    def plans(self) -> list[TopicPlan]:
        """Every topic of the site."""
        config = self.config
        return site_plans(
            config.feeds,
            config.sinks,
            raw_feeds=[name for name, feed in config.feeds.items() if feed.raw_topic],
            ack_topics=[feed.ack_topic for feed in config.feeds.values() if feed.raw_topic and feed.ack_topic],
            environment=config.environment,
            partitions=config.limits.partitions,
        )

    def data(self, name: str) -> Path:
        """A file of the data folder, which is made if need be."""
        private.make(self.site.data)
        return self.site.data / name

    def url(self, name: str) -> str:
        """The database of the ledger, the register or the journal: PostgreSQL for all, or a file each."""
        return self.config.database.resolve(self.data(f"{name}.db"))

    def ledger(self) -> SqlLedger:
        """A connection of its own for each caller: a ledger serves one thread. Its database may be away: an alert."""
        ledger = SqlLedger(self.url("ledger"), self._took("ledger"), upgrade=self._upgrade)
        if ledger.away is not None:
            self.alert("database-away", {"code": ledger.away.code, "place": "database", "text": _AWAY})
        self._closing.callback(ledger.close)
        return ledger

    def _took(self, room: str) -> Took:
        return lambda access, seconds: self.observer.time("database_seconds", seconds, room=room, access=access)

    @cached_property
    def journal(self) -> Journal:
        journal = Journal(self.url("journal"), self.clock, self._took("journal"), upgrade=self._upgrade)
        self._closing.callback(journal.close)
        return journal

    @cached_property
    def audit(self) -> AuditTrail:
        """Who saw or did what. Its database may be away: then what must be recorded first must not be done.

        With `SEGUR_AUDIT_ANCHOR=elsewhere` another machine keeps the anchor: the chart sets it for pods without volume.
        """
        anchor = None if kept_elsewhere() else self.config.audit.anchor or self.data("audit-head.json")
        secret, took = self.site.secret(), self._took("audit")
        trail = AuditTrail(self.url("audit"), self.clock, secret=secret, anchor=anchor, took=took)
        self._closing.callback(trail.close)
        return trail

    @cached_property
    def traces(self) -> TraceStore:
        """The traces of exchanges with the outside."""
        store = TraceStore(self.url("traces"), self.clock, self._took("traces"))
        self._closing.callback(store.close)
        return store

    @cached_property
    def register(self) -> Register:
        register = Register(self.url("register"), self.pseudonyms, self.clock, upgrade=self._upgrade)
        self._closing.callback(register.close)
        return register

    @cached_property
    def access(self) -> AccessStore:
        """Accounts, sessions and tokens of people and programs."""
        console = self.config.console
        store = AccessStore(
            self.url("access"),
            self.clock,
            idle=console.session_minutes * 60 if console else IDLE,
            longest=console.shift_hours * 3600 if console else LONGEST,
            production=self.config.environment == "production",
            sealer=lambda: self.sealer,
            upgrade=self._upgrade,
        )
        self._closing.callback(store.close)
        return store

    @cached_property
    def directory(self) -> Directory:
        directory = Directory(
            self.config.directory,
            self.data("directory"),
            clock=self.clock,
            observer=self.observer,
            turns=lambda: self.turns,
            configured=configured_mailboxes(self.config),
        )
        self._closing.callback(directory.close)
        return directory

    def start_directory(self) -> None:
        """Keep the directory fresh; a site none of whose sinks uses it asks nothing of the espace de confiance."""
        if any(SINK_TYPES[kind].directory for kind in self.config.sink_types.values()):
            self.directory.start()

    @cached_property
    def schema(self) -> SchemaGate | None:
        """The CDA schema of the site, when it has one (R36)."""
        return SchemaGate(self.config.cda_schema, "error") if self.config.cda_schema else None

    @cached_property
    def value_sets(self) -> ValueSets:
        folder = self.config.value_sets
        return ValueSets.load(folder)

    def rules(self, name: str, feed: FeedConfig) -> ProfileRules:
        """The profile's options of a feed, with what the site already says."""
        config = self.config
        own = feed.rules.structures or (tuple(config.structures) if len(config.structures) == 1 else ())
        return feed.rules.model_copy(
            update={
                "feed": name,
                "environment": config.environment,
                "structures": own,
                "facilities": config.facilities,
            }
        )

    @cached_property
    def turns(self) -> Turns:
        """Turns shared by every process of the site, in the ledger's database."""
        turns = SqlTurns(self.url("pace"), upgrade=self._upgrade)
        self._closing.callback(turns.close)
        return turns

    @cached_property
    def archive(self) -> Archive | None:
        """What left and what came back; None where the site keeps nothing."""
        config = self.config.archive
        if config is None or self.sealer is None:
            return None
        folder = config.folder or self.data("archive")
        archive = Archive(self.url("archive"), folder, self.sealer, config, self.clock, self._audited)
        self._closing.callback(archive.close)
        return archive

    def _audited(self, event: AuditEvent) -> None:
        """The audit is opened when something is read, not before."""
        self.audit.record(event)

    @cached_property
    def keeper(self) -> Keeper:
        """Takes what leaves, for the archive."""
        if self.archive is None or self.config.archive is None:
            return KeepsNothing()
        keeper = ArchiveKeeper(self.archive, self.observer, required=self.config.archive.required)
        self._closing.callback(keeper.close)
        return keeper

    def tools(self) -> Tools:
        """What a sink is opened with."""
        return Tools(
            clock=self.clock,
            observer=self.observer,
            archive=self.ledger(),
            environment=self.config.environment,
            pseudonyms=self.pseudonyms,
            directory=self.directory,
            value_sets=self.value_sets,
            turns=self.turns,
            keeper=self.keeper,
        )

    def sink(self, name: str) -> Sink:
        """An instance, ready to deliver; where ADT feeds a register, it is asked again at the moment of sending."""
        config = self.config.sinks[name]
        kind = SINK_TYPES[config.type]
        sink = kind.open(name, config, self.tools())
        if kind.carries == "message" or not any(feed.kind == "adt" for feed in self.config.feeds.values()):
            return sink
        return RegisterCheckedSink(sink, kind, self.register, self.clock, at_once=_AHEAD * config.connections)

    def policy(self, name: str) -> RetryPolicy:
        """How an instance waits: its own, else its type's, else the default."""
        retry = self.config.retry
        return retry.get(name) or retry.get(self.config.sinks[name].type) or RetryPolicy()
