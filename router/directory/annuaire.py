"""The extraction of the annuaire santé as a local database: mailboxes by RPPS and by structure (mssante §5.2).

A new extraction is loaded into a new file, which replaces the old one only when it is believable; the one before
is kept beside it. Only the columns needed to choose a mailbox are kept.
"""

from __future__ import annotations

import io
import logging
import os
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from router.contracts import Clock
from router.directory.addresses import addr_spec
from router.directory.fetch import fetch
from router.directory.settings import AnnuaireConfig
from router.errors import Invalid
from router.language import filled

log = logging.getLogger(__name__)

LIMIT: Final = 512 * 2**20
COLUMNS: Final = 31

#: The first seven column names, in order (mssante §5.2): a file that names others is refused.
HEADER: Final = (
    "Type de BAL",
    "Adresse BAL",
    "Type Identifiant PP",
    "Identifiant PP",
    "Identification nationale PP",
    "Type identifiant structure",
    "Identification Structure",
)
TYPE, ADDRESS, ID_KIND, PERSON, NATIONAL, STRUCTURE, SERVICE, PROFESSION, DEMAT = 0, 1, 2, 3, 4, 6, 7, 14, 17
RPPS_KIND: Final = "8"  # column 3

_SCHEMA: Final = """
CREATE TABLE bal (address TEXT, type TEXT, rpps TEXT, structure TEXT, service TEXT, profession TEXT, demat TEXT);
"""
_INDEXES: Final = "CREATE INDEX by_rpps ON bal (rpps) WHERE rpps <> ''; CREATE INDEX by_structure ON bal (structure);"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One line of the annuaire. `structure`: digits of its FINESS, '' for a personal box of no structure."""

    address: str
    type: str
    rpps: str = ""
    structure: str = ""
    service: str = ""
    profession: str = ""
    demat: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import found: lines kept, lines it could not use."""

    lines: int
    malformed: int


class Annuaire:
    """Read-only look-ups in the database in use; any thread. Empty until the first import."""

    def __init__(self, folder: Path, *, minimum: int = 1000) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "annuaire.sqlite"
        self._minimum = minimum
        self._local = threading.local()

    def mailboxes(self, *, rpps: str = "", finess: str = "") -> tuple[Mailbox, ...]:
        """The mailboxes of a professional, of a structure, or of one in the other; each address once."""
        wanted = {"rpps": rpps, "structure": finess}
        where = [name for name, value in wanted.items() if value]
        if not where or not self._path.exists():
            return ()
        clause = " AND ".join(f"{name} = ?" for name in where)
        query = f"SELECT address, type, rpps, structure, service, profession, demat FROM bal WHERE {clause}"  # noqa: S608  # names are ours
        rows = self._database().execute(query, [wanted[name] for name in where]).fetchall()
        boxes = (Mailbox(*row) for row in rows)
        return tuple({(box.address, box.structure): box for box in boxes}.values())

    def __len__(self) -> int:
        if not self._path.exists():
            return 0
        return int(self._database().execute("SELECT count(*) FROM bal").fetchone()[0])

    def age(self, now: float) -> float | None:
        """Seconds since the last import; None before the first."""
        return max(0.0, now - self._path.stat().st_mtime) if self._path.exists() else None

    def load(self, extraction: Path) -> Imported:
        """Import an extraction (zip or text) and swap.

        Raises `Invalid` when its header is another, more than 0.1 % of its lines are malformed, or it holds less
        than half of what is in use: nothing changes then.
        """
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(draft)) as database, _lines(extraction) as lines:
                report = _fill(database, lines)
            self._believe(report)
            if self._path.exists():
                previous = self._path.with_suffix(".previous")
                previous.unlink(missing_ok=True)
                os.link(self._path, previous)
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)
        return report

    def _believe(self, report: Imported) -> None:
        if report.malformed * 1000 > report.lines + report.malformed:
            raise Invalid("ANNUAIRE-LINES", "", filled("{count} malformed lines", count=report.malformed))
        if report.lines < self._minimum or report.lines * 2 < len(self):
            raise Invalid("ANNUAIRE-SHORT", "", filled("{count} mailboxes only", count=report.lines))

    def _database(self) -> sqlite3.Connection:
        """This thread's connection to the file in use; opened again after a swap."""
        state = self._path.stat()
        stamp = (state.st_ino, state.st_mtime_ns)
        if getattr(self._local, "stamp", None) != stamp:
            self._local.connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            self._local.stamp = stamp
        connection: sqlite3.Connection = self._local.connection
        return connection


