"""`status` beside a router that runs in processes of its own: what it sees, and what it says after a kill."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.cli.cli import command
from tests.runtime.own_process import Router

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ROLES = ["gateway-0", "pipelines-0", "sinks-0", "feedback-0", "journal-0"]


def test_a_running_router_and_then_one_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its workers, a circuit that is closed, the same at the administration port; after SIGKILL, since when."""
    router = Router(tmp_path)
    monkeypatch.setenv("SEGUR_TEST_KEY", "k" * 32)
    site = str(router.site)
    with router.running() as started:
        router.until("/readyz", 200)
        said = command("status", "--site", site, "--json")
        found = said.json
        assert found["presence"]["state"] == "here"
        (report,) = found["processes"]
        assert [(one["name"], one["status"], one["restarts"]) for one in report["workers"]] == [
            (name, "running", 0) for name in ROLES
        ]
        assert [(one["name"], one["circuit"], one["in_flight"]) for one in found["sinks"]] == [("hl7.dpi", "closed", 0)]
        assert found["unseen"] == [] and found["attention"] == [] and said.code == 0
        page = router.page("/status")[1]
        assert [one["name"] for one in page["workers"]] == ROLES
        twice = command("status", "--site", site, "--at", f"127.0.0.1:{router.admin}", "--json").json["processes"]
        assert [one["at"] for one in twice] == ["", f"127.0.0.1:{router.admin}"]
        screen = command("status", "--site", site, "--lang", "en").out
        assert "Nothing waits for a person." in screen and "sinks-0" in screen

        fallen = next(one for one in page["workers"] if one["name"] == "journal-0")
        assert fallen["status"] == "running"
        os.kill(_pid(router, "journal"), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = command("status", "--site", site, "--json").json
            if any(one["subject"] == "journal-0" for one in found["attention"]):
                break
            time.sleep(0.2)
        assert ("worker", "journal-0") in {(one["what"], one["subject"]) for one in found["attention"]}

        started.kill()
        started.wait()
    gone = command("status", "--site", site, "--lang", "en")
    assert gone.code == 3
    assert "killed or with its machine" in " ".join(gone.out.split())


def _pid(router: Router, role: str) -> int:
    from router.config.site import Site
    from router.runtime.supervisor.workers import last_state

    said = last_state(Site(router.site).data / "run" / "state.json")
    assert said is not None
    return next(worker.pid for worker in said.workers if worker.role == role)
