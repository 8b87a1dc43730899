"""The return endpoint, and all the simulators together."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from router.simulators.dmp import DmpConfig
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.mssante import MssanteConfig
from router.simulators.sender import MllpSender
from router.simulators.serve import serve_dmp, serve_mssante, serve_sender, world

ZAM = (
    "MSH|^~\\&|PFI|PFI|SIL-A|HOPITAL-A|20261123060000||ZAM^Z0{0}^ZAM_Z01|{1}|P|2.6|||||FRA|UNICODE UTF-8|||2.1^X\r"
    "EVN||20261123060000\rOBX|1|CWE|ACK_RECEPTION_DMP^x^AckMetierZAM|S1-1|N^^expandedYes-NoIndicator||||||F|\r"
    "ERR|||207^Application error^messageErrorCondition|E|DMPClosed^DMP fermé^DMP_ERROR_CODE\r"
)


def _zam(kind: int, control: str) -> bytes:
    return ZAM.format(kind, control).encode()


def test_peer_acknowledges_and_lists() -> None:
    """Every message is acknowledged with its control id, and listed in the order of arrival."""

    async def play() -> None:
        async with Hl7Peer() as peer, MllpSender("127.0.0.1", peer.port) as sender:
            sent = await sender.send_all([_zam(1, "a"), _zam(2, "b")])
            assert [one.code for one in sent] == ["AA", "AA"]
            assert sent[0].ack is not None
            assert b"|SIL-A|HOPITAL-A|PFI|PFI|" in sent[0].ack
            assert b"ACK^Z01^ACK" in sent[0].ack
            assert [(one.control_id, one.original) for one in peer.received] == [("a", "S1-1"), ("b", "S1-1")]
            async with httpx.AsyncClient() as control:
                shown = (await control.get(f"http://127.0.0.1:{peer.control_port}/received")).json()
        assert [(one["outcome"], one["error"].split("^")[0]) for one in shown] == [("N", "DMPClosed")] * 2

    asyncio.run(play())


def test_peer_answers_as_told() -> None:
    """Refusals by trigger, delays, cuts before and after, an outage."""

    async def play() -> None:
        async with Hl7Peer() as peer, MllpSender("127.0.0.1", peer.port, timeout=2) as sender:
            peer.answer("AE", trigger="Z02")
            assert [(await sender.send(_zam(kind, "x"))).code for kind in (1, 2, 2)] == ["AA", "AE", "AA"]
            peer.cut("before")
            assert (await sender.send(_zam(1, "lost"))).ack is None
            peer.cut("after")
            assert (await sender.send(_zam(1, "taken"))).ack is None
            assert [one.control_id for one in peer.received] == ["x", "x", "x", "taken"]
            peer.delay(0.2, count=1)
            start = time.monotonic()
            await sender.send(_zam(1, "late"))
            assert time.monotonic() - start >= 0.2
            await peer.outage(0.2)
            assert (await sender.send(_zam(1, "away"))).ack is None
            await asyncio.sleep(0.3)
            assert (await sender.send(_zam(1, "back"))).code == "AA"

    asyncio.run(play())


def test_the_whole_world_starts_quickly(tmp_path: Path) -> None:
    """Certificates, a DMP, an operator and an endpoint are up in less than two seconds, and quicker the second time."""

    async def play() -> tuple[float, float]:
        times = []
        for _ in range(2):
            start = time.monotonic()
            async with world(tmp_path) as everything:
                times.append(time.monotonic() - start)
                ports = everything.ports()
                assert len({ports[name] for name in ("smtp", "imap", "sender", "dmp_control")}) == 4
        return times[0], times[1]

    first, second = asyncio.run(play())
    assert first < 2
    assert second < 0.5


@pytest.mark.parametrize("which", ["dmp", "mssante", "sender"])
def test_served_until_cancelled(which: str) -> None:
    """Each serve function tells its ports once it listens, and ends when cancelled."""

    async def play() -> dict[str, str | int]:
        told: asyncio.Future[dict[str, str | int]] = asyncio.get_running_loop().create_future()
        started = {
            "dmp": lambda: serve_dmp(DmpConfig(), told.set_result),
            "mssante": lambda: serve_mssante(MssanteConfig(), told.set_result),
            "sender": lambda: serve_sender(0, told.set_result),
        }[which]()
        task = asyncio.ensure_future(started)
        ports = await asyncio.wait_for(told, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ports

    ports = asyncio.run(play())
    assert all(ports.values())
