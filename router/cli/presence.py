"""In one sentence: the router is not running, and since when. Commands whose answer depends on it say so first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.cli.times import ago, moment
from router.language import _

if TYPE_CHECKING:
    from router.runtime.presence import Presence
    from router.runtime.site_services import SiteServices


def absence(found: Presence, now: float) -> str:
    """The sentence; "" while the router runs, here or elsewhere."""
    if found.running:
        return ""
    if found.state == "never":
        return _("the router is not running: none has run on this data folder yet")
    at, since = moment(found.since), ago(found.since, now)
    if found.drained:
        return _("the router is not running: it was stopped on {moment} ({ago})", moment=at, ago=since)
    return _(
        "the router is not running: it ended at about {moment} ({ago}), killed or with its machine",
        moment=at,
        ago=since,
    )


def absence_from(services: SiteServices) -> str:
    """The same, looked for now on the bus and the data folder of a site whose bus is open."""
    from router.runtime.presence import presence

    return absence(presence(services.site, services.bus), services.clock.now())
