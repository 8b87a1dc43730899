"""Value sets as data files: who belongs, and under which label (hl7-input §6.5, dmp §2.6).

One CSV per set, with its OID, version and source in the first lines. A set in the site's folder replaces ours; the
ANS publishes new versions several times a year, `segur-router cisis value-sets update` takes them.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from router.errors import OperatorFault

HEADER: Final = ["code", "system", "label"]
_PATTERN: Final = "JDV_*.csv"


@dataclass(frozen=True, slots=True)
class Concept:
    """One code: its system (OID) and its label."""

    code: str
    system: str
    label: str


@dataclass(frozen=True)
class ValueSet:
    """One set. `key`: short name and file stem (`JDV_J07`); `name`: official name; `version`: YYYYMMDD.

    unverified: codes that the official list of this version does not hold and a later one may; nobody is refused for
    them
    """

    key: str
    name: str = ""
    oid: str = ""
    version: str = ""
    source: str = ""
    concepts: tuple[Concept, ...] = field(default=(), repr=False)
    unverified: frozenset[str] = frozenset()

    @cached_property
    def by_code(self) -> Mapping[str, tuple[Concept, ...]]:
        """The concepts of each code; a code may stand in two systems."""
        found: dict[str, tuple[Concept, ...]] = {}
        for concept in self.concepts:
            found[concept.code] = (*found.get(concept.code, ()), concept)
        return found


class ValueSets:
    """All the sets by short name. Immutable: a reload makes another one."""

    def __init__(self, sets: Mapping[str, ValueSet]) -> None:
        self.sets = dict(sets)

    @classmethod
    def load(cls, folder: Path | None = None) -> ValueSets:
        """Ours, each replaced by the file of the same name in `folder`. Raises `OperatorFault` `VALUE-SET`."""
        found: dict[str, ValueSet] = {}
        for entry in sorted((files("router.cisis") / "data").iterdir(), key=lambda one: one.name):
            if entry.name.endswith(".csv"):
                found[entry.name[:-4]] = parse(entry.name[:-4], entry.read_text(encoding="utf-8"))
        if folder is not None and not folder.is_dir():
            raise OperatorFault("VALUE-SET", str(folder), "dossier de jeux de valeurs introuvable")
        for path in sorted(folder.glob(_PATTERN)) if folder is not None else ():
            found[path.stem] = parse(path.stem, _text(path))
        return cls(found)

    @cached_property
    def digest(self) -> str:
        """Changes with any code or label of any set."""
        found = hashlib.sha256()
        for key in sorted(self.sets):
            found.update(repr((key, self.sets[key].concepts)).encode())
        return found.hexdigest()

    def contains(self, name: str, code: str, system: str | None = None) -> bool | None:
        """Whether the code belongs (in that system, when given); None when the set is not loaded."""
        known = self.sets.get(name)
        if known is None:
            return None
        concepts = known.by_code.get(code, ())
        return any(system is None or concept.system == system for concept in concepts)

    def unverified(self, name: str, code: str) -> bool:
        """Whether the code is taken for a member without a proof: it passes, and a person is told."""
        known = self.sets.get(name)
        return known is not None and code in known.unverified

    def label(self, name: str, code: str) -> str | None:
        """The label of a code, None when set or code is unknown."""
        known = self.sets.get(name)
        concepts = known.by_code.get(code, ()) if known is not None else ()
        return concepts[0].label if concepts else None


@lru_cache(maxsize=1)
def shipped() -> ValueSets:
    """The sets that come with the router, read once: for labels, where no site's own set is at hand."""
    return ValueSets.load()


def parse(key: str, text: str) -> ValueSet:
    """Read one data file. Raises `OperatorFault` `VALUE-SET` that names the file."""
    lines = text.splitlines()
    notes = dict(_note(line) for line in lines if line.startswith("#"))
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    if not rows or rows[0] != HEADER or any(len(row) != len(HEADER) or not row[0] for row in rows):
        raise OperatorFault("VALUE-SET", f"{key}.csv", "chaque ligne doit être : code,system,label")
    return ValueSet(
        key=key,
        name=notes.get("name", key),
        oid=notes.get("oid", ""),
        version=notes.get("version", ""),
        source=notes.get("source", ""),
        unverified=frozenset(notes.get("unverified", "").split()),
        concepts=tuple(Concept(*row) for row in rows[1:]),
    )


def write(found: ValueSet) -> str:
    """The text of a data file: what `parse` reads."""
    lines = [f"# {key}: {value}" for key, value in _notes(found) if value]
    buffer = _Lines()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows((one.code, one.system, one.label) for one in found.concepts)
    return "\n".join(lines) + "\n" + "".join(buffer.lines)


class _Lines:
    """What `csv.writer` writes to."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, /) -> None:
        self.lines.append(text)


def _notes(found: ValueSet) -> list[tuple[str, str]]:
    doubtful = " ".join(sorted(found.unverified))
    return [
        ("name", found.name),
        ("oid", found.oid),
        ("version", found.version),
        ("source", found.source),
        ("unverified", doubtful),
    ]


def _note(line: str) -> tuple[str, str]:
    key, _, value = line.lstrip("# ").partition(":")
    return key.strip(), value.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorFault("VALUE-SET", path.name, "fichier illisible") from error
