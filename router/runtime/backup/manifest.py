"""What a backup says of itself: `manifest.json`, written last. A folder without it is no backup."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from router.contracts import Bus, Partition
from router.errors import OperatorFault
from router.exchange import Pseudonyms
from router.language import filled
from router.strict import Strict

FORMAT: Final = 1
"""Number of the form of a backup. An older router refuses a newer one."""
FILE: Final = "manifest.json"
BUS: Final = "bus.db"
DUMP: Final = "database.dump"
KEY: Final = "pseudonyms.key"
KEYRING: Final = "keyring"
"""Of data keys, each wrapped by a master key, which is in no backup. Copied last: it opens all of the rest."""
ROOMS: Final = ("ledger", "journal", "register", "access", "audit", "traces", "archive", KEYRING)
"""In this order: the ledger may lack what the bus has, never the other way round."""
NAME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z")
"""Of the folder of a backup: when it began."""
_CHUNK: Final = 1 << 20


Databases = Literal["sqlite", "postgresql", "elsewhere"]
"""`elsewhere`: the database has backups of its own."""


class CopiedFile(Strict):
    bytes: int
    sha256: str
    rows: dict[str, int] = Field(default_factory=dict, description="Of a database: rows of each table.")


class Manifest(Strict):
    """Times are Unix seconds; offsets are those of the next record, by topic and partition."""

    format: int
    version: str
    """Of the router that wrote it; "" for one that was not installed."""
    started: float
    finished: float
    environment: str
    running: bool
    """Whether a router ran on this data folder meanwhile."""
    bus: Literal["sqlite", "kafka"]
    database: Databases
    schemas: dict[str, int]
    ends: dict[str, dict[str, int]]
    """Of each topic, read before the first copy: whatever a copy holds was there, or came after it."""
    key: str
    """Fingerprint of the key of the pseudonyms."""
    files: dict[str, CopiedFile]
    """By their path in the backup."""

    def since(self, topic: str) -> dict[int, int]:
        """Partition -> where the topic ended when the backup began."""
        return {int(number): end for number, end in self.ends.get(topic, {}).items()}


def read(folder: Path) -> Manifest:
    """The manifest of a backup. Raises `OperatorFault`: no backup, damaged, or written by a newer version."""
    try:
        said = json.loads((folder / FILE).read_bytes())
        found = int(said["format"])
    except FileNotFoundError as error:
        raise OperatorFault("BACKUP-NONE", str(folder), "no backup: it has no manifest.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorFault("BACKUP-DAMAGED", str(folder / FILE), "not the manifest of a backup") from error
    if found > FORMAT:
        raise OperatorFault("BACKUP-VERSION", str(folder), by_newer(str(said.get("version", ""))))
    try:
        return Manifest.model_validate(said)
    except ValidationError as error:
        raise OperatorFault("BACKUP-DAMAGED", str(folder / FILE), "not the manifest of a backup") from error


def by_newer(version: str) -> str:
    """Why a backup is refused; `version`: of the router that wrote it."""
    return filled("written by a newer segur-router ({name}): restore it with that version", name=version[:40] or "?")


def latest(folder: Path) -> Path:
    """The backup itself, or the newest of a folder of backups. Raises `OperatorFault` where there is none."""
    if (folder / FILE).is_file():
        return folder
    if found := complete(folder):
        return found[-1]
    raise OperatorFault("BACKUP-NONE", str(folder), "no backup here: none has a manifest.json")


def complete(folder: Path) -> list[Path]:
    """The whole backups of a folder, the oldest first: their names are their times. Other folders are none of ours."""
    return sorted(path.parent for path in folder.glob(f"*/{FILE}") if NAME.fullmatch(path.parent.name))


def digest(path: Path) -> CopiedFile:
    """Size and digest of a file, read whole."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
            size += len(chunk)
    return CopiedFile(bytes=size, sha256=sha.hexdigest())


def fingerprint(pseudonyms: Pseudonyms) -> str:
    """Says whether two keys are the same, and nothing else of them."""
    return pseudonyms.of("segur-router", "backup")


def ends(bus: Bus, topics: list[str]) -> dict[str, dict[str, int]]:
    return {topic: {str(place.number): end for place, end in bus.ends(topic).items()} for topic in topics}


def partitions(topic: str, offsets: Mapping[int, int]) -> dict[Partition, int]:
    return {Partition(topic, number): at for number, at in offsets.items()}
