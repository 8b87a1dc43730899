"""One worker a pod: its slot, what it says of itself before and after it is ready, and how it stops."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.contracts import EVENT_FORMAT
from router.software import our_version
from tests.runtime.own_process import SECRET, Router


def test_a_pod_runs_one_worker_under_its_own_slot(tmp_path: Path) -> None:
    """`--only pipelines` with SEGUR_SLOT=3 is the member pipelines-3, whatever number of them the site file says."""
    router = Router(tmp_path, f"{SECRET}\nroles: {{pipelines: 4}}")
    with router.running("--only", "pipelines", SEGUR_SLOT="3") as started:
        router.until("/readyz", 200)
        state = json.loads((tmp_path / "var/run/state.json").read_text())
        assert [(one["role"], one["slot"]) for one in state["workers"]] == [("pipelines", 3)]
        assert (tmp_path / "var/run/pipelines-3.json").exists()
        assert router.until("/version", 200) == {"version": our_version(), "events": EVENT_FORMAT}
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 0
    assert not (tmp_path / "var/run/pipelines-3.json").exists()


def test_a_gateway_with_a_slot_says_its_ports(tmp_path: Path) -> None:
    """The ports of gateway-2 are told like those of gateway-0."""
    router = Router(tmp_path)
    with router.running("--only", "gateway", "--slot", "2"):
        router.until("/readyz", 200)
        end = time.monotonic() + 10
        while "listening" not in (log := (tmp_path / "log").read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        assert re.search(r"listening: http, port \d+", log)


def test_a_slot_needs_its_role(tmp_path: Path) -> None:
    """A number alone names no worker."""
    assert "SLOT at --slot: is the number of one worker" in Router(tmp_path).refused("--slot", "1")


def test_a_slot_needs_the_key_of_the_pseudonyms(tmp_path: Path) -> None:
    """Each pod has a data folder of its own: a key made there would hash one patient differently in each."""
    said = Router(tmp_path, more="").refused("--only", "pipelines", SEGUR_SLOT="0")
    assert "secret: is required where several machines or pods share a site" in said


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_livez_answers_before_the_database_does(tmp_path: Path) -> None:
    """While ledger and journal are opened (a migration may take a minute) the process says that it lives, and not that
    it is ready."""
    with silent() as port:
        database = f"{SECRET}\ndatabase: {{url: 'postgresql+psycopg://r@127.0.0.1:{port}/r'}}"
        router = Router(tmp_path, database)
        with router.running() as started:
            assert router.until("/livez", 200, 20) == {"status": "ok"}
            waiting = router.until("/readyz", 503, 5)["waiting"]
            assert waiting == {"start": "opens bus, ledger and journal"}
            assert started.poll() is None


def test_what_can_not_be_opened_is_one_sentence(tmp_path: Path) -> None:
    """A pipeline that is wrong ends the start with the file and the line, and the exit code of a wrong file."""
    router = Router(tmp_path)
    (tmp_path / "pipelines" / "relais-dpi.yaml").write_text("name: x\n")
    said = router.refused()
    assert "relais-dpi.yaml:1:1: feed: is required" in said
    assert "problems to correct" in said
    assert "Traceback" not in said


def test_systemd_hears_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    """READY=1 comes once every worker works, STOPPING=1 with SIGTERM: a unit of Type=notify waits for the first."""
    router = Router(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(60)
        with router.running("--only", "pipelines", NOTIFY_SOCKET=str(tmp_path / "notify")) as started:
            assert heard.recv(100) == b"READY=1"
            assert router.page("/readyz")[0] == 200
            started.send_signal(signal.SIGTERM)
            assert heard.recv(100) == b"STOPPING=1"
            assert started.wait(20) == 0


def test_a_stop_while_it_starts_ends_well(tmp_path: Path) -> None:
    """SIGTERM before the workers were started: none is started, and the exit code is 0."""
    router = Router(tmp_path)
    with router.running() as started:
        router.until("/livez", 200)
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0


@pytest.mark.parametrize("after", [0.0, 0.2, 0.5])
def test_a_stop_at_any_moment_of_the_start_ends_well(tmp_path: Path, after: float) -> None:
    """Wherever the program stands, SIGTERM is heard: process 1 of a container gets no default action."""
    router = Router(tmp_path)
    with router.running() as started:
        caught = Path(f"/proc/{started.pid}/status")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            mask = int(re.findall(r"SigCgt:\s+(\w+)", caught.read_text())[0], 16)
            if mask & (1 << (signal.SIGTERM - 1)):
                break
        time.sleep(after)
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0
