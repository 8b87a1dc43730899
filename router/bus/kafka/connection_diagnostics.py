"""Why a cluster refuses our connection, in one sentence that says what to mend.

kafka-python tries again until its time is up, and then says only that it could not begin. So we connect ourselves
before the first client of a process opens, and again after a client could not open: one TCP connection, one TLS
handshake, one request. A broker that is away is `Unavailable`. Every other fault is an `OperatorFault`.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

from kafka.errors import KafkaConnectionError
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from router.bus.kafka.errors import trouble
from router.bus.settings import KafkaConfig, KafkaTls
from router.errors import OperatorFault
from router.patience import Patience
from router.tls import client_context, show_certificate

#: ApiVersions v0 and Metadata v1 of no topic, each with its length: any broker since 0.10 answers both, in order.
_API_VERSIONS: Final = b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff"
_METADATA: Final = b"\0\0\0\x0e\0\x03\0\1\0\0\0\2\xff\xff\0\0\0\0"
_ATTEMPTS: Final = 3
_PAUSE: Final = 0.3
"""Seconds between two attempts."""

#: OpenSSL's X509_V_ERR_… -> what to mend.
_UNVERIFIED: Final = {
    9: "the broker's certificate is not valid yet: compare the clocks of both machines",
    10: "the broker's certificate has expired: its operator must renew it",
    62: "the broker's certificate does not bear the name in bus.servers: use the name that it bears",
    64: "the broker's certificate does not bear the address in bus.servers: use the name that it bears",
}
_UNKNOWN_AUTHORITY: Final = "the broker's certificate comes from an authority that bus.tls.ca does not hold"

_TLS_WANTED: Final = "this port of the broker speaks TLS: set bus.tls"
_NO_TLS: Final = "this port of the broker does not speak TLS"
_TLS_ALERT: Final = 0x15
_LARGEST: Final = 64 * 2**20
"""Bytes of a reply that Kafka may send us: what says a larger size (an HTTP server: `HTTP`) is no broker."""
_SILENCE: Final = 30.0
"""Seconds of a line that has no time-out of its own."""

#: Alerts of TLS about *our* certificate (RFC 8446 §6.2), as OpenSSL spells them.
_OUR_CERTIFICATE: Final = ("ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_", "ALERT_UNKNOWN_CA", "ALERT_UNSUPPORTED_CERT")
#: The other side ended without a word; which of the two depends on how Python was built.
_SILENT_END: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


def refusal(config: KafkaConfig, settings: Mapping[str, Any]) -> OperatorFault | None:
    """Why the first broker that answers does not let us in; None when it does, or when none answers.

    settings: what kafka-python's clients are opened with. Waits at most `request_timeout` for each step.
    """
    try:
        context = _context(config.tls) if config.tls else None
    except OperatorFault as fault:
        return fault
    for host, port in _addresses(config.servers):
        try:
            _knock(context, host, port, config)
        except OperatorFault as fault:
            return fault
        except OSError:
            continue
        here = {**settings, "bootstrap_servers": [f"{host}:{port}"]}
        return _sasl(config, here) if config.sasl else None
    return None


def _addresses(servers: str) -> Iterator[tuple[str, int]]:
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if port.isdigit():
            yield host.strip("[]"), int(port)


# ------------------------------------------------------------------------------------------- certificates


def _context(tls: KafkaTls) -> ssl.SSLContext:
    """As kafka-python makes its own. Raises `OperatorFault` that names the setting whose file is wrong."""
    try:
        context = client_context(tls.ca, system=True)
    except ssl.SSLError as error:
        raise OperatorFault("KAFKA-FILE", "bus.tls.ca", "this file holds no certificate in PEM") from error
    except OSError as error:
        raise OperatorFault("KAFKA-FILE", "bus.tls.ca", "this file can't be read") from error
    context.check_hostname = tls.check_hostname
    if tls.certificate:
        try:
            show_certificate(context, tls.certificate, tls.key)
        except ssl.SSLError as error:
            text = "certificate and key must be PEM, belong together, and bear no password"
            raise OperatorFault("KAFKA-FILE", "bus.tls.certificate", text) from error
        except OSError as error:
            text = "the file of our certificate, or of its key, can't be read"
            raise OperatorFault("KAFKA-FILE", "bus.tls.certificate", text) from error
    return context


# ------------------------------------------------------------------------------------------ one connection


class _Silent(Exception):
    """The broker ended the connection without a word. It means `fault` when it does so again and again."""

    def __init__(self, fault: OperatorFault) -> None:
        super().__init__(fault)
        self.fault = fault


def _knock(
    context: ssl.SSLContext | None, host: str, port: int, config: KafkaConfig, attempts: int = _ATTEMPTS
) -> None:
    """Raises `OperatorFault` when the broker does not talk to us on this port, `OSError` when it is away.

    One that is about to end, or whose connections are cut, is silent too: silence must repeat itself to count.
    """
    try:
        _talk(socket.create_connection((host, port), config.request_timeout), context, host, config)
    except _Silent as silent:
        if attempts == 1:
            raise silent.fault from silent
        time.sleep(_PAUSE)
        _knock(context, host, port, config, attempts - 1)


def _talk(plain: socket.socket, context: ssl.SSLContext | None, host: str, config: KafkaConfig) -> None:
    """Raises `OperatorFault`, `_Silent` or `OSError`."""
    with ExitStack() as opened:
        opened.enter_context(plain)
        line = plain
        if context is not None:
            line = opened.enter_context(_handshake(plain, context, host))
        line.sendall(_API_VERSIONS)
        tls = "the broker ended the connection without a reason" if context else _TLS_WANTED
        _answer(line, OperatorFault("KAFKA-TLS", "bus.tls", tls))
        if config.sasl:
            return  # the client's own exchange will tell
        line.sendall(_METADATA)
        _answer(line, OperatorFault("KAFKA-SASL", "bus.sasl", "this port of the broker wants a password: set bus.sasl"))


def _handshake(plain: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        text = _UNVERIFIED.get(error.verify_code, _UNKNOWN_AUTHORITY)
        raise OperatorFault("KAFKA-TLS", "bus.tls.ca", text) from error
    except ssl.SSLError as error:
        if isinstance(error, _SILENT_END):
            raise _Silent(OperatorFault("KAFKA-TLS", "bus.tls", _NO_TLS)) from error
        raise _alert(error) from error
    except ConnectionError as error:
        raise _Silent(OperatorFault("KAFKA-TLS", "bus.tls", _NO_TLS)) from error


def _alert(error: ssl.SSLError) -> OperatorFault:
    """What the broker's alert says of us."""
    reason = error.reason or ""
    if any(sign in reason for sign in _OUR_CERTIFICATE):
        text = (
            "the broker refuses our certificate: it is missing, has expired, or comes from an authority that the "
            "broker does not trust"
        )
        return OperatorFault("KAFKA-TLS", "bus.tls.certificate", text)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return OperatorFault("KAFKA-TLS", "bus.tls", _NO_TLS)
    return OperatorFault("KAFKA-TLS", "bus.tls", "the broker and we find no common ground in TLS: versions or ciphers")


