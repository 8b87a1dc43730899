"""`restore`: a backup becomes the data of a router that has none. All of it, or the folder is empty again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from router import private
from router.access.tables import VERSION as ACCESS
from router.archive.tables import VERSION as ARCHIVE
from router.audit.event import Action, AuditEvent
from router.audit.tables import VERSION as AUDIT
from router.audit.traces import VERSION as TRACES
from router.bus.opening import open_bus
from router.bus.settings import SqliteBusConfig
from router.config.account import account
from router.config.site import Site
from router.contracts import Alert, Clock
from router.database import copies
from router.errors import OperatorFault
from router.files import BESIDE
from router.journal.tables import VERSION as JOURNAL
from router.language import filled
from router.ledger.tables import VERSION as LEDGER
from router.register.tables import VERSION as REGISTER
from router.runtime import tenure
from router.runtime.backup import doubt, manifest, settle
from router.runtime.backup.manifest import BUS, DUMP, KEY, ROOMS, Manifest
from router.runtime.backup.unfinished import FILE as UNFINISHED
from router.runtime.backup.verify import verify
from router.runtime.presence import groups_of
from router.runtime.site_services import SiteServices
from router.sealing.tables import VERSION as KEYRING

SCHEMAS: Final = {
    "ledger": LEDGER,
    "journal": JOURNAL,
    "register": REGISTER,
    "access": ACCESS,
    "audit": AUDIT,
    "traces": TRACES,
    "archive": ARCHIVE,
    "keyring": KEYRING,
}
_STAYS: Final = frozenset({tenure.FILE, KEY, UNFINISHED, "lost+found"})


@dataclass(frozen=True, slots=True)
class Restored:
    """`brought`: files of the site that were missing and came from the backup."""

    folder: Path
    manifest: Manifest
    found: settle.Found
    brought: tuple[Path, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        taken = {"backup": str(self.folder), "taken": self.manifest.finished, "version": self.manifest.version}
        return taken | {"seconds": round(self.seconds, 3)} | self.found.as_json()


def restore(
    site_path: Path,
    source: Path,
    *,
    alert: Alert,
    keep_bus: bool = False,
    moved: bool = False,
    clock: Clock | None = None,
) -> Restored:
    """Put a backup in its place and settle what it can't prove, see `settle`.

    keep_bus: the file of the embedded bus is there and has lived on since the backup
    moved:    the router was stopped before the backup and has not run since
    Raises `OperatorFault` before anything is written into the data folder: a router runs, here or, as the bus says,
    elsewhere; the folder or the database is not empty; the backup is damaged, of a newer version, of another
    environment or kind of bus, or has another key.
    """
    begun = time.monotonic()
    folder = manifest.latest(source)
    taken = verify(folder, thorough=False)
    brought = _site(site_path, folder, taken)
    site = Site(site_path)
    private.make(site.data)
    holding = tenure.Tenure(site.data)
    try:
        services = SiteServices(site, alert=alert, clock=clock, upgrade=True)
        with closing(services):
            bus = _agree(services, folder, taken, keep_bus=keep_bus, moved=moved)
            put = _Put(services, folder, taken, keep_bus=keep_bus)
            put.check_empty()
            if bus == "lived-on" or not isinstance(services.bus_config(), SqliteBusConfig):
                _nobody_reads(services)
            _key(services, folder, taken)
            found = put.all(lambda: settle.settle(services, services.ledger(), taken, bus))
            _audited(services, folder, taken)
            done = Restored(folder, taken, found, brought, time.monotonic() - begun)
            _write(site.data / doubt.FILE, {"at": services.clock.now(), **done.as_json()})
            (site.data / UNFINISHED).unlink()
    finally:
        holding.end()
    return done


def _audited(services: SiteServices, folder: Path, taken: Manifest) -> None:
    """Whatever the audit held since the backup is gone: the row that says so is the first behind what came back."""
    services.audit.settle(
        AuditEvent(
            at=services.clock.now(),
            who=account(),
            action=Action.RESTORED,
            kind="backup",
            object=str(folder),
            source="cli",
            detail=f"taken={taken.finished:.0f}",
        )
    )


def _site(path: Path, folder: Path, taken: Manifest) -> tuple[Path, ...]:
    """The site file and what it names, from the backup, where they are missing."""
    brought = []
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "site" / "router.yaml", path)
        brought.append(path)
    site = Site(path)
    for name, target in (("pipelines", site.pipelines), ("value-sets", site.config.value_sets)):
        if target is not None and not target.exists() and any(file.startswith(f"site/{name}/") for file in taken.files):
            shutil.copytree(folder / "site" / name, target)
            brought.append(target)
    return tuple(brought)


def _agree(services: SiteServices, folder: Path, taken: Manifest, *, keep_bus: bool, moved: bool) -> settle.Bus:
    """Which bus it will be. Raises `OperatorFault` for a site that this backup is not of."""
    config, bus = services.config, services.bus_config()
    if taken.environment != config.environment:
        text = filled("the backup is of {environment}: they never mix", environment=taken.environment)
        raise OperatorFault("RESTORE-ENVIRONMENT", str(services.site.path), text)
    if taken.bus != bus.type:
        text = filled("the backup has a bus of type {kind}: so must the site file", kind=taken.bus)
        raise OperatorFault("RESTORE-BUS", str(services.site.path), text)
    kind = "postgresql" if copies.is_postgresql(services.url(ROOMS[0])) else "sqlite"
    if taken.database not in (kind, "elsewhere"):
        text = filled("the backup has a database of type {kind}: so must the site file", kind=taken.database)
        raise OperatorFault("RESTORE-DATABASE", str(services.site.path), text)
    newer = [room for room, ours in SCHEMAS.items() if taken.schemas.get(room, 0) > ours]
    if newer:
        raise OperatorFault("BACKUP-VERSION", str(folder), manifest.by_newer(taken.version))
    if moved and taken.running:
        raise OperatorFault("RESTORE-MOVED", str(folder), "a router ran while this backup was made: leave out --moved")
    if moved:
        return "moved"
    return "lived-on" if keep_bus or not isinstance(bus, SqliteBusConfig) else "copy"


def _nobody_reads(services: SiteServices) -> None:
    """A router elsewhere would go on with what is put back here, while it is settled. Raises `OperatorFault`."""
    groups = groups_of(services.config.sinks)
    with closing(open_bus(services.bus_config())) as bus:  # without making topics
        found = bus.living(groups)
    if names := sorted({name for members in found.values() for name in members}):
        text = filled(
            "the router runs elsewhere, its processes {names} read this bus: stop them first (one that was killed"
            " counts until its session has timed out)",
            names=", ".join(names),
        )
        raise OperatorFault("RESTORE-RUNS", "bus", text)


def _key(services: SiteServices, folder: Path, taken: Manifest) -> None:
    """The key must be the one of before: with another no lane, no patient and no repeat would be recognised."""
    site, own = services.site, services.site.data / KEY
    if site.config.secret is None and not own.exists():
        if KEY not in taken.files:
            raise OperatorFault("RESTORE-KEY", str(own), "the backup was made without the key: put the key here first")
        own.touch(mode=0o600)
        own.write_bytes((folder / KEY).read_bytes())
    if manifest.fingerprint(services.pseudonyms) != taken.key:
        place = str(own) if site.config.secret is None else "secret"
        raise OperatorFault("RESTORE-KEY", place, "not the key of the pseudonyms that the backup was made with")


class _Put:
    """Puts the files of a backup in their places, and takes them away again when that does not end well."""

    def __init__(self, services: SiteServices, folder: Path, taken: Manifest, *, keep_bus: bool) -> None:
        self._services = services
        self._data = services.site.data
        self._folder = folder
        self._taken = taken
        self._keep_bus = keep_bus
        bus = services.bus_config()
        self._bus = bus.path if isinstance(bus, SqliteBusConfig) else None

    def check_empty(self) -> None:
        """Raises `OperatorFault`: there is data here. What a restore that was cut short has left is removed."""
        if self._keep_bus and (self._bus is None or not self._bus.is_file()):
            raise OperatorFault("RESTORE-BUS", str(self._bus or ""), "there is no embedded bus to keep here")
        if (self._data / UNFINISHED).exists() and not self._keep_bus:
            self._clear(self._entries())
        there = [path for path in self._entries() if not self._keep_bus or not self._of_bus(path)]
        there += [path for path in self._targets() if path.exists()]
        if there:
            text = filled("not empty ({name}): name another data folder, or move this away", name=there[0].name)
            raise OperatorFault("RESTORE-DATA", str(self._data), text)

    def all(self, settled: Callable[[], settle.Found]) -> settle.Found:
        """Raises what goes wrong; the data folder is then as empty as it was."""
        (self._data / UNFINISHED).write_text(str(self._folder))
        try:
            for target, name in self._targets().items():
                _copy(self._folder / name, target)
            self._load()
            return settled()
        except BaseException:
            self._services.close()
            self._clear([*self._entries(), *self._targets()])
            raise

    def _load(self) -> None:
        if (dump := self._taken.files.get(DUMP)) is None:
            return
        if copies.load_postgresql(self._services.url(ROOMS[0]), self._folder / DUMP) != dump.rows:
            raise OperatorFault("RESTORE-DATABASE", "database", "it does not hold the rows of the backup")

    def _targets(self) -> dict[Path, str]:
        found: dict[Path, str] = {}
        if self._taken.database == "sqlite":
            names = {room: f"{room}.db" for room in ROOMS}
            known = self._taken.files
            found = {copies.sqlite_path(self._services.url(room)): n for room, n in names.items() if n in known}
        if self._bus is not None and not self._keep_bus:
            found[self._bus] = BUS
        return found

    def _entries(self) -> list[Path]:
        return sorted(path for path in self._data.iterdir() if path.name not in _STAYS)

    def _of_bus(self, path: Path) -> bool:
        if self._bus is None:
            return False
        return str(path) in [f"{self._bus}{end}" for end in ("", ".locks", *BESIDE)]

    def _clear(self, paths: list[Path]) -> None:
        """Nothing of these stays, but a bus that lived on."""
        for path in paths:
            if self._keep_bus and self._of_bus(path):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self._data / UNFINISHED).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    private.make(target.parent)
    target.touch(mode=0o600)
    shutil.copyfile(source, target)
    file = os.open(target, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write(path: Path, said: dict[str, Any]) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(said, indent=1), encoding="utf-8")
    draft.replace(path)
