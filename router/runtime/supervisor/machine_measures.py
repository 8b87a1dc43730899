"""What the supervisor measures of the machine: version, disk, last backup."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Final

from router.contracts import EVENT_FORMAT, Observer
from router.software import our_version

LOOK_SECONDS: Final = 15.0
BACKUP: Final = "backup.json"
"""In the data folder: `{"finished": <Unix seconds>}`, written by `segur-router backup` when all of it is good."""


class MachineMeasures:
    """`data`: the data folder."""

    def __init__(self, data: Path, observer: Observer) -> None:
        self._data = data
        self._observer = observer

    async def watch(self) -> None:
        """Until cancelled."""
        self._observer.set("build_info", 1, version=our_version(), events=str(EVENT_FORMAT))
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Set the gauges."""
        self._observer.set("backup_timestamp_seconds", self._backup())
        try:
            disk = shutil.disk_usage(self._data)
        except OSError:  # a volume that is away: the workers say so
            return
        self._observer.set("disk_free_bytes", disk.free)
        self._observer.set("disk_size_bytes", disk.total)

    def _backup(self) -> float:
        """Unix time at which the last good backup ended; 0 when there was none, or nobody can read when."""
        try:
            return float(json.loads((self._data / BACKUP).read_text(encoding="utf-8"))["finished"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0.0
