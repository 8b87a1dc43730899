"""Every manifest of every values file: valid to Kubernetes, restricted, and as the chart promises."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from router.runtime.supervisor.router_process import CLOSING_SECONDS
from tests.deploy.chart import (
    CHART,
    VALUES,
    Manifest,
    containers,
    hook,
    manifests,
    of_kind,
    pod_of,
    pods,
    read,
    rendered,
    workloads,
)
from tests.deploy.pod_security import violations

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}
EACH = pytest.mark.parametrize("name", VALUES)
#: Of a cluster, where kinds of ours are known to Kubernetes.
BUILT_IN = re.compile(r"^(v1|apps/v1|batch/v1|policy/v1|autoscaling/v2|networking\.k8s\.io/v1)$")


@pytest.mark.parametrize("version", ["1.28", "1.37"])
@EACH
def test_every_manifest_is_valid(name: str, version: str) -> None:
    """Each object keeps its schema, unknown fields refused; no kind is left out for want of one."""
    for one in manifests(name):
        if BUILT_IN.match(one["apiVersion"]):
            if version == "1.28" and name == "demo" and one["kind"] == "StatefulSet":
                continue  # sidecars came with 1.29: the chart refuses them before
            sent = _with_older_pre_stop(one) if version == "1.28" else one
            kubernetes_validate.validate(sent, version, strict=True)
        else:
            jsonschema.validate(one, SCHEMAS[one["kind"]])


def _with_older_pre_stop(one: Manifest) -> Manifest:
    """The renders are for 1.34, where `sleep` is an action; the render for 1.28 is a golden file."""
    copy = json.loads(json.dumps(one))
    for container in (pod_of(copy) or {"containers": []})["containers"]:
        container.pop("lifecycle", None)
    return copy  # type: ignore[no-any-return]


def test_the_validator_refuses_what_is_wrong() -> None:
    """A wrong field of each kind is found: the check can fail."""
    service = next(one for one in manifests("minimal") if one["kind"] == "Service")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "spec": {**service["spec"], "port": 1}}, "1.37", strict=True)
    scaled = of_kind("keda", "ScaledObject")[0]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**scaled, "spec": {**scaled["spec"], "minReplicaCount": 0}}, SCHEMAS["ScaledObject"])


@EACH
def test_every_pod_is_restricted(name: str) -> None:
    """Each pod passes the Pod Security profile `restricted`, field by field."""
    assert {label: found for label, pod in pods(name) if (found := list(violations(pod)))} == {}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("hostNetwork",), True, "hostNetwork is set"),
        (("volumes",), [{"name": "x", "hostPath": {"path": "/"}}], "volume x is of type ['hostPath']"),
        (("containers", 0, "securityContext", "capabilities"), {}, "router: does not drop all capabilities"),
        (("containers", 0, "securityContext", "runAsNonRoot"), False, "router: runAsNonRoot is not true"),
        (
            ("containers", 0, "securityContext", "seccompProfile"),
            {"type": "Unconfined"},
            "router: has no seccomp profile",
        ),
    ],
)
def test_the_profile_refuses(path: tuple[str | int, ...], value: object, sentence: str) -> None:
    """The check of the profile finds what the profile refuses."""
    pod = json.loads(json.dumps(pod_of(of_kind("minimal", "StatefulSet")[0])))
    inside = pod
    for part in path[:-1]:
        inside = inside[part]
    inside[path[-1]] = value
    assert sentence in list(violations(pod))


@EACH
def test_no_container_writes_its_root_or_has_a_token(name: str) -> None:
    """The root is read-only, no token is mounted, and nothing is mounted by subPath, which never sees a change."""
    for _, pod in pods(name):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"requests", "limits"} <= container["resources"].keys()
            assert not any("subPath" in key for mount in container["volumeMounts"] for key in mount)
    assert all(one["automountServiceAccountToken"] is False for one in of_kind(name, "ServiceAccount"))
    assert of_kind(name, "Secret") == []


@EACH
def test_every_volume_and_secret_that_is_used_exists(name: str) -> None:
    """Mounts name volumes of their pod, and volumes name objects of the release or what the values say exists."""
    made = {(one["kind"], one["metadata"]["name"]) for one in manifests(name)}
    values = VALUES[name].read_text()
    for label, pod in pods(name):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for one in containers(pod) for mount in one["volumeMounts"]} <= volumes.keys(), label
        assert len(volumes) == len(pod["volumes"]), label
        for kind, wanted in _objects(pod):
            issued = {one["spec"]["secretName"] for one in of_kind(name, "Certificate")} if kind == "Secret" else set()
            given = re.search(rf"(existingSecret|existingClaim|claimName|name): {re.escape(wanted)}\b", values)
            assert (kind, wanted) in made or wanted in issued or given, f"{label}: {kind} {wanted}"


def _objects(pod: Manifest) -> list[tuple[str, str]]:
    found = []
    for volume in pod["volumes"]:
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            if "configMap" in source:
                found.append(("ConfigMap", source["configMap"]["name"]))
            if "secret" in source:
                found.append(("Secret", source["secret"]["secretName"]))
            if "persistentVolumeClaim" in source:
                found.append(("PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"]))
    return found


@EACH
def test_what_a_volume_takes_of_a_config_map_is_in_it(name: str) -> None:
    """Keys that a volume names stand in the ConfigMap, and pipelines come out with their own names."""
    maps = {one["metadata"]["name"]: one for one in of_kind(name, "ConfigMap")}
    for label, pod in pods(name):
        for volume in pod["volumes"]:
            for source in [*volume.get("projected", {}).get("sources", []), volume]:
                entry = source.get("configMap")
                if entry and entry["name"] in maps:
                    assert {item["key"] for item in entry.get("items", [])} <= maps[entry["name"]]["data"].keys(), label


@EACH
def test_probes_know_no_peer(name: str) -> None:
    """Startup is patient (a migration fits), liveness asks the process alone, readiness asks the workers."""
    for one in workloads(name):
        router = next(c for c in one["spec"]["template"]["spec"]["containers"] if c["name"] == "router")
        admin = {port.get("name"): port["containerPort"] for port in router["ports"]}["admin"]
        startup, live, ready = (router[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness"))
        assert [p["httpGet"] for p in (startup, live, ready)] == [
            {"path": path, "port": admin} for path in ("/livez", "/livez", "/readyz")
        ]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
        assert live["periodSeconds"] * live["failureThreshold"] >= 60
        assert ready["periodSeconds"] * ready["failureThreshold"] <= 10


@EACH
def test_the_grace_is_computed(name: str) -> None:
    """A pod has the time of its preStop, of the router's own drain and of its closing, and five seconds to spare."""
    (site,) = [one for one in of_kind(name, "ConfigMap") if one["metadata"]["name"].endswith("-site")]
    (config,) = read(site["data"]["router.yaml"])
    drain = config.get("limits", {}).get("drain_seconds", 7)
    for one in workloads(name):
        pod = one["spec"]["template"]["spec"]
        (router,) = pod["containers"]
        before = router.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        least = before + drain + CLOSING_SECONDS + 5
        assert least <= pod["terminationGracePeriodSeconds"] < least + 1


