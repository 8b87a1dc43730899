"""How many connections a listener may have, and which one ends when one more comes.

Every accepted socket has a place, its TLS handshake included, so that connections that say nothing take no file
descriptor from another listener. When all places are taken, a connection that has not yet shown itself to be a sender
makes room, then one that was silent for long: of the peer that has the most, the most silent first.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from router.errors import OperatorFault
from router.gateway.complaints import Complaints
from router.language import filled

GRACE: Final = 1.5
"""Seconds that a new connection has to bring a message, when others want its place."""
_IDLE: Final = 30.0
"""Seconds of silence after which a known sender's connection makes room too: it will connect again."""
_OTHER_DESCRIPTORS: Final = 256
"""Descriptors that a gateway needs beside its senders' connections: files, databases, the bus, the event loop."""


class Place:
    """One accepted connection.

    end:     ends it at once; whoever has the connection sets it
    busy:    whether a message of it is in work: then it is left alone
    """

    def __init__(self, places: Places, peer: str, end: Callable[[], None]) -> None:
        self._places, self.peer, self.end = places, peer, end
        self.busy: Callable[[], bool] = _idle
        self.proven = False
        """A message of it was accepted."""
        self.since = self.heard = time.monotonic()

    def leave(self) -> None:
        """It is gone. May be called twice."""
        self._places.taken.pop(self, None)


class Places:
    """The places of one listener, which serves `feed` (`http` for the port of several)."""

    def __init__(self, limit: int, feed: str, complaints: Complaints) -> None:
        self.limit, self._feed, self._complaints = limit, feed, complaints
        self.taken: dict[Place, None] = {}

    def admit(self, peer: str, end: Callable[[], None]) -> Place | None:
        """A place for a connection of this peer, or None when it must be refused."""
        if len(self.taken) >= self.limit and not self._make_room(peer):
            self._complaints.turned_away(self._feed, peer, limit=self.limit)
            return None
        place = Place(self, peer, end)
        self.taken[place] = None
        return place

    def _make_room(self, peer: str) -> bool:
        now = time.monotonic()
        peers = Counter(place.peer for place in self.taken)
        grace = GRACE if peers[peer] + 1 >= max(peers.values()) else 0.0
        may_go = [place for place in self.taken if not place.busy() and _may_go(place, now, grace)]
        if not may_go:
            return False
        ended = max(may_go, key=lambda place: (peers[place.peer], not place.proven, now - place.heard))
        self._complaints.turned_away(self._feed, ended.peer, limit=self.limit, for_another=True)
        ended.leave()
        ended.end()
        return True


def _may_go(place: Place, now: float, grace: float) -> bool:
    return now - place.heard >= _IDLE if place.proven else now - place.since >= grace


def _idle() -> bool:
    return False


def needed_descriptors(connections: int) -> int:
    """Open files that a gateway with so many connections of senders needs."""
    return connections + _OTHER_DESCRIPTORS


def enough_descriptors(connections: int) -> None:
    """See that so many connections can be open at once: raises our soft limit of open files where that is too low.

    Raises `OperatorFault` (`NOFILE`) when the hard limit is too low: a listener that can't accept answers nobody.
    """
    needed = needed_descriptors(connections)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = filled(
            "the listeners may have {count} connections, which needs {wanted} open files; the limit is {limit}: "
            "raise it (LimitNOFILE=, ulimit -n) or lower them",
            count=connections,
            wanted=needed,
            limit=hard,
        )
        raise OperatorFault("NOFILE", "max_connections", text)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
