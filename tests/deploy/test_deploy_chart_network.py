"""NetworkPolicies let each role out to what its part of the site file names, and nowhere else."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.deploy.chart import VALUES, Manifest, of_kind, pods, read, template, workloads

ROLES = ("gateway", "pipelines", "sinks", "feedback", "journal")


def policies(name: str) -> dict[str, Manifest]:
    return {
        one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: one["spec"]
        for one in of_kind(name, "NetworkPolicy")
    }


def out(spec: Manifest) -> set[tuple[str, int]]:
    """(CIDR, port) of every egress rule that names addresses."""
    return {
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in spec.get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
        for port in rule["ports"]
    }


KAFKA = {(f"192.0.2.{n}/32", 9093) for n in (11, 12, 13)}
COMMON = KAFKA | {("192.0.2.20/32", 5432)}
LISTE = {("203.0.113.80/32", 443)}


@pytest.mark.parametrize(
    ("role", "own"),
    [
        ("gateway", set()),
        ("pipelines", LISTE),
        (
            "sinks",
            LISTE | {("198.51.100.0/24", 443), ("203.0.113.10/32", 587), ("192.0.2.40/32", 2675)},
        ),
        ("feedback", LISTE | {("203.0.113.11/32", 993)}),
        ("journal", {("192.0.2.51/32", 6514)}),
        ("console", LISTE | {("192.0.2.50/32", 443)}),
    ],
)
def test_a_role_reaches_what_its_part_of_the_site_names(role: str, own: set[tuple[str, int]]) -> None:
    """Bus and database for all; the DMP, mail and partners for sinks only; the mailbox for feedback only.

    The collector of the audit for the journal, the identity provider for the console.
    """
    assert out(policies("hopital")[role]) == COMMON | own


def test_every_role_reaches_the_collector_of_traces() -> None:
    """OpenTelemetry's collector, when the site has one, is asked by every process."""
    endpoint = "site.config.traces.endpoint=http://192.0.2.77:4318/v1/traces"
    made = template("--values", str(VALUES["hopital"]), "--set-string", endpoint)
    specs = [one["spec"] for one in read(made.stdout) if one["kind"] == "NetworkPolicy"]
    reached = {
        spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for spec in specs
        if ("192.0.2.77/32", 4318) in out(spec)
    }
    assert reached == {*ROLES, "console"}


@pytest.mark.parametrize("name", [name for name in VALUES if name != "cpu"])
def test_every_pod_has_a_policy_both_ways(name: str) -> None:
    """No pod of the router is outside the policies, and a rule without peers is DNS or the listeners."""
    made = policies(name)
    for one in workloads(name):
        spec = made[one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]]
        assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
        for rule in spec["egress"]:
            if not rule.get("to"):
                assert {port["port"] for port in rule["ports"]} == {53}
        assert any({port["port"] for port in rule["ports"]} == {53} for rule in spec["egress"])
        for rule in spec["egress"]:
            for peer in rule.get("to", []):
                if "ipBlock" in peer:
                    assert ipaddress.ip_network(peer["ipBlock"]["cidr"]).prefixlen >= 8


def test_the_check_before_an_upgrade_has_no_network() -> None:
    """The Job that checks the new pipelines reaches nothing and is reached by nobody."""
    check = policies("hopital")["check"]
    assert set(check["policyTypes"]) == {"Ingress", "Egress"}
    assert "egress" not in check
    assert "ingress" not in check


def test_the_migration_before_an_upgrade_reaches_the_database_alone() -> None:
    """With `upgrade.migrate` a Job runs `ledger migrate` with the new image, before anything is changed."""
    (job,) = [one for one in of_kind("ght", "Job") if one["metadata"]["name"].endswith("-migrate")]
    annotations, pod = job["metadata"]["annotations"], job["spec"]["template"]["spec"]
    assert annotations["helm.sh/hook"] == "pre-upgrade" and int(annotations["helm.sh/hook-weight"]) > -5
    assert job["spec"]["activeDeadlineSeconds"] == 7200 and pod["containers"][0]["args"] == ["ledger", "migrate"]
    assert {volume["name"] for volume in pod["volumes"]} == {"site", "data", "tmp", "pseudonyms", "database"}
    spec = policies("ght")["migrate"]
    assert "ingress" not in spec
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 6432}
    assert not [one for one in of_kind("hopital", "Job") if one["metadata"]["name"].endswith("-migrate")]


def test_only_gateways_are_reached_by_senders() -> None:
    """The listeners' ports are open on the gateway, to the senders that are named."""
    for role in ROLES:
        opened = _opened(policies("hopital")[role])
        assert opened == ({2575, 2577, 8080, 9464} if role == "gateway" else {9464})
    assert _opened(policies("hopital")["console"]) == {8443, 9464}
    (listeners,) = [r for r in policies("hopital")["gateway"]["ingress"] if {p["port"] for p in r["ports"]} & {2575}]
    assert listeners["from"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def _opened(spec: dict[str, Any]) -> set[int]:
    return {port["port"] for rule in spec["ingress"] for port in rule["ports"]}


def test_the_gateway_may_ask_pipelines_for_their_version() -> None:
    """The init container that waits for pipelines gets through the policies of both."""
    rule = [r for r in policies("hopital")["gateway"]["egress"] if r.get("to", [{}])[0].get("podSelector")]
    assert rule[0]["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "pipelines"
    assert rule[0]["ports"] == [{"protocol": "TCP", "port": 9464}]
    waiting = dict(pods("hopital"))["essai-segur-router-gateway"]["initContainers"][0]
    assert waiting["args"] == ["wait-for", "pipelines", "essai-segur-router-pipelines.sante.svc:9464"]


def test_loopback_is_no_peer() -> None:
    """The demo's simulators are in the pod: nothing leaves it but DNS."""
    assert [rule for rule in policies("demo")["single"]["egress"] if "to" in rule] == []