def refresh(annuaire: Annuaire, config: AnnuaireConfig, folder: Path, clock: Clock) -> Imported | None:
    """Fetch and import when it is time. Raises `Unavailable`, `OperatorFault`, `Invalid`; None when not due."""
    age = annuaire.age(clock.now())
    if config.extraction is None or (age is not None and age < config.refresh_hours * 3600):
        return None
    target = folder / f"extraction.{os.getpid()}"
    try:
        fetch(config.extraction, target, ca=config.ca, limit=LIMIT)
        return annuaire.load(target)
    finally:
        target.unlink(missing_ok=True)


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of an extraction, streamed out of its zip when it is one."""
    if not zipfile.is_zipfile(path):
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            yield iter(stream)
        return
    with zipfile.ZipFile(path) as archive:
        names = [info for info in archive.infolist() if not info.is_dir()]
        if len(names) != 1 or names[0].file_size > LIMIT:
            raise Invalid("ANNUAIRE-ZIP", "", "one file of at most 512 MB is expected in the archive")
        with archive.open(names[0]) as raw:
            yield iter(io.TextIOWrapper(_binary(raw), encoding="utf-8-sig", newline="\n"))


def _binary(raw: IO[bytes]) -> io.BufferedReader:
    return raw  # type: ignore[return-value]  # ZipExtFile is a BufferedIOBase


def _fill(database: sqlite3.Connection, lines: Iterator[str]) -> Imported:
    try:
        header = next(lines, "").rstrip("\r\n").split("|")
        if tuple(name.strip() for name in header[: len(HEADER)]) != HEADER:
            raise Invalid("ANNUAIRE-HEADER", "", "other columns than those of the published extraction")
        database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_SCHEMA}")
        tally = _Tally(lines)
        database.executemany("INSERT INTO bal VALUES (?, ?, ?, ?, ?, ?, ?)", tally)
        database.executescript(_INDEXES)
        database.commit()
    except UnicodeDecodeError as error:
        raise Invalid("ANNUAIRE-UTF8", "", "not in UTF-8") from error
    return Imported(tally.kept, tally.malformed)


class _Tally:
    """The rows to insert, counted as they pass."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.kept = self.malformed = 0

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        for line in self._lines:
            row = _row(line.rstrip("\r\n").split("|"))
            if row is None:
                self.malformed += 1
                continue
            self.kept += 1
            yield row


def _row(cells: list[str]) -> tuple[str, ...] | None:
    if len(cells) not in (COLUMNS, COLUMNS + 1):  # a final separator is tolerated
        return None
    try:
        address = addr_spec(cells[ADDRESS].strip()).lower()
    except (ValueError, UnicodeError):
        return None
    rpps = cells[PERSON].strip() if cells[ID_KIND].strip() == RPPS_KIND else ""
    return (
        address,
        cells[TYPE].strip(),
        rpps,
        finess(cells[STRUCTURE]),
        cells[SERVICE].strip(),
        cells[PROFESSION].strip(),
        cells[DEMAT].strip(),
    )


def finess(number: str) -> str:
    """A structure's number as compared: a Struct_IdNat of a FINESS (`1` + 9) loses its prefix (mssante §4.2)."""
    text = number.strip()
    return text[1:] if len(text) == 10 and text.startswith("1") else text
