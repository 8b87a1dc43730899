"""What a worker loads before it works: a pod that is replaced is away for as long as that takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from router.runtime.roles import MODULES, ROLES

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
