"""What each failure of an SMTP conversation means for the runner (mssante §7). No foreign exception leaves.

A server's text may quote an address, so none of it is kept: our faults carry the code, the enhanced status and a
sentence of ours.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from aiosmtplib import errors

from router.errors import OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.language import filled
from router.sinks.mssante.codes import TOO_BIG, enhanced_of, error_code


class Phase(StrEnum):
    """Where in the conversation it failed; the names stand in the faults' `place`."""

    CONNECT = "CONNECT"
    LOGIN = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BODY = "BODY"
    """The body was written, the answer to the final dot was not read."""


#: Our credentials or our certificate: nothing is the message's fault (RFC 4954 §6).
CREDENTIALS: Final = frozenset({530, 534, 535, 538})
#: Some servers say it in words, after a handshake that went well (Postfix: 421 4.7.1).
_CERTIFICATE: Final = re.compile(r"\bcertificate\b", re.IGNORECASE)
#: Phases whose refusal speaks of us (sender, session), not of this message.
OURS: Final = frozenset({Phase.CONNECT, Phase.LOGIN, Phase.MAIL})
#: Phases whose temporary refusal speaks of the server, not of this recipient or message.
EVERYBODY: Final = OURS

SENTENCES: Final = {
    Phase.CONNECT: "le serveur de messagerie ne répond pas",
    Phase.LOGIN: "le serveur de messagerie refuse notre authentification",
    Phase.MAIL: "le serveur de messagerie refuse l'expéditeur",
    Phase.RCPT: "le serveur de messagerie refuse le destinataire",
    Phase.DATA: "le serveur de messagerie refuse l'envoi",
    Phase.BODY: "le serveur de messagerie refuse le message",
}


@contextmanager
def smtp_phase(phase: Phase) -> Iterator[None]:
    """Turn whatever aiosmtplib, ssl or the socket raise in this phase into one of ours."""
    try:
        yield
    except RouterError:
        raise
    except (
        errors.SMTPException,
        OSError,
        ssl.SSLError,
        asyncio.IncompleteReadError,
        RuntimeError,
        ValueError,
    ) as error:
        raise verdict(error, phase) from error


def verdict(error: BaseException, phase: Phase) -> RouterError:
    """The fault for a foreign exception."""
    if isinstance(error, errors.SMTPRecipientsRefused):
        return verdict(error.recipients[0], phase) if error.recipients else of_reply(554, "", phase)
    if isinstance(error, errors.SMTPResponseException):
        return of_reply(error.code, str(error.message), phase)
    if _certificate(error):
        return OperatorFault("MSS-TLS", phase, "certificat refusé : le nôtre, ou celui du serveur")
    if isinstance(error, errors.SMTPNotSupported) or _not_offered(error):
        return OperatorFault("MSS-SMTP", phase, "le serveur n'offre pas ce que la configuration demande")
    return _of_connection(error, phase)


def _of_connection(error: BaseException, phase: Phase) -> RouterError:
    """The fault for a connection that could not be made, went silent or was cut."""
    if phase is Phase.BODY:
        return OutcomeUnknown("MSS-442", phase, "connexion coupée après le point final")
    if isinstance(error, (errors.SMTPException, OSError)):
        code = "MSS-442" if phase not in OURS else _connect_code(error)
        return Unavailable(code, phase, SENTENCES[Phase.CONNECT])
    if phase in OURS:
        return OperatorFault("MSS-SMTP", phase, filled("session SMTP impossible ({error})", error=type(error).__name__))
    return Refused("MSS-501", phase, "commande SMTP impossible à écrire")


def of_reply(code: int, text: str, phase: Phase) -> RouterError:
    """The fault for a server's refusal."""
    enhanced = enhanced_of(text)
    told = filled("{text} ({status})", text=SENTENCES[phase], status=code)
    if enhanced:
        told = filled("{text} ({status} {enhanced})", text=SENTENCES[phase], status=code, enhanced=enhanced)
    if phase in OURS and _CERTIFICATE.search(text):
        return OperatorFault("MSS-TLS", phase, "le serveur de messagerie refuse notre certificat")
    if code in CREDENTIALS:
        return OperatorFault("MSS-530", phase, told)
    smtp = f"MSS-{error_code(enhanced=enhanced, reply=code, text=text)}"
    if 400 <= code < 500:
        return Unavailable(smtp, phase, told, circuit=code == 421 or phase in EVERYBODY)
    if phase is Phase.MAIL and (code == 552 or enhanced == "5.3.4"):
        return Refused(f"MSS-{TOO_BIG}", phase, told)
    if phase in OURS:
        return OperatorFault(smtp, phase, told)
    return Refused(smtp, phase, told)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _certificate(error: BaseException) -> bool:
    """Whether a certificate is why: the server's by our check, or ours by the server's alert."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        reason = f"{getattr(cause, 'reason', '') or ''} {cause}".upper() if isinstance(cause, ssl.SSLError) else ""
        if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason or "UNKNOWN CA" in reason):
            return True
    return False


def _not_offered(error: BaseException) -> bool:
    """aiosmtplib says with a bare SMTPException that STARTTLS or AUTH is not on offer."""
    return type(error) is errors.SMTPException and not isinstance(error, OSError)


def _connect_code(error: BaseException) -> str:
    """101 cannot connect, 111 refused (SMTPERRORCODE)."""
    return "MSS-111" if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)) else "MSS-101"
