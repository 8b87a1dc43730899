"""A real Prometheus (Debian's package) over one router, with our rules, for as long as a block."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from router.demo.stage import _free
from tests.deploy.chart import ROOT
from tests.deploy.test_deploy_monitoring import BOARDS, queries, rules

_CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}/*.yaml, {expected}]
scrape_configs:
  - job_name: segur-router
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{role: single}}}}]
"""


class Server:
    """Questions to it, by HTTP."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def _get(self, page: str, **query: str) -> Any:
        try:
            address = f"{self._url}/{page}?{urllib.parse.urlencode(query)}"
            with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310  (this machine, http)
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            said = json.loads(text) if text.startswith("{") else {"status": "error", "error": text}
        except OSError as error:  # it starts
            said = {"status": "error", "error": str(error)}
        return {"data": {"result": [], "groups": []}, **said}

    def values(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("query", query=query)["data"]["result"]
        return found

    def problem(self, query: str) -> str:
        """What it says against a query; "" when it answers."""
        said = self._get("query", query=query)
        return "" if said["status"] == "success" else str(said["error"])

    def names(self) -> set[str]:
        """Every metric that it has."""
        return set(self._get("label/__name__/values")["data"])

    def _rules(self) -> Iterator[dict[str, Any]]:
        for group in self._get("rules")["data"]["groups"]:
            yield from group["rules"]

    def rules_evaluated(self) -> bool:
        health = [one["health"] for one in self._rules()]
        return len(health) > len(rules()) and "unknown" not in health

    def rule_errors(self) -> list[str]:
        return [f"{one['name']}: {one.get('lastError')}" for one in self._rules() if one["health"] != "ok"]


@asynccontextmanager
async def prometheus(folder: Path, admin: int) -> AsyncIterator[Server]:
    """Scrapes the administration port `admin` of this machine each second; its data go into `folder`."""
    tool = shutil.which("prometheus")
    assert tool, "prometheus is missing: scripts/services metrics"
    folder.mkdir()
    port = _free()
    expected = ROOT / "deploy" / "compose" / "prometheus" / "expected.yaml"
    file = folder / "prometheus.yml"
    file.write_text(_CONFIGURATION.format(rules=ROOT / "deploy/prometheus/rules", expected=expected, port=admin))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            tool, f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Server(port)
    finally:
        process.terminate()
        await process.wait()


def everything_asked() -> list[str]:
    """Every expression of our rules, and every query of our dashboards."""
    return [str(rule["expr"]) for rule in rules()] + [query for board in BOARDS for query in queries(board)]
