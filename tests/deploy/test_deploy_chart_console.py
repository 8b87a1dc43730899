"""The console, the master key and the archive, as the chart gives them to the pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.chart import VALUES, Manifest, manifests, of_kind, read, rendered, template, workloads

WITH = [name for name, path in VALUES.items() if "console:" in path.read_text()]


def site(name: str) -> dict[str, Any]:
    """The site file that the pods read."""
    (found,) = [one for one in of_kind(name, "ConfigMap") if one["metadata"]["name"].endswith("-site")]
    (config,) = read(found["data"]["router.yaml"])
    return config


def web(name: str) -> Manifest:
    (found,) = [one for one in of_kind(name, "Service") if one["metadata"]["name"].endswith("-console-web")]
    return found


@pytest.mark.parametrize("name", VALUES)
def test_a_console_is_there_where_the_site_has_one(name: str) -> None:
    """A site without `console` gets no pod, no Service and no policy of it; mode single has it in its one pod."""
    if name not in WITH:
        assert "console" not in site(name)
        assert "-console" not in rendered(name)
        return
    pods = [one for one in manifests(name) if one["kind"] == "Deployment"]
    assert len(pods) == (name != "single")
    component = web(name)["spec"]["selector"]["app.kubernetes.io/component"]
    assert component == ("single" if name == "single" else "console")
    assert site(name)["console"]["host"] == "0.0.0.0"  # noqa: S104  # in the pod


def test_the_example_values_show_each_way_in() -> None:
    """An Ingress, a HTTPRoute and a Service of its own are each in one of the values files."""
    kinds = {name: {one["kind"] for one in manifests(name)} & {"Ingress", "HTTPRoute"} for name in WITH}
    assert kinds == {"cert-manager": {"HTTPRoute"}, "hopital": {"Ingress"}, "single": set()}
    assert web("single")["spec"]["type"] == "LoadBalancer"


@pytest.mark.parametrize("name", WITH)
def test_browsers_reach_the_port_on_which_the_console_listens(name: str) -> None:
    """Service, pod, site file and network policy name one port."""
    port = site(name)["console"]["port"]
    assert [(one["port"], one["targetPort"]) for one in web(name)["spec"]["ports"]] == [(port, port)]
    selector = web(name)["spec"]["selector"].items()
    (pod,) = [one for one in workloads(name) if selector <= one["spec"]["template"]["metadata"]["labels"].items()]
    listened = {one["containerPort"] for one in pod["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert port in listened
    for other in workloads(name):
        ports = {one["containerPort"] for one in other["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert (port in ports) is (other is pod)
    opened = {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for policy in of_kind(name, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if port in [one["port"] for one in rule["ports"]]
    }
    assert opened == {web(name)["spec"]["selector"]["app.kubernetes.io/component"]}


@pytest.mark.parametrize("name", WITH)
def test_the_console_may_ask_every_other_pod_for_its_state(name: str) -> None:
    """`others` names the headless Service of each other role; its policy lets the requests out, theirs lets them in."""
    port = site(name)["admin"]["port"]
    others = site(name)["console"]["others"]
    services = {
        one["metadata"]["name"]: one["spec"]["selector"]["app.kubernetes.io/component"]
        for one in of_kind(name, "Service")
        if one["spec"].get("clusterIP") == "None"
    }
    asked = {services.pop(other.partition(".")[0]) for other in others}
    assert set(services.values()) == ({"single"} if name == "single" else {"console"})
    assert all(other.endswith(f".svc:{port}") for other in others)
    policies = {one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: one["spec"]
                for one in of_kind(name, "NetworkPolicy")}  # fmt: skip
    if not asked or not policies:
        return
    out = [rule for rule in policies["console"]["egress"] if port in [one["port"] for one in rule["ports"]]]
    assert [list(rule["to"][0]["podSelector"]["matchLabels"]) for rule in out] == [
        ["app.kubernetes.io/name", "app.kubernetes.io/instance"]
    ]
    assert all(
        any(port in [one["port"] for one in rule["ports"]] for rule in policies[role]["ingress"]) for role in asked
    )


def test_an_ingress_speaks_tls_for_the_address_of_the_console() -> None:
    """Its host is that of `console.address`, its certificate is named, and it goes to the port of the Service."""
    (ingress,) = of_kind("hopital", "Ingress")
    assert ingress["spec"]["tls"] == [{"hosts": ["segur.chu.example"], "secretName": "segur-console-public"}]
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "segur.chu.example"
    (path,) = rule["http"]["paths"]
    service = web("hopital")
    names = [one["name"] for one in service["spec"]["ports"]]
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] in names


def test_a_route_asks_the_pods_by_tls() -> None:
    """A HTTPRoute alone would speak in clear to the pods: the policy beside it names their certificate's authority."""
    (route,), (policy,) = of_kind("cert-manager", "HTTPRoute"), of_kind("cert-manager", "BackendTLSPolicy")
    service = web("cert-manager")
    backend = {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
    assert route["spec"]["rules"] == [{"backendRefs": [backend]}]
    assert route["spec"]["hostnames"] == ["segur.chu.example"]
    assert policy["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": service["metadata"]["name"]}]
    issued = [one["spec"]["dnsNames"] for one in of_kind("cert-manager", "Certificate")]
    assert [policy["spec"]["validation"]["hostname"]] in issued


