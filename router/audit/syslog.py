"""Syslog over TLS: one message as RFC 5424 writes it, framed as RFC 5425 says, on a connection that is kept.

A collector answers nothing. A message counts as handed over once the collector's machine has confirmed every byte
(Linux, SIOCOUTQ). What that machine loses afterwards nobody can tell.
"""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
import termios
import time
from datetime import UTC, datetime
from typing import Final

from router.audit.settings import CollectorConfig
from router.errors import OperatorFault, Unavailable
from router.language import filled
from router.tls import client_context

_PRIORITY: Final = 10 * 8 + 5
"""Facility security/authorization (10), severity notice (5): DICOM PS3.15 A.6."""
_BOM: Final = b"\xef\xbb\xbf"
_LOOK_SECONDS: Final = 0.005


def message(payload: bytes, at: float, host: str, kind: str = "DICOM+RFC3881") -> bytes:
    """One SYSLOG-MSG; `kind` is its MSGID (RFC 5424 §6, DICOM PS3.15 A.6)."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = "".join(one for one in host if "!" <= one <= "~")[:255] or "-"
    head = f"<{_PRIORITY}>1 {moment} {name} segur-router {os.getpid()} {kind} - "
    return head.encode() + _BOM + payload


def frame(said: bytes) -> bytes:
    """`MSG-LEN SP SYSLOG-MSG` (RFC 5425 §4.3)."""
    return str(len(said)).encode() + b" " + said


class Connection:
    """A connection to the collector, made when it is needed. One thread."""

    def __init__(self, config: CollectorConfig) -> None:
        self._config = config
        self._socket: ssl.SSLSocket | None = None

    def send(self, said: bytes) -> None:
        """Returns once the collector's machine has every byte.

        Raises `Unavailable` (`AUDIT-COLLECTOR`): whether it has the message is not known, so it is sent again;
        `OperatorFault` (`AUDIT-COLLECTOR-TLS`) for a certificate.
        """
        try:
            made = self._socket = self._socket or self._open()
            self._hear(made)
            made.sendall(frame(said))
            self._arrived(made)
        except ssl.SSLCertVerificationError as error:
            self.close()
            text = "the certificate of the audit's collector is not one that we trust"
            raise OperatorFault("AUDIT-COLLECTOR-TLS", "collector", text) from error
        except OSError as error:  # ssl.SSLError and TimeoutError are some
            self.close()
            text = filled("the audit's collector can't be reached ({error})", error=type(error).__name__)
            raise Unavailable("AUDIT-COLLECTOR", "collector", text) from error

    def close(self) -> None:
        made, self._socket = self._socket, None
        if made is not None:
            made.close()

    def _open(self) -> ssl.SSLSocket:
        config = self._config
        try:
            context = client_context(config.ca, config.certificate, config.key, system=config.ca is None)
        except (OSError, ValueError) as error:
            text = "a file of the audit's collector can't be used: authority, certificate or key"
            raise OperatorFault("AUDIT-COLLECTOR-TLS", "collector", text) from error
        plain = socket.create_connection((config.host, config.port), config.timeout)
        try:
            made = context.wrap_socket(plain, server_hostname=config.host)
        except BaseException:
            plain.close()
            raise
        made.settimeout(config.timeout)
        return made

    def _hear(self, made: ssl.SSLSocket) -> None:
        """Raises `ConnectionResetError` when the collector has hung up since: what is written then arrives nowhere."""
        made.settimeout(0)
        try:
            if made.recv(1) == b"":
                raise ConnectionResetError
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        finally:
            made.settimeout(self._config.timeout)

    def _arrived(self, made: ssl.SSLSocket) -> None:
        """Wait until no byte is without its confirmation; then look whether the other side has hung up."""
        deadline = time.monotonic() + self._config.timeout
        while _unconfirmed(made):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(_LOOK_SECONDS)
        self._hear(made)


def _unconfirmed(made: socket.socket) -> int:
    """Bytes that the other machine has not confirmed."""
    count: int = struct.unpack("i", fcntl.ioctl(made.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    return count
