"""From what the DMP answered to what the router does: the one place where foreign failures become ours (dmp §5).

The tables `verdicts.csv` and `faults.csv` say what each code means; `verdicts` of the site file overrides a code.
Codes are kept in the faults we raise (`DMP-DMPClosed`). Free texts of the DMP may quote the patient: they are kept only
as `router.sinks.dmp.said` leaves them.
"""

from __future__ import annotations

import re
import ssl
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Final, cast, get_args

import aiohttp

from router.errors import Bug, OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.language import N_, filled
from router.sinks.dmp.answers import Fault, HttpAnswer
from router.sinks.dmp.codes import rows
from router.sinks.dmp.settings import Verdict

TRIES: Final = 3
"""Attempts for a code of class `limited`."""
UNKNOWN_TEXT: Final = "réponse du DMP perdue : le document est peut-être enregistré"
LONGEST_ASKED: Final = 3600.0
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")

#: HTTP statuses without a SOAP answer: (class when the request changes something, class when it only asks, sentence).
#: What changes something has arrived whole by then: only a status that says "refused" proves that nothing was done.
#: A 503 doesn't: a gateway says it too when the server behind it was too slow to answer.
HTTP_VERDICTS: Final[Mapping[int, tuple[str, str, str]]] = {
    400: ("permanent", "permanent", "requête refusée par le serveur"),
    401: ("config", "config", "le serveur ne nous reconnaît pas"),
    403: ("config", "config", "le serveur refuse notre certificat ou cette adresse"),
    404: ("config", "config", "aucun service à cette adresse"),
    405: ("config", "config", "aucun service à cette adresse"),
    408: ("unknown", "retry", "le serveur a trop attendu"),
    413: ("permanent", "permanent", "document trop volumineux pour le serveur"),
    415: ("permanent", "permanent", "format de requête refusé par le serveur"),
    429: ("retry", "retry", "le serveur demande de ralentir"),
    500: ("unknown", "retry", "erreur du serveur sans explication"),
    502: ("unknown", "retry", "serveur injoignable derrière sa passerelle"),
    503: ("unknown", "retry", "serveur indisponible"),
    504: ("unknown", "retry", "serveur muet derrière sa passerelle"),
}


class Verdicts:
    """The table in use: ours, with the site's own entries over it."""

    def __init__(self, own: Mapping[str, Verdict]) -> None:
        self._classes = {code: kind for code, (kind, _) in _table().items()} | dict(own)

    def of(self, code: str) -> Verdict:
        """The class of a code; `permanent` when nobody knows it (annexe A7-1 is not public)."""
        return self._classes.get(code, "permanent")

    def sentence(self, code: str) -> str:
        """A sentence in French for people, without any value of the message."""
        return _table().get(code, ("", N_("Refus du DMP sans explication connue")))[1]

    def fault(self, code: str, place: str, attempt: int, *, unsure: bool = False, said: str = "") -> RouterError:
        """The fault to raise for a code that isn't a success; `attempt` counts from 1.

        unsure: the DMP failed in the middle of a request that changes something, and doesn't say how far it came.
        said:   the DMP's own words, without any value (`router.sinks.dmp.said`): a refusal tells them to the sender
        """
        kind, name, text = self.of(code), f"DMP-{safe(code)}", self.sentence(code)
        if kind == "config":
            return OperatorFault(name, place, text)
        if kind == "retry":
            return Unavailable(name, place, text)
        if kind == "limited" and unsure:  # at the last attempt too: what follows in the lineage must know of the doubt
            return OutcomeUnknown(name, place, filled("{text} : le document est peut-être enregistré", text=text))
        if kind == "limited" and attempt < TRIES:
            return Unavailable(name, place, text, circuit=False)
        if said:
            text = filled("{text} — le DMP dit : {said}", text=text, said=said)
        return Refused(name, place, text, business=kind == "business")


def safe(code: str) -> str:
    """A code that can stand in a fault: the DMP's own if it looks like one, else `INCONNU`."""
    return code if _CODE.fullmatch(code) else "INCONNU"


