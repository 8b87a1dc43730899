"""The administration port of a running router: measures that Prometheus takes, and what `/livez` and `/readyz` say."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from router.demo.stage import Stage, stage
from router.measures import MEASURES
from tests.deploy.promql import selectors
from tests.observe.prometheus import everything_asked, prometheus

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(600)]
PATIENCE = 90.0
NOT_IN_THE_DEMO = {"segur_files_left", "segur_audit_oldest_unsent_timestamp_seconds"}
"""The demo watches no folder."""


def _get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def _page(played: Stage, page: str) -> tuple[int, str]:
    return await asyncio.to_thread(_get, played.ports["admin"], page)


async def _traffic(played: Stage) -> None:
    """A document that is delivered, one that is repeated, one that is refused, one that becomes a dead letter."""
    maker, doctor, full = played.maker, played.recipient(), played.recipient()
    report = maker.document("biology", played.patient(), size=8_000)
    good = maker.message(report, recipients=[doctor])
    letter = maker.document("letter", played.patient(), size=8_000)
    played.world.mssante.refuse(full.address, 552, "5.2.2", "full")
    bad = maker.message(maker.document("biology", played.patient()), pid32=["PROV"])
    await played.send(good, good, bad, maker.message(letter, event="MDM", dmp=False, recipients=[full]))
    assert await played.until(
        lambda: played.dmp_status(report.uid) == "Approved" and played.mails(report.uid), PATIENCE
    )


def _checked(page: str) -> str:
    """What `promtool check metrics` has to say of it."""
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: scripts/services metrics"
    done = subprocess.run(
        [tool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def _labels(page: str, name: str) -> list[dict[str, str]]:
    found = re.findall(rf"^segur_{name}(?:_bucket|_count)?{{([^}}]*)}}", page, re.MULTILINE)
    return [dict(re.findall(r'(\w+)="([^"]*)"', text)) for text in found]


async def _measures(played: Stage) -> None:
    async def said() -> bool:
        page = (await _page(played, "/metrics"))[1]
        dead = 'segur_dead_letters_total{code="MSS-552",feed="",sink="mssante.hopital-a",stage="sink"} 1.0'
        gauge = 'segur_oldest_pending_timestamp_seconds{sink="mssante.hopital-a"}'
        return dead in page and gauge in page and "segur_lag{" in page

    assert await played.until(said, PATIENCE)
    page = (await _page(played, "/metrics"))[1]
    assert _checked(page) == ""
    for name, declared in MEASURES.items():
        for found in _labels(page, name):
            assert set(found) - {"le", "pid"} <= set(declared.labels), name
    certificates = {found["name"] for found in _labels(page, "certificate_expiry_timestamp_seconds")}
    assert certificates == {"dmp.hopital-a/auth", "dmp.hopital-a/sign", "mssante.hopital-a/tls"}
    for gauge in ("oldest_pending_timestamp_seconds", "in_flight", "circuit_open"):
        assert {found["sink"] for found in _labels(page, gauge)} >= {"dmp.hopital-a", "mssante.hopital-a"}, gauge
    assert {found["pipeline"] for found in _labels(page, "pipeline_seconds")} >= {"biologie", "lettres"}
    for line in ("segur_journal_timestamp_seconds ", 'segur_duplicates_avoided_total{stage="intake"} 1.0'):
        assert f"\n{line}" in page, line
    assert not [v for v in re.findall(r"^segur_inversions_total{.*} (\S+)$", page, re.MULTILINE) if float(v)]


async def _prometheus(played: Stage) -> None:
    """A real Prometheus scrapes the router: it takes every rule and every query of a panel, and finds every metric."""
    async with prometheus(played.folder / "prometheus", played.ports["admin"]) as server:
        assert await played.until(lambda: bool(server.values('up{job="segur-router"} == 1')), PATIENCE)
        assert await played.until(server.rules_evaluated, PATIENCE)
        assert server.rule_errors() == []
        asked = {query: await asyncio.to_thread(server.problem, query) for query in everything_asked()}
        assert {query: problem for query, problem in asked.items() if problem} == {}
        named = {one.metric for query in everything_asked() for one in selectors(query)}
        missing = named - NOT_IN_THE_DEMO
        await played.until(lambda: missing <= server.names(), 15)  # a rate needs two scrapes
        assert missing - server.names() == set()
        firing = await asyncio.to_thread(server.values, 'ALERTS{alertstate="firing"}')
        names = {one["metric"]["alertname"] for one in firing}
        assert "SegurWatchdog" in names
        assert not names & {"SegurRouterDown", "SegurInversion", "SegurRefusing", "SegurRoleMissing"}


async def _health(played: Stage) -> None:
    """A worker is killed: alive all the time, not ready until it works again."""
    assert (await _page(played, "/readyz"))[0] == 200
    said = json.loads((played.folder / "var" / "run" / "sinks-0.json").read_text())
    os.kill(said["pid"], signal.SIGKILL)

    async def waits_for_sinks() -> bool:
        code, page = await _page(played, "/readyz")
        return code == 503 and set(json.loads(page)["waiting"]) == {"sinks-0"}

    async def ready() -> bool:
        return (await _page(played, "/readyz"))[0] == 200

    assert await played.until(waits_for_sinks, PATIENCE)
    assert (await _page(played, "/livez"))[0] == 200
    assert await played.until(ready, PATIENCE)
    assert 'segur_worker_restarts_total{role="sinks"} 1.0' in (await _page(played, "/metrics"))[1]


async def _story(folder: Path) -> None:
    async with stage(folder, seed=71) as played:
        await played.start()
        await _traffic(played)
        await _measures(played)
        await _prometheus(played)
        await _health(played)


def test_the_administration_port_tells_what_is_promised(tmp_path: Path) -> None:
    """promtool takes every measure, labels are bounded, certificates are watched; readiness follows the workers."""
    asyncio.run(_story(tmp_path / "stage"))
