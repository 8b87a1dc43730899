"""What the pages of the console work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from router.audit.event import AuditEvent
from router.config.site import Site
from router.console.fresh import Fresh
from router.console.mail_shelf import Shelf
from router.contracts import Clock
from router.runtime.status.views import Attention

if TYPE_CHECKING:
    from router.access.store import AccessStore
    from router.archive.item import Reading
    from router.console.desk import DeadLetterDesk
    from router.console.oidc import Oidc
    from router.console.runner import OrderRunner
    from router.console.store import ConsoleStore
    from router.console.watch import StatusWatch
    from router.runtime.site_services import SiteServices

FRESH: Final = 5.0
"""Seconds for which what waits is not counted again: each page has it in its head."""
Record = Callable[[AuditEvent], None]
"""Writes one line of the audit, durable when this returns. Raises `Unavailable`: then nothing is shown or done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleTools:
    """secure: whether people reach the console by https, itself or through a proxy
    oidc: the hospital's identity provider, where the site file names one
    mails: those that were just read, for the pictures of their page
    """

    site: Site
    services: SiteServices
    access: AccessStore
    record: Record
    store: ConsoleStore
    watch: StatusWatch
    desk: DeadLetterDesk
    runner: OrderRunner
    clock: Clock
    secure: bool = False
    archive: Reading | None = None
    """What left and what came back, where the site keeps it."""
    oidc: Oidc | None = None
    mails: Shelf = field(default_factory=Shelf)
    waits: Fresh[frozenset[str] | None, Attention] = field(default_factory=lambda: Fresh(FRESH))
    """What waits for a person, by the structures that she sees."""
