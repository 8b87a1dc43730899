"""The DMP sink against a scripted TLS peer: answers that no sane server gives, and what it writes (dmp §10.20)."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from router.errors import OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.request import Action
from router.simulators.authority import Certificates, make_certificates
from router.simulators.sender import HOPITAL_A, Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import FIRST, made, opened
from tests.typed import present

SOAP = "http://www.w3.org/2003/05/soap-envelope"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
STATUS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("peer"), {HOPITAL_A.finess: HOPITAL_A.name})


def response(status: str = "Success", relates: str = "", inside: str = "") -> bytes:
    header = f'<w:RelatesTo xmlns:w="http://www.w3.org/2005/08/addressing">{relates}</w:RelatesTo>' if relates else ""
    return (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Header>{header}</s:Header><s:Body>'
        f'<r:RegistryResponse xmlns:r="{RS}" status="{STATUS}:{status}">{inside}</r:RegistryResponse>'
        "</s:Body></s:Envelope>"
    ).encode()


def http(body: bytes, kind: str = "application/soap+xml", status: int = 200, length: int | None = None) -> bytes:
    said = len(body) if length is None else length
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {said}\r\n\r\n".encode() + body


class Peer:
    """Answers each request with the next of its bytes (the last one again and again), then closes if they end early."""

    def __init__(self, certificates: Certificates, *answers: bytes) -> None:
        self._certificates = certificates
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> Peer:
        context = self._certificates.server_context(tls12_only=True)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/services"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(present(re.search(rb"(?i)content-length: (\d+)", head))[1])
                self.requests.append(head + await reader.readexactly(size))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                writer.write(answer)
                await writer.drain()
                declared = re.search(rb"Content-Length: (\d+)", answer)
                if declared is None or int(declared[1]) != len(answer.partition(b"\r\n\r\n")[2]):
                    break
        writer.close()


def play(
    certificates: Certificates,
    answers: list[bytes],
    story: Callable[[Peer, DmpSink], Awaitable[Any]],
    **changes: Any,
) -> None:
    async def run() -> None:
        async with Peer(certificates, *answers) as peer:
            sink = opened(certificates, HOPITAL_A.finess, peer.url, **changes)
            try:
                await story(peer, sink)
            finally:
                await sink.close()

    asyncio.run(run())


def sample() -> Any:
    maker = Maker(41)
    return maker.document("letter", maker.patient(age=50))


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (http(response(relates="urn:uuid:somebody-else")), OutcomeUnknown, "DMP-RELATES-TO"),
        (http(b"<html><body>Portail</body></html>", "text/html"), OutcomeUnknown, "DMP-HTML"),
        (http(response()[:100]), OutcomeUnknown, "DMP-HTTP-200"),
        (http(response(), length=5000), OutcomeUnknown, "DMP-CUT"),
        (http(b""), OutcomeUnknown, "DMP-HTTP-200"),
        (b"garbage\r\n\r\n", OutcomeUnknown, "DMP-CUT"),
        (http(b"x" * 200_000, "text/plain"), OutcomeUnknown, "DMP-ANSWER-SIZE"),
        (http(b"", status=302), OutcomeUnknown, "DMP-HTTP-302"),
        (http(response("Failure")), Refused, "DMP-INCONNU"),
        (http(response(), status=503), OutcomeUnknown, "DMP-HTTP-503"),
    ],
)
def test_answers_that_no_sane_server_gives(
    certificates: Certificates, answer: bytes, kind: type[RouterError], code: str
) -> None:
    """Of another request, a page, cut, empty, garbage, endless: each has its fault and none escapes."""

    async def story(peer: Peer, sink: DmpSink) -> None:
        with pytest.raises(kind) as caught:
            await sink.deliver(made(sample()), FIRST)
        assert caught.value.code == code

    play(certificates, [answer], story, max_answer_bytes=100_000)


def test_success_with_a_warning(certificates: Certificates) -> None:
    """The delivery succeeds and says what the DMP remarked."""
    warning = (
        '<r:RegistryErrorList><r:RegistryError errorCode="XDSExtraMetadataNotSaved" codeContext="nom du patient" '
        'severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning"/></r:RegistryErrorList>'
    )

    async def story(peer: Peer, sink: DmpSink) -> None:
        outcome = await sink.deliver(made(sample()), FIRST)
        assert "métadonnées" in outcome.text
        assert "patient" not in outcome.text

    play(certificates, [http(response(inside=warning))], story)


def test_the_most_telling_code_decides(certificates: Certificates) -> None:
    """A generic error beside DMPClosed: the closed DMP is the answer."""
    errors = "".join(
        f'<r:RegistryError errorCode="{code}" severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"/>'
        for code in ("XDSRegistryError", "DMPClosed")
    )
    answer = http(response("Failure", inside=f"<r:RegistryErrorList>{errors}</r:RegistryErrorList>"))

    async def story(peer: Peer, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(sample()), FIRST)
        assert caught.value.code == "DMP-DMPClosed"

    play(certificates, [answer], story)


def test_the_request_on_the_wire(certificates: Certificates) -> None:
    """MTOM headers, one Content-Length, CRLF between parts, the document's bytes in one piece, cids that match."""
    document = sample()

    async def story(peer: Peer, sink: DmpSink) -> None:
        await sink.deliver(made(document), FIRST)
        (sent,) = peer.requests
        head, _, body = sent.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /services/repository HTTP/1.1\r\n")
        assert b"transfer-encoding" not in head.lower()
        boundary = present(re.search(rb'boundary="([^"]+)"', head))[1]
        start = present(re.search(rb'start="<([^>]+)>"', head))[1]
        assert b'start-info="application/soap+xml"' in head
        assert b'action="urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"' in head
        parts = body.split(b"--" + boundary)
        assert parts[0] == b"" and parts[-1] == b"--\r\n"
        assert b"Content-ID: <" + start + b">\r\n" in parts[1]
        assert parts[2].endswith(b"\r\n\r\n" + document.content + b"\r\n")
        cids = re.findall(rb'href="cid:([^"]+)"', parts[1])
        assert [b"Content-ID: <" + cid + b">" in part for cid, part in zip(cids, parts[2:4], strict=True)] == [
            True,
            True,
        ]

    play(certificates, [http(response())], story)


