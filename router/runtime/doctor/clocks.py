"""Other clocks that the site file names: PostgreSQL's, Kafka's, that of the liste blanche's server."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from router.bus.opening import open_bus
from router.bus.settings import KafkaConfig
from router.contracts import JOURNAL
from router.database.examination import examine, is_postgresql
from router.directory.fetch import context
from router.errors import RouterError
from router.runtime.doctor.check import Installation

_SECONDS = 6.0


def others(installation: Installation) -> Iterator[tuple[str, float]]:
    """(whose clock, by how many seconds ours is ahead of it). Who can't be asked is left out: other checks tell it."""
    for look in (_postgresql, _kafka, _liste_blanche):
        try:
            yield from look(installation)
        except (RouterError, OSError, ValueError, http.client.HTTPException):
            continue


def _postgresql(installation: Installation) -> Iterator[tuple[str, float]]:
    database = installation.site.config.database
    url = database.resolve(installation.site.data / "ledger.db")
    if is_postgresql(url):
        before = time.time()
        found = examine(url)
        yield "PostgreSQL", (before + time.time()) / 2 - found.clock


def _kafka(installation: Installation) -> Iterator[tuple[str, float]]:
    """A record bears its broker's time: one from the future shows that our clock is behind. It shows nothing else."""
    config = installation.site.config.bus
    if not isinstance(config, KafkaConfig):
        return
    with closing(open_bus(config)) as bus:
        newest = next(iter(bus.scan(JOURNAL, newest_first=True, limit=1)), None)
    if newest is not None and (ahead := installation.clock.now() - newest.timestamp) < 0:
        yield "Kafka", ahead


def _liste_blanche(installation: Installation) -> Iterator[tuple[str, float]]:
    """The `Date` of its server's answer to HEAD, whatever the answer is."""
    config = installation.site.config.directory.liste_blanche
    parts = urlsplit(config.source)
    if "source" not in config.model_fields_set or parts.scheme != "https" or parts.hostname is None:
        return
    line = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=_SECONDS, context=context(config.ca))
    with closing(line):
        before = time.time()
        line.request("HEAD", parts.path or "/")
        date = line.getresponse().headers.get("Date", "")
    if date:
        yield parts.hostname, (before + time.time()) / 2 - parsedate_to_datetime(date).timestamp() - 0.5
