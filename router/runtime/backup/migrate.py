"""The tables of every room brought to this version, in a step of its own: for a chart's hook, before an upgrade."""

from __future__ import annotations

from contextlib import closing

from router.config.site import Site
from router.database import copies
from router.runtime.backup.manifest import ROOMS
from router.runtime.site_services import SiteServices


def migrate(site: Site) -> dict[str, tuple[int | None, int]]:
    """Room -> its version before (None: it had no tables) and after.

    Raises `OperatorFault` (`LEDGER-VERSION`) for a database of a newer version, `Unavailable` when it is away.
    """
    with closing(SiteServices(site, upgrade=True)) as services:
        urls = {room: services.url(room) for room in ROOMS}
        before = {room: copies.versions(url).get(room) for room, url in urls.items()}
        services.ledger().topics()  # raises when the database is away
        services.journal.oldest()
        services.register.find("")
        services.access.accounts.find("nobody")
        services.audit.head()
        services.traces.waiting()
        if services.keyring is not None:
            services.keyring.state()
        if services.archive is not None:
            services.archive.size()
        after = {room: copies.versions(url).get(room) for room, url in urls.items()}
    return {room: (before[room], version) for room, version in after.items() if version is not None}
