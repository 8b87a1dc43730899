"""What `/readyz` says of a worker whose process is well and who gets no messages."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from router.config.site import Site
from router.runtime import readiness
from router.runtime.readiness import Readiness, is_ready, ready_file, waits_for
from tests.runtime.own_process import SECRET, Router
from tests.services import kafka_servers, shared_broker  # noqa: F401


def until(truth: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not truth() and time.monotonic() < end:
        time.sleep(0.01)
    return truth()


def test_a_worker_that_no_broker_hears_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file names the groups as long as it is so; its process works all the while."""
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.02)
    site = Site(Router(tmp_path).site)
    file = ready_file(site, "sinks", 1)
    file.parent.mkdir(parents=True)
    away: list[str] = []
    told = Readiness(file, lambda: tuple(away))

    def why() -> str:
        return waits_for(site, "sinks", 1, os.getpid())

    assert why() == "starting"
    told.say({"http": "8080"})
    assert why() == ""
    assert json.loads(file.read_text())["ports"] == {"http": "8080"}
    away += ["out.dmp", "out.hl7"]
    assert until(lambda: why() == "no heartbeat: out.dmp, out.hl7")
    assert is_ready(site, "sinks", 1, os.getpid())
    assert waits_for(site, "sinks", 1, os.getpid() + 1) == "starting"
    away.clear()
    assert until(lambda: why() == "")
    told.end()
    assert why() == "starting"


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pipelines_without_their_broker_live_and_are_not_ready(tmp_path: Path, kafka_servers: str) -> None:  # noqa: F811
    """A session after the broker fell silent `/readyz` says why; once it answers again they are ready by themselves."""
    bus = (
        f"bus: {{type: kafka, servers: '{kafka_servers}', prefix: 'r{uuid.uuid4().hex[:8]}-', replication_factor: 1, "
        "min_insync_replicas: 1, session_timeout: 6}"
    )
    router, broker = Router(tmp_path, f"{SECRET}\n{bus}"), shared_broker()
    with router.running("--only", "pipelines", "--slot", "0"):
        router.until("/readyz", 200)
        broker.freeze()
        try:
            assert router.until("/readyz", 503)["waiting"] == {"pipelines-0": "no heartbeat: pipelines"}
            assert router.page("/livez")[0] == 200
        finally:
            broker.thaw()
        assert router.until("/readyz", 200)["waiting"] == {}
