"""One connection to a server: TCP, TLS as we would use it, and goodbye. Nothing of ours is sent, nobody logs in."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from router.contracts.peers import Peer
from router.errors import RouterError
from router.language import N_, filled, filled_plural
from router.runtime.doctor.check import Verdict, good, remark, wrong

CONNECT: Final = 8.0
"""Seconds for the connection, for each answer, and for the handshake."""
SILENCE: Final = 0.5
"""In TLS 1.3 a server refuses our certificate after the handshake: so long we listen for it."""
SOON: Final = 30 * 86_400.0
_LINE: Final = 4096
_REFUSALS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""Words in OpenSSL's reason for an alert by which a server refuses our certificate (RFC 8446 §6.2)."""

_OTHER_NAME: Final = N_("its certificate bears another name")

#: Verify error of OpenSSL (X509_V_ERR_…) -> what is wrong, and what to do.
_UNTRUSTED: Final = {
    2: (N_("its issuer is unknown to us"), N_("name the file of its authority (`ca`)")),
    3: (N_("no revocation list of its issuer"), N_("name a file with the lists of all issuers (`crl`)")),
    9: (N_("its certificate is not valid yet"), N_("see the check `clock`")),
    10: (N_("its certificate has expired"), N_("ask the partner for a new one; see the check `clock`")),
    12: (N_("the revocation list has expired"), N_("fetch the list again (`crl`)")),
    18: (N_("its certificate is signed by itself"), N_("name that certificate as `ca`, if it is the partner's")),
    19: (N_("its chain ends at an authority that we do not trust"), N_("name the file of its authority (`ca`)")),
    20: (N_("its issuer is unknown to us"), N_("name the file of its authority (`ca`)")),
    21: (N_("its chain is not complete"), N_("name the file of its authority (`ca`), intermediates included")),
    23: (N_("its certificate is revoked"), N_("ask the partner")),
    62: (_OTHER_NAME, N_("write the name that it bears as `host`, or `server_name`")),
    64: (N_("its certificate does not bear this address"), N_("write the name that it bears as `host`")),
}


def probe(name: str, peer: Peer, now: float) -> Iterator[Verdict]:
    """What a connection shows; one more for each name that its certificate may bear too. Raises nothing."""
    found: list[Verdict] = []
    for server_name in (peer.server_name, *peer.other_names):
        found = list(_probe(name, replace(peer, server_name=server_name), now))
        if not any(verdict.text == _OTHER_NAME for verdict in found):
            break
    yield from found


def _probe(name: str, peer: Peer, now: float) -> Iterator[Verdict]:
    subject = f"{name} {peer.host}:{peer.port}"
    try:
        context = peer.tls() if peer.tls is not None else None
    except RouterError as fault:
        yield wrong(
            subject, filled("our own files: {code} {reason}", code=fault.code, reason=fault.text), "doctor --only keys"
        )
        return
    except (OSError, ValueError) as error:
        yield wrong(
            subject,
            filled("our own files: {code} {reason}", code=type(error).__name__, reason=""),
            "doctor --only keys",
        )
        return
    begun = time.monotonic()
    try:
        with socket.create_connection((peer.host, peer.port), CONNECT) as line:
            if context is None:
                taken = f"{1000 * (time.monotonic() - begun):.0f}"
                yield good(subject, filled("answers in {number} ms, in clear", number=taken))
                return
            yield from _secured(subject, peer, context, line, now)
    except TimeoutError:
        yield wrong(subject, "no answer: a firewall drops what we send", f"nc -vz {peer.host} {peer.port}")
    except socket.gaierror:
        yield wrong(subject, "its name is not known", f"getent hosts {peer.host}")
    except ConnectionRefusedError:
        yield wrong(subject, "nobody listens there, or a firewall refuses", f"nc -vz {peer.host} {peer.port}")
    except OSError as error:
        yield wrong(subject, error.strerror or type(error).__name__, f"nc -vz {peer.host} {peer.port}")


def _secured(subject: str, peer: Peer, context: ssl.SSLContext, line: socket.socket, now: float) -> Iterator[Verdict]:
    if peer.starttls and (refusal := _starttls(peer, line)):
        yield wrong(subject, refusal, f"openssl s_client -starttls {peer.starttls} -connect {peer.host}:{peer.port}")
        return
    look = f"openssl s_client -connect {peer.host}:{peer.port}"
    try:
        with context.wrap_socket(line, server_hostname=peer.server_name or peer.host) as secure:
            _listen(secure, peer)
            version, ends = secure.version() or "?", _ends(secure)
    except ssl.SSLCertVerificationError as error:
        text, fix = _UNTRUSTED.get(error.verify_code, (N_("its certificate is not trusted"), ""))
        yield wrong(subject, text, fix or look)
        return
    except ssl.SSLError as error:
        reason = error.reason or ""
        refused = "ALERT" in reason and any(word in reason for word in _REFUSALS)
        text = "the server refuses our certificate" if refused else "no common ground in TLS, or the port has no TLS"
        yield wrong(subject, text, "doctor --only keys" if refused else look)
        return
    except (ConnectionResetError, BrokenPipeError, EOFError):
        yield wrong(subject, "the server ends the handshake: does it know our certificate?", look)
        return
    days = int((ends - now) // 86_400)
    told = filled_plural(
        "{version}, its certificate ends in {count} day",
        "{version}, its certificate ends in {count} days",
        days,
        version=version,
    )
    yield remark(subject, told, "") if ends - now < SOON else good(subject, told)


def _ends(secure: ssl.SSLSocket) -> float:
    """Unix time at which the server's certificate ends."""
    found = secure.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(found["notAfter"]))


def _listen(secure: ssl.SSLSocket, peer: Peer) -> None:
    """What the server has to say of our certificate; then goodbye, in its protocol. Raises `ssl.SSLError`."""
    secure.settimeout(SILENCE)
    try:
        if secure.recv(1) == b"" and secure.version() == "TLSv1.3":
            raise EOFError
    except TimeoutError:
        pass
    secure.settimeout(CONNECT)
    if peer.starttls:
        secure.sendall(b"QUIT\r\n" if peer.starttls == "smtp" else b"x LOGOUT\r\n")


def _starttls(peer: Peer, line: socket.socket) -> str:
    """Ask for TLS in the protocol; "" once the server agrees, else what is wrong. Raises `OSError`."""
    if peer.starttls == "smtp":
        if not _answer(line, b" ").startswith(b"220"):
            return N_("the server does not greet as SMTP does")
        line.sendall(b"EHLO localhost\r\n")
        if b"STARTTLS" not in _answer(line, b" ").upper():
            return N_("the server does not offer STARTTLS: is `mode: tls` right?")
        line.sendall(b"STARTTLS\r\n")
        return "" if _answer(line, b" ").startswith(b"220") else N_("the server refuses STARTTLS")
    if not _answer(line, b"").upper().startswith(b"* OK"):
        return N_("the server does not greet as IMAP does")
    line.sendall(b"a STARTTLS\r\n")
    return "" if _answer(line, b"").upper().startswith(b"A OK") else N_("the server refuses STARTTLS")


def _answer(line: socket.socket, last: bytes) -> bytes:
    """An answer of SMTP (`last` is a blank: the line whose code is followed by one is the last), or a line of IMAP."""
    found = b""
    while len(found) < 16 * _LINE:
        part = line.recv(_LINE)
        if not part:
            break
        found += part
        if found.endswith(b"\n") and (not last or found.rstrip().splitlines()[-1][3:4] in (last, b"")):
            break
    return found
