"""The extraction file of the annuaire santé, read line by line (mssante §5.2): nothing of it is held in memory.

`lines` opens a zip or a text; `rows` reads its lines. A file that is cut, in another encoding or of other columns is
`Invalid`: an import of it must change nothing.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Final

from router.directory.addresses import addr_spec
from router.directory.mailboxes import Mailbox, Profession, finess
from router.errors import Invalid
from router.language import filled

LIMIT: Final = 1024 * 2**20
"""Bytes of an extraction at most; the published one had 90 MB in 2026."""
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
TYPE, ADDRESS, ID_KIND, PERSON, STRUCTURE, SERVICE = 0, 1, 2, 3, 6, 7
PROFESSION, PROFESSION_LABEL, SKILL, SKILL_LABEL, DEMAT, COMPANY, SIGN = 13, 14, 15, 16, 17, 18, 19
RPPS_KIND: Final = "8"
"""Column 3 of a person named by RPPS; 0: by ADELI."""

Progress = Callable[[int, int], None]
"""(bytes read, bytes in all), now and then."""
LONGEST: Final = 254
"""Characters of an address (RFC 5321)."""
TELL_BYTES: Final = 1 << 20


class Line:
    """One line: its mailbox, the profession of its person, the name of its structure."""

    __slots__ = ("box", "company", "profession")

    def __init__(self, box: Mailbox, profession: Profession | None, company: str) -> None:
        self.box, self.profession, self.company = box, profession, company


class Rows:
    """Iterates over the lines of one file; counts as they pass. Raises `Invalid` from `__iter__`.

    malformed: lines that could not be read
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.malformed = 0

    def __iter__(self) -> Iterator[Line]:
        try:
            header = next(self._lines, "").rstrip("\r\n").split("|")
            if tuple(name.strip() for name in header[: len(HEADER)]) != HEADER:
                raise Invalid("ANNUAIRE-HEADER", "", "other columns than those of the published extraction")
            for text in self._lines:
                row = _row(text.rstrip("\r\n").split("|"))
                if row is not None:
                    yield row
                elif not text.endswith("\n"):
                    raise Invalid("ANNUAIRE-CUT", "", "the last line is cut: this is not the whole file")
                else:
                    self.malformed += 1
        except UnicodeDecodeError as error:
            raise Invalid("ANNUAIRE-UTF8", "", "not in UTF-8") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise Invalid("ANNUAIRE-ZIP", "", "the archive is damaged or cut") from error


@contextmanager
def lines(path: Path, progress: Progress | None = None) -> Iterator[Iterator[str]]:
    """The lines of an extraction, streamed out of its zip when it is one. Raises `Invalid` for another kind of zip."""
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
        stream.seek(0)
        if not zipped:
            yield _text(_Told(stream, path.stat().st_size, progress))
            return
        try:
            archive = zipfile.ZipFile(stream)
        except zipfile.BadZipFile as error:
            raise Invalid("ANNUAIRE-ZIP", "", "the archive is damaged or cut") from error
        with archive:
            names = [info for info in archive.infolist() if not info.is_dir()]
            if len(names) != 1 or names[0].file_size > LIMIT:
                megabytes = LIMIT // 2**20
                text = filled("one file of at most {megabytes} MB is expected in the archive", megabytes=megabytes)
                raise Invalid("ANNUAIRE-ZIP", "", text)
            with archive.open(names[0]) as raw:
                yield _text(_Told(raw, names[0].file_size, progress))


class _Told(io.RawIOBase):
    """A stream that says how far it was read."""

    def __init__(self, stream: IO[bytes], size: int, progress: Progress | None) -> None:
        self._stream, self._size, self._progress = stream, size, progress
        self._read = self._said = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # a writable buffer
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._read += len(data)
        if self._progress is not None and (self._read - self._said >= TELL_BYTES or not data):
            self._said = self._read
            self._progress(self._read, self._size)
        return len(data)


def _text(raw: io.RawIOBase) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(raw, 1 << 18), encoding="utf-8-sig", newline="\n")


def _row(cells: list[str]) -> Line | None:
    if len(cells) not in (COLUMNS, COLUMNS + 1):  # a final separator is tolerated
        return None
    address = _address(cells[ADDRESS].strip())
    if not address:
        return None
    person = cells[PERSON].strip() if cells[ID_KIND].strip() == RPPS_KIND else ""
    code = cells[PROFESSION].strip()
    box = Mailbox(
        address,
        cells[TYPE].strip().upper(),
        rpps=person,
        structure=finess(cells[STRUCTURE]),
        service=cells[SERVICE].strip(),
        profession=code,
        demat=cells[DEMAT].strip().upper(),
    )
    known = Profession(code, cells[PROFESSION_LABEL].strip(), cells[SKILL].strip(), cells[SKILL_LABEL].strip())
    return Line(box, known if person and code else None, cells[COMPANY].strip() or cells[SIGN].strip())


def _address(text: str) -> str:
    """The address in lower case, "" when it is none. Domains repeat: each is judged once."""
    local, at, domain = text.rpartition("@")
    if not at or not local.isascii():
        return ""
    clean = _domain(domain)
    try:
        address = f"{addr_spec(f'{local}@a.b')[:-4]}@{clean}".lower()
    except ValueError:
        return ""
    return address if clean and len(address) <= LONGEST else ""


@lru_cache(maxsize=20_000)
def _domain(name: str) -> str:
    try:
        return addr_spec(f"a@{name}").partition("@")[2]
    except (ValueError, UnicodeError):
        return ""
