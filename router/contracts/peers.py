"""Servers that a part of the site file names, as `doctor` tries them: it connects, and sends nothing of ours."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Starttls = Literal["", "smtp", "imap"]


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. `key`: where the site file names it, below its part (`imap`), "" for the part itself.

    tls:         makes the context of a connection from the files as they are now; None: the connection is in clear.
                 Raises `OperatorFault`, `OSError` or `ValueError` when a file can't be used
    starttls:    the protocol in which TLS is asked for first; "": TLS begins at once
    server_name: name that its certificate must bear, "": `host`
    other_names: names that its certificate may bear instead
    asked:       name that DNS is asked for, when it says where the server is; "": it is at `host`
    places:      the servers that DNS names, in the order to try. Raises `OperatorFault` or `Unavailable`
    """

    host: str
    port: int
    key: str = ""
    tls: Callable[[], ssl.SSLContext] | None = None
    starttls: Starttls = ""
    server_name: str = ""
    other_names: tuple[str, ...] = ()
    asked: str = ""
    places: Callable[[], Sequence[Peer]] | None = None