@EACH
def test_selectors_never_change(name: str) -> None:
    """Selectors hold the name, the instance and the component: a StatefulSet's can't be changed by an upgrade."""
    for one in workloads(name):
        selector = one["spec"]["selector"]["matchLabels"]
        component = one["metadata"]["name"].rpartition("-")[2]
        assert selector == {
            "app.kubernetes.io/name": "segur-router",
            "app.kubernetes.io/instance": "essai",
            "app.kubernetes.io/component": component,
        }
        assert selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        assert "volumeClaimTemplates" not in one["spec"]
        assert len(one["metadata"]["name"]) <= 52


@EACH
def test_each_pod_has_its_slot(name: str) -> None:
    """In mode roles a pod runs one role under the number of its pod; the one pod of mode single runs all of them.

    The console keeps nothing, and has no slot.
    """
    for one in workloads(name):
        (router,) = one["spec"]["template"]["spec"]["containers"]
        role = one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        slot = [env for env in router["env"] if env["name"] == "SEGUR_SLOT"]
        if role == "single":
            assert router["args"] == ["run"]
            assert slot == []
        elif role == "console":
            assert (one["kind"], router["args"], slot) == ("Deployment", ["run", "--only", "console"], [])
            continue
        else:
            assert router["args"] == ["run", "--only", role]
            field = slot[0]["valueFrom"]["fieldRef"]["fieldPath"]
            assert field == "metadata.labels['apps.kubernetes.io/pod-index']"
        assert one["spec"]["podManagementPolicy"] == ("OrderedReady" if role == "gateway" else "Parallel")


