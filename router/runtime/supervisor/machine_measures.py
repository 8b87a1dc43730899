"""What the supervisor measures of the machine: version, site file, disk, last backup."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Final

from router.config.load import Source
from router.contracts import EVENT_FORMAT, Observer
from router.errors import ConfigFault
from router.software import our_version

LOOK_SECONDS: Final = 15.0
BACKUP: Final = "backup.json"
"""In the data folder: `{"finished": <Unix seconds>}`, written by `segur-router backup` when all of it is good."""


class SiteFileWatch:
    """Whether a site file says something else than it did: it is read at the start alone."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._looked_at = source.text
        self._changed = False

    def changed(self) -> bool:
        """Look now. Other comments or another order of keys change nothing; a file that can't be read has changed."""
        try:
            text = self._source.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return True
        if text != self._looked_at:
            self._looked_at, self._changed = text, self._differs(text)
        return self._changed

    def _differs(self, text: str) -> bool:
        try:
            return Source(self._source.path, text).data != self._source.data
        except ConfigFault:
            return True


class MachineMeasures:
    """`data`: the data folder; `site`: the site file that the router was started with."""

    def __init__(self, data: Path, site: Source, observer: Observer) -> None:
        self._data = data
        self._site = SiteFileWatch(site)
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
        self._observer.set("site_file_changed", self._site.changed())
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
