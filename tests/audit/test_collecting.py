"""Rows and traces on their way to a collector: RFC 5424 in frames of RFC 5425 over TLS, none lost while it is away."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.audit.collecting import Collecting
from router.audit.event import Action, AuditEvent
from router.audit.settings import CollectorConfig
from router.audit.syslog import frame, message
from router.audit.traces import TraceStore
from router.audit.trail import AuditTrail
from router.contracts import SystemClock, no_alert
from router.errors import OperatorFault, Unavailable
from router.exchange import Receipt, ReceiptKind, Spoken
from router.simulators.authority import Authority
from router.simulators.collector import Collector


@dataclass
class World:
    """A collector with TLS, and the tables of a site."""

    collector: Collector
    trail: AuditTrail
    traces: TraceStore
    config: CollectorConfig

    def collecting(self, **changes: Any) -> Collecting:
        config = self.config.model_copy(update={"port": self.collector.port, **changes})
        return Collecting(
            config, "qualification", lambda: self.trail, lambda: self.traces, clock=SystemClock(), alert=no_alert
        )

    def fill(self) -> None:
        self.trail.record_all(
            AuditEvent(at=float(n), who=f"p{n}", action=Action.NOTED, detail="x" * 5000) for n in (1, 2)
        )
        said = [
            Spoken(at=3.0, protocol="dmp", server="https://dmp", author="8", action="TD2.1", facts={"iti": "ITI-41"})
        ]
        said.append(Spoken(at=4.0, protocol="smtp", server="x:465", author="a@b", action="RCPT"))
        receipt = Receipt(
            delivery_id="d" * 32, event_id="e", sink="dmp.chu", kind=ReceiptKind.DELIVERY, ok=True, at=5.0,
            spoken=tuple(said),
        )  # fmt: skip
        self.traces.keep([], [receipt])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Path]:
    authority, folder = Authority(), tmp_path_factory.mktemp("collector")
    authority.keep(folder)
    return authority, folder


@pytest.fixture
def world(certificates: tuple[Authority, Path], tmp_path: Path) -> World:
    authority, folder = certificates
    trail = AuditTrail(f"sqlite:///{tmp_path / 'audit.db'}", SystemClock(), secret=b"s")
    traces = TraceStore(f"sqlite:///{tmp_path / 'traces.db'}", SystemClock())
    config = CollectorConfig(host="127.0.0.1", ca=folder / "ca.pem", timeout=2)
    return World(Collector(server_context(authority, tmp_path)), trail, traces, config)


def server_context(authority: Authority, folder: Path) -> ssl.SSLContext:
    certificate, key = authority.issue("127.0.0.1", "server", hosts=["127.0.0.1"]).write(folder, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 30))


def test_rows_and_transactions_arrive_once_and_in_order(world: World) -> None:
    """Each is one frame: priority, version, time, host, program; then the message. Other traces are passed over."""

    async def story() -> None:
        world.fill()
        async with world.collector:
            sending = world.collecting()
            assert await asyncio.to_thread(sending.once) == 4
            assert await asyncio.to_thread(sending.once) == 0
            await asyncio.sleep(0.05)
        heads = [re.match(rb"<85>1 \S+Z \S+ segur-router \d+ DICOM\+RFC3881 - \xef\xbb\xbf<\?xml", one)
                 for one in world.collector.received]  # fmt: skip
        assert len(heads) == 3 and all(heads)
        assert [b'UserID="p1"' in one for one in world.collector.received] == [True, False, False]
        assert b"ITI-41" in world.collector.received[2]

    run(story())
    assert world.trail.waiting()[0] == 0 and world.traces.waiting()[0] == 0


def test_what_comes_while_the_collector_is_away_waits(world: World) -> None:
    """A collector that was stopped in between gets the rest when it is back, on the same connection's successor."""

    async def story() -> None:
        world.fill()
        async with world.collector:
            sending = world.collecting()
            await asyncio.to_thread(sending.once)
        world.trail.record(AuditEvent(at=9.0, who="late", action=Action.NOTED))
        with pytest.raises(Unavailable, match="AUDIT-COLLECTOR"):
            await asyncio.to_thread(sending.once)
        assert world.trail.waiting() == (1, 9.0)
        async with world.collector:
            assert await asyncio.to_thread(sending.once) == 1
            await asyncio.sleep(0.05)
        assert b'UserID="late"' in world.collector.received[-1] and len(world.collector.received) == 4

    run(story())


def test_a_collector_that_others_vouch_for_gets_nothing(world: World, tmp_path: Path) -> None:
    """Its certificate is checked against the authority of the site file."""
    (tmp_path / "other").mkdir()
    Authority().keep(tmp_path / "other")

    async def story() -> None:
        world.fill()
        async with world.collector:
            with pytest.raises(OperatorFault, match="AUDIT-COLLECTOR-TLS"):
                await asyncio.to_thread(world.collecting(ca=tmp_path / "other" / "ca.pem").once)

    run(story())
    assert not world.collector.received and world.trail.waiting()[0] == 2


def test_a_frame_counts_bytes() -> None:
    """The length is that of the bytes, the mark of UTF-8 included (RFC 5425 §4.3)."""
    said = message("é".encode(), 0.0, "hôte nom")
    assert frame(said) == str(len(said)).encode() + b" " + said
    assert said.startswith(b"<85>1 1970-01-01T00:00:00.000Z htenom segur-router ") and said.endswith("é".encode())
