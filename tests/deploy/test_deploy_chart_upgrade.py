"""An upgrade that would change what can't be changed in place is refused: the chart looks at the release that runs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.deploy.chart import CHART, KUBERNETES, RELEASE, VALUES, helm

SITE = "/api/v1/namespaces/sante/configmaps/essai-segur-router-site"


@contextlib.contextmanager
def cluster(objects: dict[str, dict[str, Any]]) -> Iterator[str]:
    """As much of a Kubernetes API as `lookup` asks: its address."""
    known: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        "/api/v1": {
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [{"name": "configmaps", "namespaced": True, "kind": "ConfigMap", "verbs": ["get"]}],
        },
        **objects,
    }

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = known.get(self.path.partition("?")[0])
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or status).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def upgrade(tmp_path: Path, before: str | None) -> subprocess.CompletedProcess[str]:
    """Render against a cluster in which the site file of the release is `before`."""
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"router.yaml": before}}
    with cluster({SITE: made} if before is not None else {}) as address:
        config = tmp_path / "kubeconfig"
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [context],
                    "clusters": [{"name": "c", "cluster": {"server": address}}],
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        return helm(
            "template", RELEASE, str(CHART), "--namespace", "sante", "--values", str(VALUES["keda"]),
            "--dry-run=server", "--kubeconfig", str(config), "--kube-version", KUBERNETES,
        )  # fmt: skip


def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    """Partitions never change in place: a key would change its partition, and its order would be lost."""
    done = upgrade(tmp_path, "limits: {partitions: 8}\n")
    assert done.returncode != 0
    assert "site.config.limits.partitions: was 8, and never changes in place" in done.stderr


def test_the_same_number_is_taken(tmp_path: Path) -> None:
    """A release with the same number of partitions, or no release at all, is rendered."""
    for before in ("limits: {partitions: 16}\n", None):
        done = upgrade(tmp_path, before)
        assert done.returncode == 0, done.stderr
