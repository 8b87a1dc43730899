"""Ctrl-C and SIGTERM in the middle of the work: the router drains, ends well, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from router.demo.stage import Stage, stage
from router.simulators.sender.mllp import Sent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MESSAGES = 40
PATIENCE = 120.0


async def _interrupted(played: Stage, number: signal.Signals) -> tuple[list[str], list[Sent]]:
    """Send, stop the router after the first deposits, start it again; what was sent and answered."""
    maker, doctor = played.maker, played.recipient()
    reports = [maker.document("biology", played.patient(), size=20_000) for _ in range(MESSAGES)]
    messages = [maker.message(report, recipients=[doctor]) for report in reports]
    sending = asyncio.create_task(played.send(*messages, connections=4))
    assert await played.until(lambda: any(played.dmp_status(report.uid) for report in reports), PATIENCE)

    router = played.router
    assert router is not None
    router.send_signal(number)
    assert await router.wait() == 0, played.log.read_text()[-3000:]
    log = played.log.read_text()
    assert "worker-killed" not in log
    assert not list((played.folder / "var" / "run").glob("*-0.json"))  # nobody says any more that it works

    await played.start()
    sent = await sending
    return [report.uid for report in reports], sent


async def _story(folder: Path, number: signal.Signals) -> None:
    async with stage(folder, seed=61, console=number == signal.SIGTERM) as played:
        await played.start()
        documents, sent = await _interrupted(played, number)
        assert [one.code for one in sent] == ["AA"] * MESSAGES
        everything = await played.until(
            lambda: all(played.dmp_status(uid) == "Approved" and played.mails(uid) for uid in documents), PATIENCE
        )
        assert everything
        assert not {uid: n for uid, n in Counter(len(played.mails(uid)) for uid in documents).items() if uid != 1}
        assert await played.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_stop_under_load_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, no worker killed; after the next start every message is delivered, each mail once.

    With a console and without: its start is the longest of all.
    """
    asyncio.run(_story(tmp_path / "stage", number))
