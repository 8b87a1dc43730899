"""The ports on which a site listens, tried before a process falls on one that something else has."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from router.config.site import Site


@dataclass(frozen=True, slots=True)
class Occupied:
    """A listener whose port can't be had: `what` it is in the site file, and why."""

    what: str
    host: str
    port: int
    reason: str

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def occupied(site: Site, *, admin: bool = False) -> Iterator[Occupied]:
    """Every listener's port that can't be bound now; `admin`: that of the administration too."""
    config = site.config
    listeners = {f"feed {name}": feed.mllp for name, feed in config.feeds.items() if feed.mllp is not None}
    places = {what: (one.host, one.port) for what, one in listeners.items()}
    if config.http is not None:
        places["http"] = (config.http.host, config.http.port)
    if admin and config.admin.port:
        places["admin"] = (config.admin.host, config.admin.port)
    for what, (host, port) in places.items():
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                yield Occupied(what, host, port, error.strerror or type(error).__name__)
