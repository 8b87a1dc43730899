"""Peers of the sinks that never are silent and never end: each call has a last moment."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from router.errors import OutcomeUnknown, Unavailable
from router.patience import TOTAL, Patience, patient
from router.simulators.authority import Certificates, make_certificates
from router.simulators.sender import HOPITAL_A
from router.sinks.dmp.answers import HttpAnswer, Unreadable, envelope
from router.sinks.dmp.settings import DmpConfig
from tests.sinks.dmp_world import FIRST, made, opened
from tests.sinks.test_sink_dmp_peer import sample
from tests.trickle import trickle

SILENCE = 0.1


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("peer"), {HOPITAL_A.finess: HOPITAL_A.name})


def test_a_slow_line_has_its_time_and_a_trickle_has_not() -> None:
    """The whole call takes ten silences at most, and the time that its bytes need at 16 kB/s."""
    now = [0.0]
    call = Patience(60, lambda: now[0])
    for _ in range(2000):  # 20 MB at 17 kB/s
        now[0] += 0.6
        call.moved(10_000)
        assert call.left() > 0
    call = Patience(60, lambda: now[0])
    began = now[0]
    with pytest.raises(TimeoutError):
        while True:
            now[0] += 30
            call.moved(1)
            call.left()
    assert now[0] - began <= TOTAL * 60 + 30


def test_a_whole_that_the_caller_bounds_is_not_lengthened() -> None:
    """A page that may take six seconds takes no more, however fast its bytes come."""
    now = [0.0]
    call = Patience(3, lambda: now[0], total=6)
    for _ in range(5):
        now[0] += 1
        call.moved(1_000_000)
        assert call.left() <= 3
    now[0] += 1
    with pytest.raises(TimeoutError):
        call.left()


@pytest.mark.alone
def test_a_silence_ends_the_awaited_call() -> None:
    """Something moved, then nothing: one silence, not ten."""

    async def story() -> None:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            async with patient(0.05, 0.1) as timer:
                timer.moved(10)
                await asyncio.sleep(10)
        assert time.monotonic() - start < 0.3

    asyncio.run(story())


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    ],
)
def test_a_dmp_that_trickles_its_answer_is_left(certificates: Certificates, begin: bytes, drop: bytes) -> None:
    """A byte now and then of the body or of the headers: the deposit ends in doubt, it does not hang."""

    async def story(port: int) -> None:
        settings: Any = {"connect_timeout": 1, "read_timeout": SILENCE}
        sink = opened(certificates, HOPITAL_A.finess, f"https://127.0.0.1:{port}/services", **settings)
        try:
            with pytest.raises(OutcomeUnknown) as caught:
                await asyncio.wait_for(sink.deliver(made(sample()), FIRST), 8)
            assert caught.value.code == "DMP-TIMEOUT"
        finally:
            await sink.close()

    with trickle(begin, drop, context=certificates.server_context(tls12_only=True)) as port:
        asyncio.run(story(port))


@pytest.mark.parametrize("hostile", ["parts", "part headers", "elements", "errors"])
def test_an_answer_of_the_largest_size_is_soon_read(hostile: str) -> None:
    """Millions of parts, header lines, elements: an answer must not keep the event loop from other deliveries."""
    size = DmpConfig.model_fields["max_answer_bytes"].default
    error = b"<RegistryError xmlns='urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0'/>"
    soap = b"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><r>%s</r></s:Body></s:Envelope>"
    bodies = {
        "parts": b"\r\n--b\r\n\r\n" * (size // 9),
        "part headers": b"\r\n--b\r\n" + b"x\n" * (size // 2) + b"\r\n\r\n<a/>",
        "elements": soap % (b"<a/>" * (size // 4)),
        "errors": soap % (error * (size // len(error))),
    }
    kind = 'multipart/related; boundary="b"; start="<z>"' if "part" in hostile else "application/soap+xml"
    start = time.process_time()
    with suppress(Unreadable):
        envelope(HttpAnswer(200, kind, bodies[hostile]))
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_dmp_that_says_nothing_to_the_probe_is_away(certificates: Certificates, tmp_path: Path, begin: bytes) -> None:
    """The probe of an open circuit ends: otherwise the circuit would stay open for ever."""

    async def story(port: int) -> None:
        settings: Any = {"connect_timeout": 1, "read_timeout": SILENCE}
        sink = opened(certificates, HOPITAL_A.finess, f"https://127.0.0.1:{port}/services", **settings)
        try:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(sink.probe(), 8)
        finally:
            await sink.close()

    drop = b"a" if begin else b""
    with trickle(begin, drop, context=certificates.server_context(tls12_only=True)) as port:
        asyncio.run(story(port))
