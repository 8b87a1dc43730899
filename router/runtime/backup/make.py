"""`backup`: a consistent copy of all that a site keeps, while the router works.

The order is what makes it consistent: first how far the bus goes, then the ledger, journal and register, the embedded
bus last. So the bus of a backup holds the bytes of everything that its ledger knows; what a copy lacks is read from the
bus when it is restored. The folder gets its name when all is in it and on the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from router import private
from router.bus.settings import SqliteBusConfig
from router.database import copies
from router.errors import OperatorFault, Unavailable
from router.locks import FileLock, is_held
from router.runtime import tenure
from router.runtime.backup import manifest
from router.runtime.backup.manifest import BUS, DUMP, KEY, KEYRING, ROOMS, CopiedFile, Databases, Manifest
from router.runtime.backup.verify import verify
from router.runtime.site_services import SiteServices
from router.software import our_version

PARTIAL: Final = ".partial"
LAST: Final = "backup.json"
"""In the data folder: when the last backup of this site was finished, for the metric and `status`."""


@dataclass(frozen=True, slots=True)
class Made:
    folder: Path
    manifest: Manifest
    seconds: float
    removed: int
    """Older backups that made way (`keep`)."""


def backup(
    services: SiteServices,
    to: Path,
    *,
    keep: int | None = None,
    with_key: bool = True,
    with_database: bool = True,
    thorough: bool = False,
) -> Made:
    """Make a backup in a new folder of `to`; files are 0600, folders 0700.

    keep: how many whole backups stay in `to`;  thorough: read all of it again, see `verify`
    Raises `OperatorFault`, `Unavailable` (a disk that is full is an OSError): then there is no new backup.
    """
    private.make(to)
    begun, started = time.monotonic(), services.clock.now()
    with _alone(to):
        for left in to.glob(f"*{PARTIAL}"):
            if manifest.NAME.fullmatch(left.stem) and not left.is_symlink():
                shutil.rmtree(left)
        name = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(started))
        final, part = to / name, to / f"{name}{PARTIAL}"
        if final.exists():
            raise OperatorFault("BACKUP-EXISTS", str(final), "a backup of this second is there already")
        part.mkdir(mode=private.FOLDER)
        try:
            written = _Copy(services, part, started).write(with_key=with_key, with_database=with_database)
            if thorough:
                verify(part)
            _to_disk(part)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        part.rename(final)
        _sync(to)
        removed = _make_way(to, keep, written.key)
    _say(services, final, written)
    return Made(final, written, time.monotonic() - begun, removed)


class _Copy:
    """One backup, while it is being made in its folder."""

    def __init__(self, services: SiteServices, folder: Path, started: float) -> None:
        self._services = services
        self._folder = folder
        self._started = started
        self._files: dict[str, CopiedFile] = {}
        self._schemas: dict[str, int] = {}

    def write(self, *, with_key: bool, with_database: bool) -> Manifest:
        services, site = self._services, self._services.site
        running = is_held(site.data / tenure.FILE)
        ends = manifest.ends(services.bus, [plan.name for plan in services.plans()])
        keys = self._data_keys()
        kind: Databases = self._databases() if with_database else "elsewhere"
        config = services.bus_config()
        if isinstance(config, SqliteBusConfig):
            self._sqlite(config.path, BUS)
        self._keyring(kind, keys)
        self._site()
        if with_key:
            self._bytes(KEY, site.secret())
        made = Manifest(
            format=manifest.FORMAT,
            version=our_version(),
            started=self._started,
            finished=services.clock.now(),
            environment=services.config.environment,
            running=running or is_held(site.data / tenure.FILE),
            bus=config.type,
            database=kind,
            schemas=self._schemas,
            ends=ends,
            key=manifest.fingerprint(services.pseudonyms),
            files=self._files,
        )
        (self._folder / manifest.FILE).write_text(made.model_dump_json(indent=1), encoding="utf-8")
        return made

    def _databases(self) -> Literal["sqlite", "postgresql"]:
        url = self._services.url(ROOMS[0])
        if copies.is_postgresql(url):
            rows, self._schemas = copies.dump_postgresql(url, self._folder / DUMP)
            self._note(DUMP, rows)
            return "postgresql"
        for room in ROOMS:
            path = copies.sqlite_path(self._services.url(room))
            if room != KEYRING and path.is_file():  # a router that never ran has none
                self._sqlite(path, f"{room}.db")
        return "sqlite"

    def _data_keys(self) -> int:
        keyring = self._services.keyring
        return 0 if keyring is None else keyring.state().keys

    def _keyring(self, kind: Databases, before: int) -> None:
        """Behind what it opens. Raises `Unavailable` when a dump was made before a data key that the copies need."""
        if kind == "sqlite" and (path := copies.sqlite_path(self._services.url(KEYRING))).is_file():
            self._sqlite(path, f"{KEYRING}.db")
        elif kind == "postgresql" and self._data_keys() != before:
            text = "a data key was made meanwhile, as at the beginning of each day: make the backup again"
            raise Unavailable("BACKUP-KEYRING", KEYRING, text)

    def _sqlite(self, source: Path, name: str) -> None:
        copies.copy_sqlite(source, self._folder / name)
        self._note(name, copies.count_sqlite(self._folder / name, thorough=False))
        self._schemas |= copies.sqlite_versions(self._folder / name)

    def _site(self) -> None:
        """The site file, the pipelines and their samples, and the value sets of the site's own."""
        site = self._services.site
        self._bytes("site/router.yaml", site.path.read_bytes())
        self._tree(site.pipelines, "site/pipelines")
        if site.config.value_sets is not None:
            self._tree(site.config.value_sets, "site/value-sets")

    def _tree(self, source: Path, name: str) -> None:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            relative = path.relative_to(source)
            if not any(part.startswith(".") for part in relative.parts):
                self._bytes(f"{name}/{relative.as_posix()}", path.read_bytes())

    def _bytes(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(mode=private.FOLDER, parents=True, exist_ok=True)
        path.write_bytes(content)
        self._note(name, {})

    def _note(self, name: str, rows: dict[str, int]) -> None:
        path = self._folder / name
        path.chmod(0o600)
        self._files[name] = manifest.digest(path).model_copy(update={"rows": rows})


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """One backup at a time into one folder."""
    lock = FileLock(to / ".lock")
    if not lock.try_take():
        raise OperatorFault("BACKUP-BUSY", str(to), "another backup is being made here")
    try:
        yield
    finally:
        lock.release()


def _to_disk(folder: Path) -> None:
    for root, folders, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            path.chmod(0o600)
            _sync(path)
        for name in folders:
            Path(root, name).chmod(private.FOLDER)
        _sync(Path(root))


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _make_way(to: Path, keep: int | None, key: str) -> int:
    """Remove the oldest whole backups beyond `keep`; the manifest first, so that no half one is taken for a whole.

    Those of another site, by its key, and those whose manifest can't be read are left to people.
    """
    old = [folder for folder in manifest.complete(to) if _has_key(folder, key)][:-keep] if keep else []
    for folder in old:
        (folder / manifest.FILE).unlink()
        shutil.rmtree(folder)
    return len(old)


def _has_key(folder: Path, key: str) -> bool:
    try:
        return manifest.read(folder).key == key
    except OperatorFault:
        return False


def _say(services: SiteServices, folder: Path, made: Manifest) -> None:
    said = services.data(LAST)
    draft = said.with_suffix(f".{os.getpid()}")
    size = sum(file.bytes for file in made.files.values())
    draft.write_text(json.dumps({"finished": made.finished, "folder": str(folder), "bytes": size}))
    draft.replace(said)
