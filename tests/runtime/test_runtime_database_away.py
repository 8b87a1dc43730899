"""PostgreSQL is away when the router starts: senders are acknowledged, and all goes on when it is back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from router.demo.stage import stage
from tests.services import PostgresServer, own_postgresql  # noqa: F401

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PATIENCE = 90.0


async def _story(folder: Path, database: PostgresServer) -> None:
    async with stage(folder, seed=62, bus={"database": {"url": database.sqlalchemy_url}}) as played:
        await played.start()
        report = played.maker.document("biology", played.patient(), size=20_000)
        sent = await played.send(played.maker.message(report, recipients=[played.recipient()]))
        assert [one.code for one in sent] == ["AA"]
        assert not played.dmp_status(report.uid)

        database.start()
        arrived = await played.until(
            lambda: played.dmp_status(report.uid) == "Approved" and bool(played.mails(report.uid)), PATIENCE
        )
        assert arrived, played.log.read_text()[-3000:]
        assert len(played.mails(report.uid)) == 1
        told = played.log.read_text()
        assert "worker-ended" not in told
        assert '"alert": "database-away"' in told
        assert await played.stop() == 0


def test_a_router_that_starts_without_its_database_acknowledges(
    tmp_path: Path,
    own_postgresql: PostgresServer,  # noqa: F811
) -> None:
    """No worker gives up; what was acknowledged meanwhile is delivered once."""
    own_postgresql.stop()
    asyncio.run(_story(tmp_path / "stage", own_postgresql))