@pytest.mark.parametrize("name", ["hopital", "single"])
def test_the_master_key_is_mounted_where_the_site_file_says(name: str) -> None:
    """`secrets.encryption` alone turns sealing on; every role that writes or reads the bus has the key."""
    assert site(name)["encryption"]["master_key"] == {"file": "/etc/segur-router/secrets/encryption/key"}
    for one in workloads(name):
        pod = one["spec"]["template"]["spec"]
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "encryption"]
        assert (mount["mountPath"], mount["readOnly"]) == ("/etc/segur-router/secrets/encryption", True)


def test_the_archive_is_one_volume_of_those_that_write_or_read_it() -> None:
    """Sinks, feedback, journal and console share its folder; gateway and pipelines do not see it."""
    found = {}
    for one in workloads("hopital"):
        pod = one["spec"]["template"]["spec"]
        for mount in pod["containers"][0]["volumeMounts"]:
            if mount["mountPath"] == site("hopital")["archive"]["folder"]:
                assert not mount.get("readOnly")
                (volume,) = [v for v in pod["volumes"] if v["name"] == mount["name"]]
                role = one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
                found[role] = volume["persistentVolumeClaim"]["claimName"]
    assert found == dict.fromkeys(("sinks", "feedback", "journal", "console"), "segur-archive")


def anchors(*values: str) -> dict[str, tuple[str, str]]:
    """Role -> (claim of the volume that holds the file of the anchor, what `SEGUR_AUDIT_ANCHOR` says)."""
    made = list(read(template("--values", str(VALUES["hopital"]), *values).stdout))
    maps = [one for one in made if one["kind"] == "ConfigMap" and one["metadata"]["name"].endswith("-site")]
    (config,) = read(maps[0]["data"]["router.yaml"])
    anchor = config["audit"].get("anchor", "-")
    found = {}
    for one in made:
        if one["kind"] not in ("StatefulSet", "Deployment"):
            continue
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume.get("persistentVolumeClaim", {}) for volume in pod["volumes"]}
        claims = [
            volumes[mount["name"]].get("claimName", "lost with the pod")
            for mount in container["volumeMounts"]
            if anchor.startswith(mount["mountPath"] + "/")
        ]
        told = [entry["value"] for entry in container["env"] if entry["name"] == "SEGUR_AUDIT_ANCHOR"]
        role = one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        found[role] = ("".join(claims), "".join(told))
    return found


ROLES = ("gateway", "pipelines", "sinks", "feedback", "console")


@pytest.mark.parametrize(
    ("values", "journal", "others"),
    [
        ((), ("essai-segur-router-audit", ""), ("", "elsewhere")),
        (("--set", "audit.storage.existingClaim=mine"), ("mine", ""), ("", "elsewhere")),
        (("--set", "audit.storage.enabled=false"), ("", "elsewhere"), ("", "elsewhere")),
        (("--set", "site.config.audit.anchor=/srv/shared/head.json"), ("", ""), ("", "")),
    ],
    ids=["made", "given", "none", "the site's own"],
)
def test_the_anchor_of_the_audit_lasts_or_is_kept_by_nobody(
    values: tuple[str, ...], journal: tuple[str, str], others: tuple[str, str]
) -> None:
    """The journal's pod has a volume for it, the others are told; no pod keeps one in a folder that is lost with it."""
    found = anchors(*values)
    assert found["journal"] == journal
    assert {role: found[role] for role in ROLES} == dict.fromkeys(ROLES, others)