def _answer(line: socket.socket, silence: OperatorFault) -> None:
    """Read a whole reply of Kafka. In TLS 1.3 the verdict on our certificate arrives with the first read.

    Raises `OperatorFault` for an alert, `_Silent` for the end of the connection.
    """
    try:
        patience = Patience(line.gettimeout() or _SILENCE)
        size = int.from_bytes(_exactly(line, 4, patience), "big")
        if size >> 24 == _TLS_ALERT and not isinstance(line, ssl.SSLSocket):
            raise OperatorFault("KAFKA-TLS", "bus.tls", _TLS_WANTED)
        if size > _LARGEST:
            raise _Silent(silence)
        _exactly(line, size, patience)
    except (EOFError, ConnectionError, *_SILENT_END) as error:
        raise _Silent(silence) from error
    except ssl.SSLError as error:
        raise _alert(error) from error


def _exactly(line: socket.socket, count: int, patience: Patience) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = patience.receive(line, min(count - len(found), 65_536))
        if not part:
            raise EOFError
        found += part
    return bytes(found)


def _sasl(config: KafkaConfig, settings: Mapping[str, Any]) -> OperatorFault | None:
    """What the broker that just talked to us says of our name and password.

    It answers and closes at once, and kafka-python loses an answer that arrives with the end of the connection:
    then the end itself, each time, is the answer.
    """
    for _ in range(_ATTEMPTS):
        error = _exchange(config, settings)
        if error is None:
            return None
        found = trouble(error)
        if isinstance(found, OperatorFault):
            return OperatorFault(found.code, "bus.sasl", found.text)
    if not isinstance(error, KafkaConnectionError):
        return None
    text = "the broker refuses our name or password, or does not speak this mechanism"
    return OperatorFault("KAFKA-SASL", "bus.sasl", text)


def _exchange(config: KafkaConfig, settings: Mapping[str, Any]) -> BaseException | None:
    """One authentication by kafka-python with the first broker of `bus.servers`; why it failed, if it did."""
    milliseconds = config.request_timeout * 1000
    net = NetworkSelector()
    manager = KafkaConnectionManager(net, **settings)
    try:
        broker = manager.cluster.bootstrap_brokers()[0]
        line = manager.get_connection(broker.node_id, timeout_ms=milliseconds, refresh_metadata_on_err=False)
        net.poll(timeout_ms=milliseconds, future=line.init_future)
        if line.init_future.succeeded():
            return None
        error: BaseException | None = line.init_future.exception
        return error or TimeoutError()
    finally:
        manager.close()
        net.close()
