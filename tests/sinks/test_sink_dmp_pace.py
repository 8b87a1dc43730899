"""How fast documents are fed: under the DMP's limit, over all processes (dmp §7)."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from router.errors import OperatorFault
from router.ledger.turns import SqlTurns
from router.request import Action
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import HOPITAL_A, Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import FIRST, hospitals, made, opened, play, tools


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


def test_two_sinks_of_one_structure_share_the_rate(certificates: Certificates, maker: Maker, tmp_path: Path) -> None:
    """Two instances with the same turns feed together no faster than one; a deletion counts too."""
    shared = SqlTurns(f"sqlite:///{tmp_path / 'pace.db'}")
    samples = [maker.document("letter", maker.patient(age=50)) for _ in range(6)]

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        given = dataclasses.replace(tools(), turns=shared)
        other = opened(certificates, HOPITAL_A.finess, dmp.url, given=given, max_per_second=10)
        before = time.time()
        await asyncio.gather(
            *(one.deliver(made(sample), FIRST) for one, sample in zip([sink, other] * 3, samples, strict=True))
        )
        await other.deliver(made(samples[0], Action.DELETE), FIRST)
        await other.close()
        fed = [one.at for one in dmp.received if one.transaction in ("TD2.1", "TD3.3c")]
        assert len(fed) == 7
        assert max(fed) - before >= 0.6 * 0.95

    play(certificates, story, given=dataclasses.replace(tools(), turns=shared), max_per_second=10)
    shared.close()


def test_production_stays_under_the_limit(certificates: Certificates) -> None:
    """5 a second and more is refused at the start in production: the DMP wants fewer."""
    for rate, code in ((4.0, "DMP-KEEP"), (5.0, "DMP-RATE")):
        with pytest.raises(OperatorFault) as caught:
            opened(
                certificates,
                HOPITAL_A.finess,
                "https://lps2.dmp.gouv.fr/x",
                given=tools(environment="production"),
                max_per_second=rate,
                keep=".",
            )
        assert caught.value.code == code
