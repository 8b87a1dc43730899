"""Kafka is away when the router starts: it waits, says so, and works once a broker answers."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from router.demo.stage import stage
from tests.services import running_broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PATIENCE = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _story(folder: Path) -> None:
    port = free_port()
    bus = {"type": "kafka", "servers": f"127.0.0.1:{port}", "replication_factor": 1, "min_insync_replicas": 1}
    keys = {"bus": bus | {"request_timeout": 3, "session_timeout": 6}, "limits": {"partitions": 2}}
    async with stage(folder, seed=63, bus=keys) as played:
        starting = asyncio.create_task(played.start())

        def told() -> str:
            return played.log.read_text() if played.log.exists() else ""

        assert await played.until(lambda: '"alert": "bus-away"' in told(), PATIENCE)
        assert not starting.done()
        with running_broker("--port", str(port)):
            await starting
            report = played.maker.document("biology", played.patient(), size=20_000)
            sent = await played.send(played.maker.message(report, recipients=[played.recipient()]))
            assert [one.code for one in sent] == ["AA"]
            arrived = await played.until(
                lambda: played.dmp_status(report.uid) == "Approved" and bool(played.mails(report.uid)), PATIENCE
            )
            assert arrived, played.log.read_text()[-3000:]
            assert await played.stop() == 0


def test_a_router_that_starts_before_its_broker_waits_for_it(tmp_path: Path) -> None:
    """A power cut brings the machines back in any order: nobody has to start the router by hand."""
    asyncio.run(_story(tmp_path / "stage"))
