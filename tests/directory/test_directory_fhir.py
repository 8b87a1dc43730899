"""The FHIR interface of the annuaire, against a server on loopback (mssante §5.1)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from router.directory.fhir import FhirAnnuaire
from router.directory.settings import FhirConfig
from router.errors import Malformed, OperatorFault, Unavailable
from tests.trickle import PAUSE, trickle

MESSAGING = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type"
METADATA = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"


def telecom(address: str, kind: str = "PER", code: str = "MSSANTE") -> dict[str, Any]:
    known = [{"url": "type", "valueCodeableConcept": {"coding": [{"code": kind}]}}, {"url": "inconnu"}]
    return {
        "system": "email",
        "value": address,
        "extension": [
            {"url": MESSAGING, "valueCoding": {"code": code}},
            {"url": METADATA, "extension": [*known, {"url": "digitization", "valueBoolean": True}]},
        ],
    }


class Annuaire(ThreadingHTTPServer):
    """Answers what it was given, page by page, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: list[Any] = []
        self.status = 200
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/fhir/v2"


class Handler(BaseHTTPRequestHandler):
    server: Annuaire

    def do_GET(self) -> None:
        place = urlparse(self.path)
        query = parse_qs(place.query)
        self.server.asked.append((place.path, query, self.headers.get("ESANTE-API-KEY")))
        body = self.server.pages[int(query.get("page", ["0"])[0])]
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Annuaire]:
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    running = Annuaire()
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def bundle(*resources: dict[str, Any], next_page: str = "") -> dict[str, Any]:
    links = [{"relation": "next", "url": next_page}] if next_page else []
    return {"resourceType": "Bundle", "link": links, "entry": [{"resource": resource} for resource in resources]}


def client(server: Annuaire) -> FhirAnnuaire:
    return FhirAnnuaire(FhirConfig.model_validate({"url": server.url, "key": {"env": "ANNUAIRE_KEY"}}))


def test_mailboxes_come_from_the_person_and_his_roles_over_all_pages(server: Annuaire) -> None:
    """Ordinary mails and unreadable addresses are left out, the same box counts once, the key is shown."""
    person = {
        "resourceType": "Practitioner",
        "telecom": [telecom("Dr@medecin.mssante.fr"), telecom("x@gmail.com", code="MAIL")],
    }
    role = {
        "resourceType": "PractitionerRole",
        "telecom": [telecom("dr@medecin.mssante.fr"), telecom("cab@chu.fr", "CAB")],
    }
    broken = {"resourceType": "PractitionerRole", "telecom": [telecom("pas une adresse"), {"value": "a@b.fr"}]}
    server.pages = [bundle(person, next_page=f"{server.url}/Practitioner?page=1"), bundle(role, broken)]
    found = client(server).mailboxes(rpps="10003456789")
    assert [(box.address, box.type, box.demat) for box in found] == [
        ("dr@medecin.mssante.fr", "PER", "O"),
        ("cab@chu.fr", "CAB", "O"),
    ]
    path, query, key = server.asked[0]
    assert (path, query["identifier"], key) == ("/fhir/v2/Practitioner", ["10003456789"], "k-1")
    assert len(server.asked) == 2


def test_the_key_is_not_taken_to_another_server(server: Annuaire) -> None:
    """A `next` that leads elsewhere is not followed."""
    server.pages = [bundle(next_page="http://ailleurs.invalid/fhir?page=1")]
    assert client(server).mailboxes(finess="750100125") == ()
    assert server.asked[0][0] == "/fhir/v2/Organization"


@pytest.mark.parametrize(
    ("status", "page", "kind"),
    [
        (401, {}, OperatorFault),
        (429, {}, Unavailable),
        (500, b"", Unavailable),
        (200, b"<html>", Malformed),
        (200, [], Malformed),
    ],
)
def test_each_failure_has_its_kind(server: Annuaire, status: int, page: Any, kind: type[Exception]) -> None:
    """A refused key is ours to mend; the rest passes, or isn't FHIR."""
    server.status, server.pages = status, [page]
    with pytest.raises(kind):
        client(server).mailboxes(rpps="10003456789")


def test_the_key_does_not_go_over_plain_http_where_it_went_by_tls(server: Annuaire) -> None:
    """A `next` with another scheme or port on the same host is another server."""
    for elsewhere in ("https://127.0.0.1:{port}/fhir/v2/Practitioner", "http://127.0.0.1:9/fhir/v2/Practitioner"):
        server.asked.clear()
        server.pages = [bundle(next_page=elsewhere.format(port=server.server_address[1]))]
        assert client(server).mailboxes(rpps="10003456789") == ()
        assert len(server.asked) == 1


def test_an_answer_without_end_is_not_read_to_its_end(server: Annuaire) -> None:
    """A page larger than any real one ends with a fault, before it fills the memory."""
    server.pages = [b" " * (9 << 20)]
    with pytest.raises(Unavailable, match="DIRECTORY-SIZE"):
        client(server).mailboxes(rpps="10003456789")


@pytest.mark.alone
@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_a_server_that_trickles_is_left(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    """A byte now and then: the call ends within ten time-outs."""
    monkeypatch.setenv("ANNUAIRE_KEY", "k-1")
    with trickle(begin) as port:
        config = {"url": f"http://127.0.0.1:{port}", "key": {"env": "ANNUAIRE_KEY"}, "timeout": PAUSE * 4}
        start = time.monotonic()
        with pytest.raises(Unavailable):
            FhirAnnuaire(FhirConfig.model_validate(config)).mailboxes(rpps="10003456789")
        assert time.monotonic() - start < PAUSE * 4 * 10 * 2.5