def test_connections_are_used_again(certificates: Certificates) -> None:
    """Ten deliveries one after the other share one TLS connection."""

    async def story(peer: Peer, sink: DmpSink) -> None:
        for _ in range(10):
            await sink.deliver(made(sample()), FIRST)
        assert len(peer.requests) == 10
        assert peer.connections == 1

    play(certificates, [http(response())], story)


def test_several_references_of_one_document(certificates: Certificates) -> None:
    """After a metadata update TD3.1b may show two references: the last is replaced, the other if that is stale."""
    refs = [f"urn:uuid:6fa459ea-ee8a-3ca4-894e-db77e16035{n:02d}" for n in (1, 2)]
    listed = "".join(f'<o:ObjectRef xmlns:o="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0" id="{one}"/>' for one in refs)
    found = http(
        (
            f'<s:Envelope xmlns:s="{SOAP}"><s:Body><q:AdhocQueryResponse xmlns:q="{QUERY}" status="{STATUS}:Success">'
            f'<o:RegistryObjectList xmlns:o="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">{listed}'
            "</o:RegistryObjectList></q:AdhocQueryResponse></s:Body></s:Envelope>"
        ).encode()
    )
    stale = (
        '<r:RegistryErrorList><r:RegistryError errorCode="XDSReplaceFailed" '
        'severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"/></r:RegistryErrorList>'
    )
    failed = http(response("Failure", inside=stale))
    maker = Maker(41)
    first = maker.document("letter", maker.patient(age=50))
    second = maker.replacement(first)

    async def story(peer: Peer, sink: DmpSink) -> None:
        await sink.deliver(made(second, Action.REPLACE), FIRST)
        targets = [re.search(rb'targetObject="(urn:uuid:[^"]+)"', one) for one in (peer.requests[1], peer.requests[3])]
        assert [one[1].decode() for one in targets if one] == [refs[1], refs[0]]

    play(certificates, [found, failed, found, http(response())], story)


def test_a_server_that_refuses_our_certificate(certificates: Certificates, tmp_path: Path) -> None:
    """A TLS alert (our authority is unknown to the server) is our fault, not an outage."""
    other = make_certificates(tmp_path, {})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*certificates.pair("server"))
    context.load_verify_locations(other.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with suppress(ssl.SSLError, OSError):
            context.wrap_socket(connection, server_side=True)
        connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    async def run() -> None:
        sink = opened(certificates, HOPITAL_A.finess, f"https://127.0.0.1:{listener.getsockname()[1]}/x")
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample()), FIRST)
        assert caught.value.code == "DMP-TLS"
        await sink.close()

    asyncio.run(run())
    thread.join(5)
    listener.close()


def test_tls_is_1_2_exactly(certificates: Certificates) -> None:
    """A server that speaks TLS 1.3 alone gets nothing from us (PDT-INF-579)."""
    context = certificates.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    async def run() -> None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0, ssl=context)
        sink = opened(certificates, HOPITAL_A.finess, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")
        with pytest.raises((OperatorFault, Unavailable)):
            await sink.deliver(made(sample()), FIRST)
        await sink.close()
        server.close()

    asyncio.run(run())
