"""The IMAP client, with limits that the library has not: how long a command may take, and how much a server may say.

A server may answer a partial FETCH (`BODY.PEEK[]<0.N>`) with a literal of any size, or with lines without end. The
library would read all of it into memory. A server that sends a byte now and then would hold it for ever.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
from contextlib import suppress
from typing import Any, Final

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from router.patience import Patience
from router.sinks.mssante.discovery import Way
from router.sinks.mssante.settings import ImapConfig, TlsConfig
from router.sinks.mssante.tls import client_context

_LINE: Final = 1_000_000
"""Bytes of one line, as in imaplib."""
_LINES: Final = 2_000_000
"""Bytes of the lines of one command's answer."""
_PIECE: Final = 64 * 1024
_SPARE: Final = 64 * 1024
"""Bytes of the literals in one answer beside the mail: names of folders."""


class AnswerTooLarge(OSError):
    """The server sent more than was asked. Nothing more is read of this connection.

    imaplib would make another error of one of its own.
    """


class BoundedIMAP4(imaplib.IMAP4):
    """`imaplib.IMAP4` that reads the socket itself: each command has its `Patience`, and its number of bytes.

    way:     where it goes; `host` is the name that the certificate must bear, as imaplib has it
    context: TLS from the first byte; None: plain, `starttls` may follow
    silence: seconds without a byte
    most:    bytes of the literals in the answer to one command
    """

    def __init__(self, way: Way, context: ssl.SSLContext | None, silence: float, most: int) -> None:
        self._way, self._context, self._silence, self._most = way, context, silence, most
        self._held = bytearray()
        self._heard: socket.socket | None = None
        self._begin()
        super().__init__(way.name, way.port, timeout=silence)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        plain = socket.create_connection((self._way.host, self._way.port), timeout)
        return plain if self._context is None else self._context.wrap_socket(plain, server_hostname=self.host)

    def _begin(self) -> None:
        self._patience = Patience(self._silence)
        self._literals = self._lines = 0

    def send(self, data: Any) -> None:
        """Each line that we write begins a command, or goes on with one."""
        self._begin()
        self.sock.settimeout(self._patience.left())
        super().send(data)

    def read(self, size: int) -> bytes:
        """A literal. Raises `AnswerTooLarge` before it is read, `TimeoutError`, `OSError`."""
        self._literals += size
        if self._literals > self._most:
            raise AnswerTooLarge("more than was asked")
        self._after_tls()
        while len(self._held) < size and self._receive():
            pass
        return self._taken(size)

    def readline(self) -> bytes:
        """A line with its end; what there is when the server has hung up. Raises as `read` does."""
        self._after_tls()
        looked = 0
        while (end := self._held.find(b"\n", looked)) < 0:
            looked = len(self._held)
            if looked > _LINE:
                raise AnswerTooLarge("a line without end")
            if not self._receive():
                break
        line = self._taken(end + 1 if end >= 0 else len(self._held))
        self._lines += len(line)
        if self._lines > _LINES:
            raise AnswerTooLarge("lines without end")
        return line

    def _after_tls(self) -> None:
        """What came in clear before the TLS that it belongs not to is forgotten."""
        if self.sock is not self._heard:
            self._held.clear()
            self._heard = self.sock

    def _receive(self) -> bool:
        piece = self._patience.receive(self.sock, _PIECE)
        self._held += piece
        return bool(piece)

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken


class BoundedClient(IMAPClient):  # type: ignore[misc]  # the library has no types
    """`IMAPClient` on a `BoundedIMAP4`. Arguments: see there."""

    def __init__(self, way: Way, context: ssl.SSLContext | None, silence: float, most: int) -> None:
        self._way, self._silence, self._most = way, silence, most
        super().__init__(way.name, way.port, ssl=context is not None, ssl_context=context)

    def _create_IMAP4(self) -> BoundedIMAP4:  # the library's name
        """Called by the library's constructor; the only place where it can be given a connection."""
        return BoundedIMAP4(self._way, self.ssl_context if self.ssl else None, self._silence, self._most)


def opened(way: Way, config: ImapConfig, tls: TlsConfig) -> BoundedClient:
    """A connection with the TLS that the configuration asks for; nobody is logged in yet.

    Raises `OperatorFault` for our files, what imapclient raises, and `OSError` (`ssl.SSLError` is one).
    """
    context = client_context(tls) if config.mode != "plain" else None
    first = context if config.mode == "tls" else None
    client = BoundedClient(way, first, config.timeout, config.max_mail_bytes + _SPARE)
    if config.mode == "starttls":
        try:
            client.starttls(context)
        except BaseException:
            with suppress(IMAPClientError, OSError):
                client.shutdown()
            raise
    return client