def code_of(fault: Fault) -> str:
    """The code of a SOAP fault: by its text, else its subcode, else `FAULT-Sender` or `FAULT-Receiver`."""
    said = _plain(f"{fault.subcode} {fault.reason}")
    for words, code in _fault_texts():
        if words in said:
            return code
    if fault.subcode:
        return safe(fault.subcode)
    return "FAULT-Receiver" if fault.code == "Receiver" else "FAULT-Sender"


def http_fault(answer: HttpAnswer, place: str, *, feeding: bool, html: bool) -> RouterError:
    """The fault for an answer that holds no SOAP message.

    A page or a redirection shows a wrong address or certificate to who asks; to who has just fed a document it proves
    nothing: the verification that follows asks.
    """
    code, text = f"DMP-HTTP-{answer.status}", "le serveur renvoie vers une autre adresse"
    if html and answer.status < 300:
        code, text = "DMP-HTML", N_("le serveur répond par une page : adresse ou certificat à vérifier")
    if code == "DMP-HTML" or 300 <= answer.status < 400:
        return OutcomeUnknown(code, place, UNKNOWN_TEXT) if feeding else OperatorFault(code, place, text)
    default = ("unknown", "retry", N_("réponse du serveur illisible"))
    kinds = HTTP_VERDICTS.get(answer.status, default)
    text = kinds[2]
    match kinds[0] if feeding else kinds[1]:
        case "config":
            return OperatorFault(code, place, text)
        case "permanent":
            return Refused(code, place, text)
        case "unknown":
            return OutcomeUnknown(code, place, UNKNOWN_TEXT)
        case _:
            return Unavailable(code, place, text, retry_after=_seconds(answer.retry_after))


def transport_fault(error: Exception, place: str, *, sent: bool, feeding: bool) -> RouterError:
    """The fault for an exception of the HTTP client, of which neither class nor text is kept.

    `sent`: the whole request had been handed over.
    """
    tls = _tls_fault(error, place)
    if tls is not None and not (feeding and sent and not isinstance(error, NOT_SENT)):
        return tls
    if isinstance(error, NOT_SENT):
        return Unavailable("DMP-CONNECT", place, "serveur du DMP injoignable")
    if isinstance(error, aiohttp.InvalidURL):
        return OperatorFault("DMP-ADDRESS", place, "adresse du DMP inutilisable")
    if not isinstance(error, aiohttp.ClientError | OSError | TimeoutError):
        return Bug.of(error, place)
    code = "DMP-TIMEOUT" if isinstance(error, TimeoutError) else "DMP-CUT"
    if feeding and sent:
        return OutcomeUnknown(code, place, UNKNOWN_TEXT)
    return Unavailable(code, place, "échange avec le DMP interrompu")


NOT_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


def _tls_fault(error: Exception, place: str) -> OperatorFault | None:
    """A certificate or an algorithm that one side refuses; None for a connection that merely ended."""
    cause = _tls_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return OperatorFault("DMP-TLS-SERVER", place, "certificat du serveur refusé")
    ended = cause is None or isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    if not ended and (isinstance(error, aiohttp.ClientConnectorError) or _is_alert(cause)):
        return OperatorFault("DMP-TLS", place, "le serveur refuse notre certificat ou nos algorithmes")
    return None


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _is_alert(error: ssl.SSLError | None) -> bool:
    """A TLS alert of the server, not a mere end of the connection."""
    return error is not None and "ALERT" in (error.reason or "").upper()


def _seconds(text: str) -> float | None:
    """What a Retry-After asks for, an hour at most: a server does not decide that nobody looks any more."""
    return min(float(text), LONGEST_ASKED) if text.isascii() and text.isdigit() else None


def _plain(text: str) -> str:
    """Lower case without accents; typographic apostrophes become plain ones."""
    flat = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(one for one in flat if not unicodedata.combining(one)).lower()


@cache
def _table() -> Mapping[str, tuple[Verdict, str]]:
    known = get_args(Verdict)
    table = {}
    for code, kind, sentence in rows("verdicts.csv"):
        if kind not in known:
            raise OperatorFault("DMP-TABLE", "verdicts.csv", filled("classe inconnue pour {code}", code=code))
        table[code] = (cast(Verdict, kind), sentence)
    return table


@cache
def _fault_texts() -> list[tuple[str, str]]:
    return [(words, code) for words, code in rows("faults.csv")]
