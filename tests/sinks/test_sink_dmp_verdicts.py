"""Failures of the HTTP client and answers of the DMP: each becomes one of our faults, none escapes (dmp §5)."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, get_args

import aiohttp
import pytest

from router.errors import Bug, MessageFault, OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.sinks.dmp import answers
from router.sinks.dmp.answers import Fault, HttpAnswer, Unreadable
from router.sinks.dmp.channel import Pace
from router.sinks.dmp.settings import Verdict
from router.sinks.dmp.verdicts import HTTP_VERDICTS, Verdicts, code_of, http_fault, safe, transport_fault

SOAP = "http://www.w3.org/2003/05/soap-envelope"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
OK = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"


def refused_connection(cause: OSError | None = None) -> aiohttp.ClientConnectorError:
    key: Any = SimpleNamespace(host="dmp", port=443, ssl=True)
    return aiohttp.ClientConnectorError(key, cause or OSError(111, "text"))


def every_client_error() -> Iterator[Exception]:
    """One of each exception class of aiohttp's client, whatever its constructor wants."""
    key: Any = SimpleNamespace(host="dmp", port=443, ssl=True)
    request: Any = SimpleNamespace(real_url="https://dmp")
    kinds = [
        kind for kind in vars(aiohttp).values() if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
    ]
    assert len(kinds) > 20
    for kind in kinds:
        made: Any = kind
        if issubclass(kind, aiohttp.ClientConnectorCertificateError):
            yield made(key, ssl.SSLCertVerificationError(1, "text"))
        elif issubclass(kind, aiohttp.ClientConnectorError):
            yield made(key, OSError(111, "text"))
        elif issubclass(kind, aiohttp.ClientResponseError):
            yield made(request, (), message="text")
        elif issubclass(kind, aiohttp.ServerFingerprintMismatch):
            yield made(b"text", b"text", "dmp", 443)
        else:
            yield made("text")


@pytest.mark.parametrize("error", list(every_client_error()), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("sent", "feeding"), list(itertools.product([False, True], repeat=2)))
def test_no_error_of_the_client_is_a_bug(error: Exception, sent: bool, feeding: bool) -> None:
    """A new exception class in a future aiohttp fails here and not in production; its text is never kept."""
    fault = transport_fault(error, "TD2.1", sent=sent, feeding=feeding)
    assert isinstance(fault, RouterError)
    assert not isinstance(fault, Bug)
    assert "text" not in str(fault)
    if isinstance(fault, OutcomeUnknown):
        assert sent and feeding


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ConnectionTimeoutError("x"), Unavailable),
        (refused_connection(), Unavailable),
        (aiohttp.SocketTimeoutError("x"), OutcomeUnknown),
        (TimeoutError(), OutcomeUnknown),
        (aiohttp.ServerDisconnectedError("x"), OutcomeUnknown),
        (aiohttp.ClientPayloadError("x"), OutcomeUnknown),
        (aiohttp.ClientOSError(104, "x"), OutcomeUnknown),
        (aiohttp.InvalidURL("x"), OperatorFault),
        (ConnectionResetError(), OutcomeUnknown),
        (ValueError("x"), Bug),
    ],
)
def test_after_the_whole_lot_was_sent(error: Exception, kind: type) -> None:
    """What may have happened is unknown; what can't have happened waits."""
    assert type(transport_fault(error, "TD2.1", sent=True, feeding=True)) is kind


def test_an_alert_after_the_whole_lot_was_sent_proves_nothing() -> None:
    """The handshake was done and the lot handed over: what ended the connection then says nothing of the lot."""
    error = aiohttp.ClientOSError(1, "x")
    error.__cause__ = ssl.SSLError(1, "[SSL: SSLV3_ALERT_BAD_RECORD_MAC]")
    error.__cause__.reason = "SSLV3_ALERT_BAD_RECORD_MAC"
    assert type(transport_fault(error, "TD2.1", sent=True, feeding=True)) is OutcomeUnknown
    assert type(transport_fault(error, "TD3.1b", sent=True, feeding=False)) is OperatorFault


REFUSED = {400, 401, 403, 404, 405, 413, 415, 429}


@pytest.mark.parametrize("status", [200, 202, 204, 302, 303, 307, 408, 409, 418, 500, 502, 503, 504, 520, *REFUSED])
@pytest.mark.parametrize("html", [True, False])
def test_only_a_refusal_proves_that_nothing_was_fed(status: int, html: bool) -> None:
    """Whatever answers a lot without SOAP and without saying "refused" leaves its outcome unknown."""
    fault = http_fault(HttpAnswer(status, "text/html", b""), "TD2.1", feeding=True, html=html)
    assert isinstance(fault, OutcomeUnknown) is (status not in REFUSED)


