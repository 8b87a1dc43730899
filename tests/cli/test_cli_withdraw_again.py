"""A withdrawal that came to nothing (given up, or overtaken by a deletion that failed) may be ordered again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from router.config.site import Site
from router.contracts import Row
from router.demo.stage import stage
from router.exchange import Origin, State
from router.runtime.site_services import SiteServices
from router.runtime.withdraw import Withdrawals
from tests.cli.test_cli_withdraw import _deposited

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def _story(folder: Path) -> None:
    async with stage(folder, seed=42, console=False) as played:
        await played.start()
        report, *_ = await _deposited(played)
        services = SiteServices(Site(played.site))
        try:
            ledger = services.ledger()
            first = Withdrawals(services, ledger).plan(report.uid).delivery
            nothing = Row(
                delivery=replace(first, payload=b""), partition=0, sequence=10**6, bytes_at=Origin("out.x", 0, 0),
                state=State.SUPERSEDED, code="DISCARDED",
            )  # fmt: skip
            ledger.open([nothing])
            assert Withdrawals(services, ledger).plan(report.uid).delivery.id != first.id
        finally:
            services.close()


def test_a_withdrawal_that_came_to_nothing_is_ordered_again(tmp_path: Path) -> None:
    asyncio.run(_story(tmp_path / "stage"))
