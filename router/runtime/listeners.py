"""The ports on which a site listens, tried before a process falls on one that something else has."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from router.config.site import Site


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener of the site file: `what` it is there, and why its port can't be had now ("": it is free)."""

    what: str
    host: str
    port: int
    reason: str = ""

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def listeners(site: Site, *, admin: bool = False) -> Iterator[Listener]:
    """Every listener, its port tried; `admin`: that of the administration too."""
    config = site.config
    mllp = {f"feed {name}": feed.mllp for name, feed in config.feeds.items() if feed.mllp is not None}
    places = {what: (one.host, one.port) for what, one in mllp.items()}
    if config.http is not None:
        places["http"] = (config.http.host, config.http.port)
    if config.console is not None and config.processes["console"]:
        places["console"] = (config.console.host, config.console.port)
    if admin and config.admin.port:
        places["admin"] = (config.admin.host, config.admin.port)
    for what, (host, port) in places.items():
        yield Listener(what, host, port, _tried(host, port))


def occupied(site: Site, *, admin: bool = False) -> Iterator[Listener]:
    """Those whose port can't be bound now."""
    return (one for one in listeners(site, admin=admin) if one.reason)


def _tried(host: str, port: int) -> str:
    """Why this port can't be bound; "" when it can."""
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return ""