def test_a_question_is_never_of_unknown_outcome() -> None:
    """TD3.1b and a lot that was not sent whole may simply be tried again."""
    assert type(transport_fault(aiohttp.SocketTimeoutError("x"), "TD3.1b", sent=True, feeding=False)) is Unavailable
    assert type(transport_fault(aiohttp.ClientOSError(104, "x"), "TD2.1", sent=False, feeding=True)) is Unavailable


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "DMP-TLS-SERVER"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA]"), "DMP-TLS"),
        (ssl.SSLEOFError(8, "EOF"), "DMP-CONNECT"),
    ],
)
def test_tls_failures(cause: ssl.SSLError, code: str) -> None:
    """A refused certificate is our configuration; a connection that merely ends is an outage."""
    error = refused_connection(cause)
    error.__cause__ = cause
    assert transport_fault(error, "TD2.1", sent=False, feeding=True).code == code


# ------------------------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize("kind", get_args(Verdict))
def test_a_site_overrides_a_code(kind: Any) -> None:
    """`verdicts: {DMPNouveau: …}` in the site file decides, without code."""
    verdicts = Verdicts({"DMPNouveau": kind})
    assert verdicts.of("DMPNouveau") == kind
    fault = verdicts.fault("DMPNouveau", "TD2.1", 1)
    assert fault.code == "DMP-DMPNouveau"
    expected = {"config": OperatorFault, "retry": Unavailable, "limited": Unavailable}.get(kind, Refused)
    assert type(fault) is expected


def test_unknown_codes_are_permanent_and_harmless() -> None:
    """Nobody knows annex A7-1: the default is a refusal; a code that isn't one never reaches a log."""
    fault = Verdicts({}).fault("DUPONT Jean né le 1/1/1970", "TD2.1", 1)
    assert isinstance(fault, Refused)
    assert fault.code == "DMP-INCONNU"
    assert safe("XDSRegistryBusy") == "XDSRegistryBusy"


def test_every_code_has_a_french_sentence() -> None:
    """Operators and senders read them."""
    verdicts = Verdicts({})
    for code in ("XDSRegistryBusy", "DMPClosed", "XDSDuplicateUniqueIdInRegistry", "STRUCTURE", "NF"):
        assert len(verdicts.sentence(code)) > 5
        assert verdicts.sentence(code) != verdicts.sentence("inconnu")


@pytest.mark.parametrize("status", [*HTTP_VERDICTS, 200, 302, 418, 599])
@pytest.mark.parametrize("feeding", [True, False])
def test_every_http_status_has_a_verdict(status: int, feeding: bool) -> None:
    """With or without a page, whatever the status."""
    for html in (True, False):
        fault = http_fault(HttpAnswer(status, "text/html", b""), "TD2.1", feeding=feeding, html=html)
        assert isinstance(fault, OperatorFault | Unavailable | OutcomeUnknown | MessageFault)
        assert feeding or not isinstance(fault, OutcomeUnknown)


@pytest.mark.parametrize(
    ("asked", "waited"), [("120", 120), ("9" * 400, 3600), ("²", None), ("Thu, 26 Nov 2026 10:00:00 GMT", None)]
)
def test_a_server_that_says_when_to_come_back_is_listened_to(asked: str, waited: float | None) -> None:
    """For an hour at most: it does not decide that nobody looks any more."""
    fault = http_fault(HttpAnswer(503, "", b"", asked), "TD3.1b", feeding=False, html=False)
    assert isinstance(fault, Unavailable)
    assert fault.retry_after == waited


def test_codes_of_faults() -> None:
    """By words whatever accents and apostrophes, else by subcode, else by role."""
    assert code_of(Fault("Sender", "", "ERREUR D’AUTHENTIFICATION DE LA PERSONNE MORALE")) == "AUTHENTIFICATION"
    assert code_of(Fault("Sender", "DMPQuelconque", "")) == "DMPQuelconque"
    assert code_of(Fault("Receiver", "", "")) == "FAULT-Receiver"
    assert code_of(Fault("Sender", "", "")) == "FAULT-Sender"


# -------------------------------------------------------------------------------------------------------- answers


def soap(body: str, header: str = "") -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>'.encode()


def http(body: bytes, kind: str = "application/soap+xml", status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, kind, body)


RESPONSE = soap(f'<r:RegistryResponse xmlns:r="{RS}" status="{OK}"/>')
MULTIPART = (
    b"--B\r\nContent-Type: text/plain\r\nContent-ID: <other>\r\n\r\nnot this\r\n"
    b"--B\r\nContent-Type: application/xop+xml\r\ncontent-id: <root@dmp>\r\n\r\n" + RESPONSE + b"\r\n--B--\r\n"
)


