"""Wrong values fail at `helm template`, each with a sentence that says what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.chart import VALUES, read, template

KAFKA = {"type": "kafka", "servers": "10.0.0.5:9092"}
RELAY = {"type": "hl7", "host": "10.0.0.9", "port": 2678}
DMP = {
    "type": "dmp",
    "url": "https://10.1.1.1/services",
    "auth": {"certificate": "/etc/segur-router/certificates/dmp/tls.crt"},
    "sign": {"certificate": "/etc/segur-router/certificates/dmp/tls.crt"},
    "lps": {"homologation": "X"},
}
DROP = object()

#: What is changed in a values file that is right -> the sentence. `a.b.c` is the path of a key.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    # the schema
    ("minimal", {"site.config.sinks.hl7.dpi/prot": 2678}, "additional properties 'prot' not allowed"),
    ("minimal", {"site.config.sinks.hl7.dpi/type": "ldap"}, "value must be one of 'dmp', 'hl7', 'mssante'"),
    ("minimal", {"site.config.sinks.ftp.dpi/": RELAY}, "additional properties 'ftp.dpi' not allowed"),
    ("minimal", {"site.config.feeds": {}}, "minProperties: got 0, want 1"),
    ("minimal", {"site.config.feeds.labo-relais.kind": "ftp"}, "value must be one of 'documents', 'adt', 'relay'"),
    ("minimal", {"site.config.environment": DROP}, "missing property 'environment'"),
    ("minimal", {"roles.pipelines.replicas": 0}, "minimum: got 0, want 1"),
    ("minimal", {"roles.feedback.replicas": 2}, "additional properties 'replicas' not allowed"),
    ("minimal", {"image.digest": "sha256:12"}, "does not match pattern"),
    ("keda", {"roles.pipelines.autoscaling.min": 0}, "minimum: got 0, want 1"),
    ("single", {"upgrade.migrate": True}, "upgrade.migrate: needs mode roles"),
    # keys that are elsewhere
    ("minimal", {"replicaCount": 3}, "replicaCount: write roles.<role>.replicas"),
    ("minimal", {"postgresql": {"enabled": True}}, "postgresql: this chart brings no PostgreSQL"),
    ("minimal", {"site.existingConfigMap": "x"}, "site.existingConfigMap: the chart reads ports, feeds and hosts"),
    # what is required
    ("minimal", {"site.config": DROP}, "site.config: is required; write your router.yaml there"),
    ("minimal", {"pipelines.existingConfigMaps": DROP}, "pipelines.files: holds no pipeline"),
    ("minimal", {"secrets.pseudonyms": DROP}, "secrets.pseudonyms.existingSecret: is required in mode roles"),
    ("minimal", {"secrets.database": DROP}, "secrets.database.existingSecret: is required in mode roles"),
    ("minimal", {"secrets.database.host": DROP}, "secrets.database.host: is required with networkPolicy"),
    ("cert-manager", {"certManager.issuerRef": DROP}, "certManager.issuerRef: name the issuer"),
    # modes
    ("minimal", {"site.config.bus": DROP}, "site.config.bus: pods share no file; mode roles needs `type: kafka`"),
    ("minimal", {"site.config.roles": {"sinks": 2}}, "site.config.roles: each pod runs one worker"),
    ("minimal", {"simulators.enabled": True}, "simulators.enabled: they are sidecars of the one pod"),
    ("demo", {"site.config.environment": "production"}, "simulators.enabled: never in production"),
    ("single", {"site.config.bus": KAFKA}, "secrets.pseudonyms.existingSecret: is required with Kafka"),
    ("cpu", {"site.config.database.url": "sqlite:////tmp/x.db"}, "mode roles needs PostgreSQL"),
    ("minimal", {"site.config.secret": {"env": "KEY"}}, "site.config.secret: secrets.pseudonyms says it already"),
    # addresses and ports
    ("minimal", {"site.config.data": "/srv"}, "site.config.data: the chart mounts the folder of the data"),
    ("minimal", {"site.config.admin": {"host": "127.0.0.1"}}, "site.config.admin.host: nobody outside the pod reaches"),
    ("minimal", {"site.config.admin": {"port": 0}}, "site.config.admin.port: 0 turns off the port"),
    (
        "minimal",
        {"site.config.feeds.labo-relais.mllp.host": "localhost"},
        "site.config.feeds.labo-relais.mllp.host: nobody outside the pod reaches localhost",
    ),
    ("minimal", {"site.config.feeds.labo-relais.mllp.port": 104}, "without rights of root only 1024 and above"),
    ("minimal", {"site.config.feeds.labo-relais.mllp.port": 9464}, "admin and mllp-labo-relais have the same port"),
    (
        "minimal",
        {"site.config.sinks.hl7.dpi/host": "127.0.0.1"},
        "is on the loopback of the pod, where nothing listens",
    ),
    ("minimal", {"site.config.feeds.labo-relais.folder": {"path": "/x"}}, "two gateways would take one file twice"),
    # console and archive
    ("hopital", {"site.config.console.tls": DROP}, "site.config.console.tls: is required, also behind an Ingress"),
    ("hopital", {"site.config.console.host": "127.0.0.1"}, "site.config.console.host: nobody outside the pod reaches"),
    ("hopital", {"site.config.console.port": 8080}, "http and console have the same port"),
    ("single", {"site.config.console.port": 443}, "without rights of root only 1024 and above"),
    (
        "cert-manager",
        {"site.config.console.address": DROP},
        "site.config.console.address: is required with console.route",
    ),
    ("minimal", {"console": {"ingress": {"enabled": True}}}, "console: the site has none; write site.config.console"),
    ("hopital", {"console.ingress.tlsSecret": DROP}, "console.ingress.tlsSecret: is required"),
    ("cert-manager", {"console.route.parentRefs": DROP}, "console.route.parentRefs: name the Gateway"),
    ("hopital", {"networkPolicy.peers": {}}, "says not where idp.chu.example is (console.oidc.issuer)"),
    ("hopital", {"networkPolicy.peers": {}}, "says not where arr.chu.example is (audit.collector)"),
    (
        "hopital",
        {"site.config.directory.fhir": {"key": {"env": "K"}}},
        "where gateway.api.esante.gouv.fr is (directory.fhir)",
    ),
    ("hopital", {"archive": DROP}, "archive.existingClaim: is required with site.config.archive in mode roles"),
    ("minimal", {"archive": {"existingClaim": "x"}}, "nothing is written there without site.config.archive"),
    ("hopital", {"site.config.archive.folder": "/srv"}, "archive.existingClaim says it already"),
    (
        "hopital",
        {"secrets.encryption": DROP, "site.config.encryption": {"master_key": {"file": "/k/key"}}},
        "no volume is mounted at /k",
    ),
    # files and secrets
    ("minimal", {"site.config.sinks.dmp.a/": DMP}, "no volume is mounted at /etc/segur-router/certificates/dmp"),
    (
        "minimal",
        {"site.config.sinks.hl7.dpi/tls": {"ca": "certificates/ca.pem"}},
        "site.config.sinks.hl7.dpi.tls.ca: is relative; write the whole path",
    ),
    ("ght", {"extraEnv": DROP}, "no pod has the variable MSSANTE_PASSWORD; add it to extraEnv"),
    ("minimal", {"extraEnv": [{"name": "DB_PASSWORD", "value": "x"}]}, "a secret in values is no secret"),
    (
        "ght",
        {"extraVolumeMounts": [{"name": "annuaires", "mountPath": "/a/b", "subPath": "b"}]},
        "extraVolumeMounts.annuaires: subPath never sees a renewed file",
    ),
    ("minimal", {"pipelines.files": {"été.yaml": "x"}}, "a file name of letters, digits"),
    ("minimal", {"pipelines.files": {"a.yaml": "x" * 950_000}}, "a ConfigMap holds 1 MiB; use existingConfigMaps"),
    # numbers
    ("minimal", {"roles.pipelines.replicas": 9}, "roles.pipelines.replicas: 9 pods for 8 partitions"),
    ("keda", {"roles.pipelines.autoscaling.max": 17}, "roles.pipelines.autoscaling.max: 17 pods for 16 partitions"),
    ("keda", {"roles.pipelines.autoscaling.min": 17}, "roles.pipelines.autoscaling: min is more than max"),
    ("keda", {"secrets.kafka": DROP}, "secrets.kafka.existingSecret: is required with KEDA"),
    ("cpu", {"roles.pipelines.resources": {"requests": None}}, "a share of nothing can't be measured"),
    ("minimal", {"roles.gateway.resources": {"limits": {"cpu": "1"}}}, "a gateway that is throttled answers late"),
    # images and networks
    ("minimal", {"image.tag": "latest"}, "image.tag: `latest` is not a version"),
    ("minimal", {"roles.sinks.image.tag": "latest"}, "roles.sinks.image.tag: `latest` is not a version"),
    ("minimal", {"image.repository": "r.example/x:1"}, "image.repository: holds a tag"),
    ("minimal", {"networkPolicy.peers": DROP}, "networkPolicy.peers: says not where kafka.bus.svc is (bus.servers)"),
    ("minimal", {"networkPolicy.senders": ["sil.chu.example"]}, '"sil.chu.example" is no CIDR'),
]


def changed(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """A values file with some of its keys changed or dropped. `a.b/c`: everything between two `/` is one key."""
    (values,) = read(VALUES[name].read_text())
    for path, value in changes.items():
        inside, parts = values, _parts(path)
        for part in parts[:-1]:
            inside = inside.setdefault(part, {})
        if value is DROP:
            del inside[parts[-1]]
        else:
            inside[parts[-1]] = value
    return values


def _parts(path: str) -> list[str]:
    if "/" not in path:
        return path.split(".")
    head, _, tail = path.partition("/")
    first = head.split(".")
    return [*first[:3], ".".join(first[3:]), *([tail] if tail else [])]


def render(tmp_path: Path, values: dict[str, Any], kubernetes: str = "1.34.0") -> tuple[int, str]:
    path = tmp_path / "values.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(values, file)
    done = template("--values", str(path), kubernetes=kubernetes)
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize(("name", "changes", "sentence"), WRONG, ids=[f"{n}:{','.join(c)}" for n, c, _ in WRONG])
def test_a_wrong_value_has_its_sentence(name: str, changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """What can't be right is refused before anything reaches the cluster, with what to write instead."""
    code, said = render(tmp_path, changed(name, changes))
    assert code != 0
    assert sentence in said


@pytest.mark.parametrize("name", VALUES)
def test_the_values_that_are_changed_are_right(name: str, tmp_path: Path) -> None:
    """Each case fails for what it changes, not for what it starts from."""
    code, said = render(tmp_path, changed(name, {}))
    assert code == 0, said


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Somebody who has made three mistakes hears of three."""
    wrong = {"image.tag": "latest", "secrets.pseudonyms": DROP, "roles.pipelines.replicas": 20}
    code, said = render(tmp_path, changed("minimal", wrong))
    assert code != 0
    assert "3 of the values can't be right" in said
    assert said.count("\n  - ") == 3


def test_sidecars_need_their_kubernetes(tmp_path: Path) -> None:
    """Simulators are sidecars, which came with Kubernetes 1.29."""
    code, said = render(tmp_path, changed("demo", {}), "1.28.0")
    assert code != 0
    assert "sidecars need Kubernetes 1.29" in said


def test_a_chart_that_holds_this_one_may_pass_its_globals(tmp_path: Path) -> None:
    """`global` is the parent chart's, and stays open."""
    code, said = render(tmp_path, changed("minimal", {"global": {"anything": 1}}))
    assert code == 0, said
