"""`host:port`, as people type it."""

from __future__ import annotations

from router.cli.output import fail


def host_and_port(text: str) -> tuple[str, int]:
    """Its two parts. Ends with one sentence when it is something else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        fail(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)
