"""The download of the public files, against servers that trickle or that lead elsewhere (mssante §6)."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from router.directory.fetch import fetch
from router.errors import OperatorFault, Unavailable
from router.simulators.authority import Certificates, make_certificates
from tests.trickle import PAUSE, trickle


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {})


def public(certificates: Certificates) -> ssl.SSLContext:
    """TLS of a server that asks nobody for a certificate."""
    context = certificates.server_context()
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.alone
@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_a_server_that_trickles_is_left(certificates: Certificates, tmp_path: Path, begin: bytes) -> None:
    """A byte now and then: the download ends within ten time-outs, and no refresh waits behind it for ever."""
    with trickle(begin, context=public(certificates)) as port:
        start = time.monotonic()
        with pytest.raises(Unavailable):
            fetch(f"https://127.0.0.1:{port}/x", tmp_path / "x", ca=certificates.ca, limit=1000, timeout=PAUSE * 4)
        assert time.monotonic() - start < PAUSE * 4 * 10 * 2.5


def test_a_redirection_to_plain_http_is_not_followed(certificates: Certificates, tmp_path: Path) -> None:
    """The list's authenticity rests on TLS alone: who leads to http leads away from it."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlist"
    with trickle(body, b"") as plain:
        away = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n" % plain
        with (
            trickle(away, b"", context=public(certificates)) as port,
            pytest.raises(OperatorFault, match="DIRECTORY-HTTP"),
        ):
            fetch(f"https://127.0.0.1:{port}/x", tmp_path / "x", ca=certificates.ca, limit=1000)
    assert (tmp_path / "x").read_bytes() == b""


def test_a_file_larger_than_its_limit_is_not_kept(certificates: Certificates, tmp_path: Path) -> None:
    """More bytes than the limit end the download."""
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    with (
        trickle(begin, b"", context=public(certificates)) as port,
        pytest.raises(Unavailable, match="DIRECTORY-SIZE"),
    ):
        fetch(f"https://127.0.0.1:{port}/x", tmp_path / "x", ca=certificates.ca, limit=1000)
