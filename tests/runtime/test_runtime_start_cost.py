"""What a worker loads before it works: a pod that is replaced is away for as long as that takes."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from router.runtime import lean
from router.runtime.roles import MODULES, ROLES
from router.runtime.supervisor.workers import EXIT_CONFIG

ROOT = Path(__file__).resolve().parents[2]
UNUSED = {
    "httpx": "who fetches a list, or asks the annuaire",
    "kafka": "a site whose bus is Kafka",
    "opentelemetry": "a site with traces",
    "saxonche": "an audit of documents",
    "typst": "the process that makes PDF",
}
"""Library -> who alone needs it."""
LOAD = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def test_a_process_starts_without_the_libraries_of_others() -> None:
    """Supervisor and workers of every role import no large library that most sites never use, nor the command line."""
    modules = ["router.runtime.process", "router.runtime.supervisor.router_process", "router.observe.metrics"]
    modules += [f"router.runtime.roles.{role}" for role in ROLES if role not in MODULES]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *modules], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert set(modules) <= loaded
    assert loaded.isdisjoint(UNUSED)
    assert loaded.isdisjoint({"router.cli", "router.demo", "router.simulators", "router.starter"})


@pytest.mark.parametrize("module", ["router.runtime.process", *MODULES.values()])
def test_a_worker_imports_nothing_for_a_screen(module: str, tmp_path: Path) -> None:
    """The programs that the supervisor starts leave out what another library would import for the colours of a screen.

    One with a site file that is not there ends once it has imported what it needs to say so.
    """
    command = [sys.executable, "-X", "importtime", "-m", module, str(tmp_path / "router.yaml"), "gateway", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert done.returncode == EXIT_CONFIG, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"structlog.dev", "router.config.site"} <= imported
    assert not {name for name in imported if name.startswith("rich.") and name != "rich.console"}  # was asked for


def test_cycles_are_collected_once_the_imports_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker imports they are not; what it has imported then is left out of each collection."""
    monkeypatch.setattr(lean, "NOT_HERE", ())
    lean.begin()
    try:
        assert not gc.isenabled()
    finally:
        lean.imported()
    assert gc.isenabled() and gc.get_freeze_count() > 0
    gc.unfreeze()
