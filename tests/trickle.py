"""A peer that sends a byte now and then, for ever: no silence, and no end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PAUSE = 0.03


@contextmanager
def trickle(begin: bytes = b"", drop: bytes = b"a", *, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Its port. Each connection gets `begin`, then `drop` every `PAUSE` seconds."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            line = context.wrap_socket(accepted, server_side=True) if context is not None else accepted
            with line:
                line.sendall(begin)
                while not over.wait(PAUSE):
                    line.sendall(drop)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(2)
