"""For which structures the client of one connection may speak (decisions D11)."""

from __future__ import annotations

from router.gateway.received import Feed


def structures_of(feed: Feed, names: frozenset[str]) -> frozenset[str] | None:
    """FINESS numbers that a client may speak for on a feed; empty: all those of the feed; None: it is not admitted.

    names: CN and DNS names of its certificate, empty when it showed none
    """
    if not feed.clients:
        return frozenset()
    granted = [feed.clients[name] for name in names if name in feed.clients]
    if not granted:
        return None
    return frozenset().union(*granted) if all(granted) else frozenset()