@EACH
def test_budgets_and_spread_are_for_several_pods(name: str) -> None:
    """A budget for one pod would keep its node from being drained: there is none."""
    for one in workloads(name):
        label = one["metadata"]["name"]
        several = one["spec"].get("replicas", 2) > 1
        budget = [b for b in of_kind(name, "PodDisruptionBudget") if b["metadata"]["name"] == label]
        assert len(budget) == (several and name != "cpu"), label
        assert all(b["spec"]["maxUnavailable"] == 1 for b in budget)
        assert ("topologySpreadConstraints" in one["spec"]["template"]["spec"]) is several


@EACH
def test_an_autoscaler_owns_the_number_of_pods(name: str) -> None:
    """Where an autoscaler decides, the chart says no `replicas`, and never asks for more pods than partitions."""
    scalers = of_kind(name, "ScaledObject") + of_kind(name, "HorizontalPodAutoscaler")
    owned = {one["spec"]["scaleTargetRef"]["name"] for one in scalers}
    for one in workloads(name):
        assert ("replicas" in one["spec"]) is (one["metadata"]["name"] not in owned)
    for one in scalers:
        spec = one["spec"]
        assert 1 <= spec.get("minReplicaCount", spec.get("minReplicas")) <= 16
        assert "idleReplicaCount" not in spec
    assert bool(scalers) is (name in ("keda", "cpu"))


@EACH
def test_hooks_refer_to_nothing_of_their_release(name: str) -> None:
    """What runs before the release exists uses objects of lower weight, and Secrets that existed before."""
    before = [one for one in manifests(name) if "pre-install" in hook(one)]
    own = {one["metadata"]["name"] for one in before}
    made = {one["metadata"]["name"] for one in manifests(name)} - own
    weight = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in before}
    for one in (job for job in before if job["kind"] == "Job"):
        pod = one["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "default"
        assert one["spec"]["backoffLimit"] == 0
        assert one["spec"]["activeDeadlineSeconds"] > 0
        assert not {wanted for _, wanted in _objects(pod)} & made
        assert not {one["spec"]["secretName"] for one in of_kind(name, "Certificate")} & {n for _, n in _objects(pod)}
        assert all(value < weight["Job"] for kind, value in weight.items() if kind != "Job")
        assert [c["args"][0] for c in containers(pod)] == ["check", "test"]
    assert bool(before) is (name != "cpu")
    for one in manifests(name):
        if hook(one):
            policy = one["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
            assert policy == "before-hook-creation,hook-succeeded"
            assert "post-install" not in hook(one)


@EACH
def test_a_release_fits(name: str) -> None:
    """The chart, its values and what it makes stay far under the 1 MiB of a release's Secret."""
    files = [path for path in CHART.rglob("*") if path.is_file() and "ci" not in path.parts]
    text = rendered(name) * 2 + "".join(path.read_text() for path in files) + VALUES[name].read_text()
    assert len(base64.b64encode(gzip.compress(text.encode()))) < 700_000


def test_pods_are_replaced_for_the_site_file_only() -> None:
    """A change of the pipelines restarts nobody: running pods take it by themselves."""
    before = of_kind("demo", "StatefulSet")[0]["spec"]["template"]["metadata"]["annotations"]
    (site,) = [one for one in of_kind("demo", "ConfigMap") if one["metadata"]["name"].endswith("-site")]
    assert list(before) == ["checksum/site"]
    assert "router.yaml" in site["data"]


def test_each_role_gets_its_own_secrets_only() -> None:
    """A gateway has no key of the DMP, sinks none of the listeners; the secret of OIDC is the console's alone."""
    folders = {
        one["metadata"]["name"].rpartition("-")[2]: {
            mount["mountPath"].rpartition("/")[2]
            for mount in one["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
            if "/certificates/" in mount["mountPath"] or "/secrets/" in mount["mountPath"]
        }
        for one in workloads("hopital")
    }
    common = {"pseudonyms", "database", "kafka", "encryption"}
    assert folders == {
        "gateway": common | {"mllp", "http"},
        "pipelines": common | {"igc-sante"},
        "sinks": common | {"igc-sante", "dmp-auth", "dmp-sign", "mssante"},
        "feedback": common | {"igc-sante", "mssante"},
        "journal": common | {"collector"},
        "console": common | {"console", "oidc", "igc-sante"},
    }
