"""The tables of every room brought to this version, in a step of its own: for a chart's hook, before an upgrade."""

from __future__ import annotations

from contextlib import closing

from router.database import copies
from router.ledger.store import SqlLedger
from router.runtime.backup.manifest import ROOMS
from router.runtime.site_services import SiteServices


def migrate(services: SiteServices) -> dict[str, tuple[int | None, int]]:
    """Room -> its version before (None: it had no tables) and after.

    Raises `OperatorFault` (`LEDGER-VERSION`) for a database of a newer version, `Unavailable` when it is away.
    """
    before = {room: copies.versions(services.url(room)).get(room) for room in ROOMS}
    with closing(SqlLedger(services.url("ledger"))) as ledger:
        ledger.topics()  # raises when the database is away
    services.journal.oldest()
    services.register.find("")
    services.audit.head()
    services.traces.waiting()
    if services.keyring is not None:
        services.keyring.state()
    if services.archive is not None:
        services.archive.size()
    after = {room: copies.versions(services.url(room)).get(room) for room in ROOMS}
    return {room: (before[room], version) for room, version in after.items() if version is not None}
