"""The extraction of the annuaire santé as a local database: mailboxes by RPPS, structure and address (mssante §5.2).

A new extraction is loaded into a new file, which replaces the one in use in a single step, and only when it is
believable; the one before is kept beside it. Only the columns needed to choose a mailbox, to name a profession and to
compare a structure's name are kept: no name of a person.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.contracts import Clock
from router.directory.extraction import LIMIT, Progress, Rows, lines
from router.directory.fetch import fetch
from router.directory.mailboxes import Mailbox, Profession, SourceName, finess
from router.directory.settings import AnnuaireConfig
from router.errors import Invalid, Unavailable
from router.language import filled_plural
from router.locks import FileLock

_VERSION: Final = 2
"""Of the tables (`PRAGMA user_version`). A file of another version is not read: the next import makes it anew."""
_SCHEMA: Final = f"""
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000; PRAGMA user_version={_VERSION};
CREATE TABLE bal (
    address TEXT NOT NULL, type TEXT, rpps TEXT, structure TEXT, service TEXT, demat TEXT, profession INTEGER
);
CREATE TABLE profession (id INTEGER PRIMARY KEY, code TEXT, label TEXT, skill TEXT, skill_label TEXT);
CREATE TABLE structure (number TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
"""
_INDEXES: Final = """
CREATE INDEX by_address ON bal (address);
CREATE INDEX by_rpps ON bal (rpps) WHERE rpps <> '';
CREATE INDEX by_structure ON bal (structure) WHERE structure <> '';
"""
_SELECT: Final = (
    "SELECT address, type, rpps, structure, service, coalesce(code, ''), demat "
    "FROM bal LEFT JOIN profession ON profession.id = bal.profession WHERE "
)
_DIFFERENCE: Final = """
SELECT
    (SELECT count(*) FROM (SELECT DISTINCT address FROM main.bal) new
     WHERE NOT EXISTS (SELECT 1 FROM old.bal WHERE old.bal.address = new.address)),
    (SELECT count(*) FROM (SELECT DISTINCT address FROM old.bal) gone
     WHERE NOT EXISTS (SELECT 1 FROM main.bal WHERE main.bal.address = gone.address)),
    (SELECT count(*) FROM main.bal new
     WHERE EXISTS (SELECT 1 FROM old.bal WHERE old.bal.address = new.address)
     AND NOT EXISTS (SELECT 1 FROM old.bal WHERE old.bal.address = new.address
                     AND old.bal.rpps = new.rpps AND old.bal.structure = new.structure))
"""
_DUPLICATES: Final = """
SELECT sum(times - 1) FROM (
    SELECT count(*) AS times FROM bal GROUP BY address, type, rpps, structure, service, demat, profession
) WHERE times > 1
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import found.

    lines:      mailboxes kept
    malformed:  lines that could not be read
    duplicates: lines that repeat another one word for word
    added, removed, moved: addresses that are new, that are gone, lines whose address now has another holder; against
                the extraction in use before (None: there was none)
    domains:    the domains of all mailboxes
    """

    lines: int
    malformed: int
    duplicates: int = 0
    added: int | None = None
    removed: int | None = None
    moved: int | None = None
    domains: frozenset[str] = frozenset()


class Annuaire:
    """Read-only look-ups in the database in use; any thread. `MailboxSource`.

    minimum:  an extraction of fewer lines is not believed; share: nor one of fewer percent of the lines in use
    expected: the site names an extraction; until the first import nobody can say who has no mailbox
    """

    name: SourceName = "extraction"

    def __init__(self, folder: Path, *, minimum: int = 1000, share: float = 80, expected: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "annuaire.sqlite"
        self._minimum = minimum
        self._share = share
        self._expected = expected
        self._local = threading.local()

    @property
    def present(self) -> bool:
        """Whether an extraction was ever imported, or is expected to be."""
        return self._expected or self._path.exists()

    def mailboxes(self, *, rpps: str = "", finess: str = "") -> tuple[Mailbox, ...]:
        """See `MailboxSource`. Raises `Unavailable` before the first import of an extraction that the site names."""
        wanted = [(name, value) for name, value in (("rpps", rpps), ("structure", finess)) if value]
        if not wanted:
            return ()
        where = " AND ".join(f"{name} = ? AND {name} <> ''" for name, _ in wanted)
        return self._boxes(where, [value for _, value in wanted])

    def holders(self, address: str) -> tuple[Mailbox, ...]:
        """See `MailboxSource`."""
        return self._boxes("address = ?", [address.lower()])

    def professions(self, rpps: str) -> tuple[Profession, ...]:
        """See `MailboxSource`."""
        query = (
            "SELECT DISTINCT code, label, skill, skill_label FROM bal "
            "JOIN profession ON profession.id = bal.profession WHERE rpps = ? AND rpps <> ''"
        )
        return tuple(Profession(*row) for row in self._ask(query, [rpps]))

    def structure_name(self, number: str) -> str:
        """See `MailboxSource`."""
        found = self._ask("SELECT name FROM structure WHERE number = ?", [finess(number)])
        return str(found[0][0]) if found else ""

    def __len__(self) -> int:
        if not self._usable():
            return 0
        return int(self._database().execute("SELECT count(*) FROM bal").fetchone()[0])

    def age(self, now: float) -> float | None:
        """Seconds since the last import; None before the first."""
        return max(0.0, now - self._path.stat().st_mtime) if self._usable() else None

    def load(self, source: Path, progress: Progress | None = None, *, fewer: bool = False) -> Imported:
        """Import an extraction (zip or text) and swap. Blocking: about 15 s for a million lines.

        fewer: a person has seen that it holds much less than the one in use, and wants it

        Raises `Invalid` when it is cut, its header or encoding is another, more than 0.1 % of its lines are malformed,
        or it holds much less than the one in use: nothing changes then.
        """
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(draft, uri=True)) as database:
                with lines(source, progress) as text:
                    report = _fill(database, Rows(text))
                self._believe(report, fewer=fewer)
                report = self._compared(database, report)
            with draft.open("rb") as written:
                os.fsync(written.fileno())
            if self._path.exists():
                previous = self._path.with_suffix(".previous")
                previous.unlink(missing_ok=True)
                os.link(self._path, previous)
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)
        return report

    # ------------------------------------------------------------------------------------------ internals

    def _believe(self, report: Imported, *, fewer: bool) -> None:
        if report.malformed * 1000 > report.lines + report.malformed:
            raise Invalid(
                "ANNUAIRE-LINES",
                "",
                filled_plural("{count} malformed line", "{count} malformed lines", report.malformed),
            )
        least = max(self._minimum, 0 if fewer else int(len(self) * self._share / 100))
        if report.lines < least:
            raise Invalid(
                "ANNUAIRE-SHORT",
                "",
                filled_plural(
                    "{count} mailbox, at least {least} are expected",
                    "{count} mailboxes, at least {least} are expected",
                    report.lines,
                    least=least,
                ),
            )

    def _compared(self, database: sqlite3.Connection, report: Imported) -> Imported:
        """The same report with what differs from the extraction in use."""
        if not self._usable():
            return report
        database.execute("ATTACH DATABASE ? AS old", [self._uri()])
        added, removed, moved = database.execute(_DIFFERENCE).fetchone()
        database.execute("DETACH DATABASE old")
        return Imported(
            report.lines, report.malformed, report.duplicates, added, removed, moved, domains=report.domains
        )

    def _boxes(self, where: str, values: list[str]) -> tuple[Mailbox, ...]:
        rows = self._ask(f"{_SELECT}{where}", values)
        return tuple(
            dict.fromkeys(
                Mailbox(address, kind, rpps, structure, service, profession, demat)
                for address, kind, rpps, structure, service, profession, demat in rows
            )
        )

    def _ask(self, query: str, values: list[str]) -> list[tuple[str, ...]]:
        if not self._usable():
            if self.present:
                raise Unavailable("ANNUAIRE-EMPTY", "", "no extraction of the annuaire was imported yet")
            return []
        try:
            return self._database().execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._local.stamp = None
            raise Unavailable("ANNUAIRE-STORE", "annuaire.sqlite", type(error).__name__) from error

    def _usable(self) -> bool:
        """Whether there is a file, in the tables of this version."""
        if not self._path.exists():
            return False
        try:
            return int(self._database().execute("PRAGMA user_version").fetchone()[0]) == _VERSION
        except sqlite3.Error:
            self._local.stamp = None
            return False

    def _uri(self) -> str:
        return f"{self._path.resolve().as_uri()}?mode=ro"

    def _database(self) -> sqlite3.Connection:
        """This thread's connection to the file in use; opened again after a swap."""
        state = self._path.stat()
        stamp = (state.st_ino, state.st_mtime_ns)
        if getattr(self._local, "stamp", None) != stamp:
            self._local.connection = sqlite3.connect(self._uri(), uri=True)
            self._local.stamp = stamp
        connection: sqlite3.Connection = self._local.connection
        return connection


def refresh(
    annuaire: Annuaire, config: AnnuaireConfig, folder: Path, clock: Clock, *, forced: bool = False
) -> Imported | None:
    """Fetch and import when it is time. One process of the machine does, the others use what it brings.

    Raises `Unavailable`, `OperatorFault`, `Invalid`; None when it is not due, or another process is at it.
    """
    if config.extraction is None or not (forced or _due(annuaire, config, clock)):
        return None
    lock, target = FileLock(folder / "extraction.lock"), folder / f"extraction.{os.getpid()}"
    if not lock.try_take():
        if forced:
            raise Unavailable("ANNUAIRE-BUSY", "", "another process is importing the extraction")
        return None
    try:
        if not (forced or _due(annuaire, config, clock)):
            return None
        fetch(config.extraction, target, ca=config.ca, limit=LIMIT)
        return annuaire.load(target)
    finally:
        target.unlink(missing_ok=True)
        lock.release()


def _due(annuaire: Annuaire, config: AnnuaireConfig, clock: Clock) -> bool:
    age = annuaire.age(clock.now())
    return age is None or age >= config.refresh_hours * 3600


def _fill(database: sqlite3.Connection, rows: Rows) -> Imported:
    database.executescript(_SCHEMA)
    professions: dict[Profession | None, int | None] = {None: None}
    structures: dict[str, str] = {}
    domains: set[str] = set()

    def values() -> Iterator[tuple[str | int | None, ...]]:
        for line in rows:
            box = line.box
            if line.profession not in professions:
                professions[line.profession] = len(professions)
            if box.structure and line.company:
                structures.setdefault(box.structure, line.company)
            domains.add(box.address.rpartition("@")[2])
            number = professions[line.profession]
            yield (box.address, box.type, box.rpps, box.structure, box.service, box.demat, number)

    kept = database.executemany("INSERT INTO bal VALUES (?, ?, ?, ?, ?, ?, ?)", values()).rowcount
    database.executemany(
        "INSERT INTO profession VALUES (?, ?, ?, ?, ?)",
        [
            (number, one.code, one.label, one.skill, one.skill_label)
            for one, number in professions.items()
            if one is not None
        ],
    )
    database.executemany("INSERT INTO structure VALUES (?, ?)", structures.items())
    database.executescript(_INDEXES)
    database.commit()
    repeated = int(database.execute(_DUPLICATES).fetchone()[0] or 0)
    return Imported(max(kept, 0), rows.malformed, repeated, domains=frozenset(domains))
