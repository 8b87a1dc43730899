"""A pipeline file changes while the router runs: taken in one piece, or refused while the old one goes on."""

from __future__ import annotations

import asyncio
import hashlib
import re
import urllib.request
from pathlib import Path

import pytest

from router.config.site import Site
from router.contracts import JOURNAL, Unobserved
from router.demo.stage import Stage, stage
from router.runtime.reload import PipelineSet
from router.runtime.site_services import SiteServices
from router.wire import read_journal
from tests.cli.cli import typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = 90.0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


async def _reloads(played: Stage, result: str) -> float:
    """`segur_reload_total` of a result, from the administration port."""

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{played.ports['admin']}/metrics", timeout=20) as answer:
            return str(answer.read().decode())

    page = await asyncio.to_thread(read)
    found = re.search(rf'segur_reload_total{{result="{result}"}} (\S+)', page)
    return float(found[1]) if found else 0.0


async def _until_reloads(played: Stage, result: str, count: int) -> None:
    async def reached() -> bool:
        return await _reloads(played, result) >= count

    assert await played.until(reached, PATIENCE), f"{result}: not {count}"


async def _refused(played: Stage) -> int:
    """How many pipeline files are refused, as `status` says it."""
    said = (await typed(played.site, "status", "--json")).json
    assert ("pipelines" in {one["what"] for one in said["attention"]}) == bool(said["pipelines_refused"])
    return int(said["pipelines_refused"])


async def _digest_of_next(played: Stage) -> str:
    """Digest that the journal keeps of the pipeline which decided a message sent now."""
    report = played.maker.document("biology", played.patient(), size=6_000)
    (sent,) = await played.send(played.maker.message(report, recipients=[]))
    assert sent.code == "AA"
    services = SiteServices(Site(played.site))

    def decided() -> list[str]:
        entries = map(read_journal, services.bus.scan(JOURNAL))
        return [e.digest for e in entries if e.control_id == sent.control_id and e.kind == "decided"]

    try:
        assert await played.until(decided, PATIENCE)
        assert await played.until(lambda: played.dmp_status(report.uid) == "Approved", PATIENCE)
        return decided()[0]
    finally:
        services.close()


async def _story(folder: Path) -> None:
    async with stage(folder, seed=51, console=False) as played:
        await played.start()
        file = folder / "pipelines" / "biologie.yaml"
        first = file.read_text()
        assert await _digest_of_next(played) == _digest(first)

        second = first.replace("description: ", "description: Nouvelle version. ")
        file.write_text(second)
        await _until_reloads(played, "applied", 1)
        assert await _digest_of_next(played) == _digest(second)

        lines = second.splitlines()
        line = next(rank for rank, text in enumerate(lines, 1) if text.startswith("when:"))
        file.write_text(second.replace("document.type ==", "document.tipe ==", 1))
        await _until_reloads(played, "refused", 1)
        log = played.log.read_text()
        assert f"biologie.yaml:{line}:7: when: document has no 'tipe'" in log, log[-3000:]
        assert await _refused(played) == 1
        assert await _digest_of_next(played) == _digest(second)

        file.write_text(second.replace("dmp: delivered", "dmp: R45", 1))
        await _until_reloads(played, "refused", 2)
        log = played.log.read_text()
        told = r"biologie\.yaml:\d+:\d+: examples\[\d+\]\.expect\.dmp: .*dmp: expected R45, got delivered"
        assert re.search(told, log), log[-3000:]
        assert await _digest_of_next(played) == _digest(second)

        file.write_text(first)
        await _until_reloads(played, "applied", 2)
        assert await _refused(played) == 0
        assert await _digest_of_next(played) == _digest(first)
        assert await played.stop() == 0


def test_a_changed_file_is_taken_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    """The journal shows the digest that decided; a mistake or a failing example leaves the old version running."""
    asyncio.run(_story(tmp_path / "stage"))


class Seen(Unobserved):
    """An observer that adds up what is counted, by measure and last label, and keeps what is set."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str], float] = {}
        self.values: dict[str, float] = {}

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.values[measure] = value

    def count(self, measure: str, amount: float = 1, **labels: str) -> None:
        at = (measure, list(labels.values())[-1])
        self.counted[at] = self.counted.get(at, 0) + amount


async def _stage_only(folder: Path) -> None:
    async with stage(folder, seed=52, console=False):
        pass


def test_a_worker_that_starts_again_keeps_the_last_good_version(tmp_path: Path) -> None:
    """A file that became wrong does not stop a pipeline worker that falls and is restarted."""
    asyncio.run(_stage_only(tmp_path / "stage"))
    site = tmp_path / "stage" / "router.yaml"
    file = tmp_path / "stage" / "pipelines" / "biologie.yaml"
    good = file.read_text()
    seen = Seen()
    services = SiteServices(Site(site), observer=seen)
    try:
        assert PipelineSet(services).resume() == []
        assert ("reload_total", "refused") not in seen.counted and seen.values["pipelines_refused"] == 0
        file.write_text("name: [")
        refused: list[str] = []
        again = PipelineSet(services, refused=lambda problems: refused.extend(map(str, problems)))
        assert again.resume() == []
        assert [len(refused), "biologie.yaml:1:" in refused[0]] == [1, True]
        assert seen.counted["reload_total", "refused"] == 1 and seen.values["pipelines_refused"] == 1
        assert seen.counted["events_total", "decided"] == 0  # it exists before the first event
        assert _digest(good) in {pipeline.digest for pipeline in again.of("sil")}
        (tmp_path / "stage" / "pipelines" / "neuf.yaml").write_text("name: [")
        assert len(again.resume()) == 1  # it never was right: nothing to go on with
    finally:
        services.close()
