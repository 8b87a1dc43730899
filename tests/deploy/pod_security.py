"""Pod Security Standards, profile `restricted` (and `baseline`, which it contains), field by field.

Source: kubernetes.io/docs/concepts/security/pod-security-standards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: Volume types that `restricted` allows.
VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SECCOMP = ("RuntimeDefault", "Localhost")


def violations(pod: dict[str, Any]) -> Iterator[str]:
    """What of a pod `restricted` refuses."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"{key} is set"
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is of type {sorted(kinds)}"
    shared = pod.get("securityContext", {})
    yield from _context("pod", shared)
    for part in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(part, []):
            yield from _container(container, shared)


def _context(place: str, context: dict[str, Any]) -> Iterator[str]:
    if "seLinuxOptions" in context and set(context["seLinuxOptions"]) & {"user", "role"}:
        yield f"{place}: seLinuxOptions names a user or a role"
    if context.get("sysctls"):
        yield f"{place}: sysctls are set"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield f"{place}: AppArmor is off"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{place}: hostProcess is set"


def _container(container: dict[str, Any], shared: dict[str, Any]) -> Iterator[str]:
    place = container["name"]
    own = container.get("securityContext", {})
    yield from _context(place, own)
    if own.get("privileged"):
        yield f"{place}: is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{place}: allowPrivilegeEscalation is not false"
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield f"{place}: runAsNonRoot is not true"
    if own.get("runAsUser", shared.get("runAsUser")) == 0:
        yield f"{place}: runs as root"
    if own.get("seccompProfile", shared.get("seccompProfile", {})).get("type") not in SECCOMP:
        yield f"{place}: has no seccomp profile"
    if "ALL" not in own.get("capabilities", {}).get("drop", []):
        yield f"{place}: does not drop all capabilities"
    if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{place}: adds capabilities"
    if own.get("procMount", "Default") != "Default":
        yield f"{place}: procMount is not the default"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{place}: takes a port of the host"
