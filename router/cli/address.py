"""`host:port`, as people type it."""

from __future__ import annotations

from router.cli.output import fail
from router.language import _


def host_and_port(text: str) -> tuple[str, int]:
    """Its two parts. Ends with one sentence when it is something else."""
    host, colon, port = text.rpartition(":")
    if not (host and colon) or not port.isdigit() or int(port) > 65535:
        fail(_("{text} is not host:port", text=repr(text)))
    return host.strip("[]"), int(port)