@pytest.mark.parametrize(
    "answer",
    [
        http(RESPONSE),
        http(b"\xef\xbb\xbf" + RESPONSE),
        http(b"\r\n" + RESPONSE + b"\r\n"),
        http(MULTIPART, 'multipart/related; boundary="B"; start="<root@dmp>"; type="application/xop+xml"'),
        http(
            MULTIPART,
            'Multipart/Related; type="application/xop+xml"; start="<root@dmp>"; boundary=B',
        ),
        http(RESPONSE, ""),
    ],
)
def test_answers_are_read(answer: HttpAnswer) -> None:
    """Plain or multipart, with a byte order mark or blank lines, with or without a Content-Type."""
    assert answers.registry(answers.envelope(answer).payload).ok


@pytest.mark.parametrize(
    ("answer", "html"),
    [
        (http(b""), False),
        (http(b"<html><body/></html>", "text/html"), True),
        (http(b"<!DOCTYPE html><html><body>x</body></html>"), True),
        (http(b"<html><br>", "application/soap+xml"), True),
        (http(RESPONSE[:-20]), False),
        (http(MULTIPART[:30], "multipart/related; boundary=B"), False),
        (http(MULTIPART, "multipart/related"), False),
        (http(b"no part here", "multipart/related; boundary=B"), False),
        (http(b"<a/>"), False),
        (http(f'<s:Envelope xmlns:s="{SOAP}"/>'.encode()), False),
        (http(soap("")), False),
        (http(b'<!DOCTYPE a [<!ENTITY x "y">]>' + RESPONSE), False),
    ],
    ids=range(12),  # ids of the form `answer10` would be found by `-k R10`
)
def test_what_is_no_answer(answer: HttpAnswer, html: bool) -> None:
    """Empty, cut, a page, a DOCTYPE: unreadable, and a page is told from garbage."""
    with pytest.raises(Unreadable) as caught:
        answers.envelope(answer)
    assert caught.value.html is html


def test_registry_errors_are_read() -> None:
    """Codes without their namespace, warnings told apart."""
    errors = (
        '<r:RegistryErrorList><r:RegistryError errorCode="urn:x:XDSExtraMetadataNotSaved" codeContext="c" '
        'severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning"/></r:RegistryErrorList>'
    )
    body = soap(f'<r:RegistryResponse xmlns:r="{RS}" status="{OK}">{errors}</r:RegistryResponse>')
    read = answers.registry(answers.envelope(http(body)).payload)
    assert read.ok
    assert [(one.code, one.warning) for one in read.errors] == [("XDSExtraMetadataNotSaved", True)]


def test_a_payload_without_status_is_unreadable() -> None:
    """An answer to another question is no success."""
    with pytest.raises(Unreadable):
        answers.registry(answers.envelope(http(soap('<x xmlns="urn:x"/>'))).payload)


def test_soap_11_faults_are_read() -> None:
    """Some servers fall back to SOAP 1.1 for faults."""
    body = (
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        b"<faultcode>s:Client</faultcode><faultstring>DMP ferm\xc3\xa9</faultstring></s:Fault></s:Body></s:Envelope>"
    )
    fault = answers.envelope(http(body, status=500)).fault
    assert fault is not None
    assert code_of(fault) == "DMPClosed"


@pytest.mark.parametrize(
    ("kind", "rest", "expected"),
    [
        ("AA", '<queryAck><queryResponseCode code="NF"/></queryAck>', ("NF", "", "")),
        (
            "AA",
            '<queryAck><queryResponseCode code="OK"/></queryAck><patient><statusCode code="terminated"/></patient>',
            ("OK", "terminated", ""),
        ),
        ("AE", "", ("", "", "X1")),
    ],
)
def test_existence_is_read(kind: str, rest: str, expected: tuple[str, str, str]) -> None:
    """TD0.2: found or not, closed or not, or an error's code."""
    detail = '<acknowledgementDetail><code code="X1"/></acknowledgementDetail>' if kind == "AE" else ""
    body = (
        f'<PRPA_IN201308UV02 xmlns="urn:hl7-org:v3"><acknowledgement><typeCode code="{kind}"/>{detail}'
        f"</acknowledgement>{rest}</PRPA_IN201308UV02>"
    )
    read = answers.existence(answers.envelope(http(soap(body))).payload)
    assert (read.found, read.status, read.error) == expected


# ----------------------------------------------------------------------------------------------------------- pace


def test_turns_are_evenly_spaced() -> None:
    """Five per second: ten calls at once begin over 1.8 s, and a pause earns no burst."""
    now, begun = [100.0], []

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def run() -> None:
        pace = Pace(5, lambda: now[0], sleep)
        for _ in range(10):
            await pace.turn()
            begun.append(now[0])
        now[0] += 60
        await pace.turn()
        await pace.turn()
        begun.append(now[0])

    asyncio.run(run())
    assert begun[9] - begun[0] == pytest.approx(1.8)
    assert begun[10] == pytest.approx(161.8 + 0.2, abs=0.3)
