"""The file of the embedded bus is removed under a whole router: nobody is told AA, and a start goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from router.demo.stage import stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE = 60.0


async def _story(folder: Path) -> None:
    async with stage(folder, seed=67, console=False) as played:
        await played.start()
        maker, doctor = played.maker, played.recipient()
        reports = [maker.document("biology", played.patient(), size=20_000) for _ in range(2)]
        messages = [maker.message(report, recipients=[doctor]) for report in reports]

        def told(what: str) -> bool:
            return what in played.log.read_text()

        assert [one.code for one in await played.send(messages[0])] == ["AA"]
        first = reports[0].uid
        assert await played.until(lambda: played.dmp_status(first) == "Approved" and played.mails(first), PATIENCE)
        await asyncio.sleep(1.0)

        for file in (played.folder / "var").glob("bus.db*"):
            if file.is_file():
                file.unlink()
        sending = asyncio.create_task(played.send(messages[1]))
        assert await played.until(lambda: told("BUS-REPLACED") and told("BUS-OTHER"), PATIENCE), played.log.read_text()
        await asyncio.sleep(3.0)
        assert not sending.done() or [one.code for one in sending.result()] != ["AA"]
        await played.stop()

        await played.start()
        assert told("bus-behind")
        if [one.code for one in await sending] != ["AA"]:
            assert [one.code for one in await played.send(messages[1])] == ["AA"]
        second = reports[1].uid
        assert await played.until(lambda: played.dmp_status(second) == "Approved" and played.mails(second), PATIENCE)
        # What was delivered before is known as such, even where its message comes again.
        assert [one.code for one in await played.send(messages[0])] == ["AA"]
        await asyncio.sleep(2.0)
        assert (len(played.mails(first)), len(played.mails(second))) == (1, 1)
        assert await played.stop() == 0


def test_a_bus_removed_under_a_running_router_acknowledges_nothing(tmp_path: Path) -> None:
    """AR or silence until a person starts it again; then nothing is lost and nothing is done twice."""
    asyncio.run(_story(tmp_path / "stage"))
