"""Values of the Helm chart that concern one role's pods."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from router.strict import Strict

Object = dict[str, Any]
"""A piece of a Kubernetes manifest, taken as it is."""
Labels = dict[str, str]


class RoleImageValues(Strict):
    """Another version of the image for one role: the way back after an upgrade (README, Upgrade)."""

    tag: str = Field("", description="Tag for this role only; empty: `image.tag`.")


class ServiceValues(Strict):
    """The Service that senders reach."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        "LoadBalancer", description="How senders outside the cluster reach the listeners."
    )
    externalTrafficPolicy: Literal["Local", "Cluster"] = Field(
        "Local", description="`Local` keeps the address of the sender; not used with ClusterIP."
    )
    loadBalancerClass: str = Field("", description="Class of the load balancer.")
    loadBalancerSourceRanges: list[str] = Field(
        default_factory=list, description="CIDRs that the load balancer lets in."
    )
    annotations: Labels = Field(default_factory=dict, description="Annotations of the Service.")


class CpuValues(Strict):
    """The bound of an autoscaler that looks at processor time."""

    averageUtilization: int = Field(70, ge=10, le=100, description="Percent of the requested CPU, on average.")


class AutoscalingValues(Strict):
    """Who decides how many pods of `pipelines` run. Never fewer than 1, never more than there are partitions."""

    engine: Literal["none", "keda", "cpu"] = Field(
        "none", description="`keda`: lag of the topics `in.<feed>`; `cpu`: a HorizontalPodAutoscaler on processor time."
    )
    min: int = Field(1, ge=1, le=1024, description="Fewest pods. Never 0: a group without members falls behind unseen.")
    max: int = Field(8, ge=1, le=1024, description="Most pods; at most `site.config.limits.partitions`.")
    lagPerReplica: int = Field(200, ge=1, description="keda: records of one topic that wait, for each pod.")
    fallbackReplicas: int = Field(2, ge=1, description="keda: pods kept when the lag can't be read.")
    pollingSeconds: int = Field(15, ge=5, description="keda: seconds between two readings of the lag.")
    calmSeconds: int = Field(
        1800, ge=60, le=3600, description="Seconds of calm before one pod fewer; then one pod each 10 minutes at most."
    )
    cpu: CpuValues = Field(default_factory=CpuValues, description="cpu: the bound.")


def _resources(memory: str, cpu: str) -> Object:
    """The limit of memory is its request, so that a pod is not killed for its neighbour's; no limit of processor."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


class RoleValues(Strict):
    """What every role may have."""

    image: RoleImageValues = Field(default_factory=RoleImageValues, description="Another tag for this role only.")
    resources: Object = Field(
        default_factory=lambda: _resources("512Mi", "100m"),
        description="Requests and limits. Keep the limit of memory equal to its request.",
    )
    preStopSeconds: int = Field(
        0, ge=0, le=300, description="Seconds that a pod which ends goes on serving while load balancers forget it."
    )
    nodeSelector: Labels = Field(default_factory=dict, description="Labels that the node must bear.")
    tolerations: list[Object] = Field(default_factory=list, description="Taints that the pods bear.")
    affinity: Object = Field(default_factory=dict, description="Affinity, as Kubernetes has it.")
    priorityClassName: str = Field("", description="Priority class of the pods.")
    podAnnotations: Labels = Field(default_factory=dict, description="Annotations of the pods.")


class GatewayValues(RoleValues):
    """The listeners: one StatefulSet, replaced one pod at a time, so that one always answers."""

    replicas: int = Field(2, ge=1, le=64, description="Pods. 2 or more: one answers while the other is replaced.")
    resources: Object = Field(
        default_factory=lambda: _resources("1Gi", "500m"),
        description="Requests and limits. Keep the limit of memory equal to its request.",
    )
    preStopSeconds: int = Field(
        10, ge=0, le=300, description="Seconds that a pod which ends goes on serving while load balancers forget it."
    )
    oneEachHost: bool = Field(False, description="Refuse to put two gateways on one host (else: only preferred).")
    service: ServiceValues = Field(default_factory=ServiceValues, description="The Service that senders reach.")


class PipelinesValues(RoleValues):
    """The deciding stage: static members `pipelines-<slot>` of one group."""

    replicas: int = Field(2, ge=1, le=1024, description="Pods, when no autoscaler decides.")
    resources: Object = Field(
        default_factory=lambda: _resources("1Gi", "500m"),
        description="Requests and limits. Keep the limit of memory equal to its request.",
    )
    autoscaling: AutoscalingValues = Field(
        default_factory=AutoscalingValues, description="An autoscaler, instead of `replicas`."
    )


class SinksValues(RoleValues):
    """The delivering stage. Its lag mostly means that a peer is down: more pods then knock at a closed door."""

    replicas: int = Field(1, ge=1, le=64, description="Pods; 2 for volume.")
    resources: Object = Field(
        default_factory=lambda: _resources("1Gi", "500m"),
        description="Requests and limits. Keep the limit of memory equal to its request.",
    )


class ConsoleRoleValues(RoleValues):
    """The pages for people. Nothing is kept in the pod: accounts, sessions, audit and orders stand in PostgreSQL."""

    replicas: int = Field(1, ge=1, le=64, description="Pods; 2: people are served while a node is drained.")
    preStopSeconds: int = Field(
        10, ge=0, le=300, description="Seconds that a pod which ends goes on serving while load balancers forget it."
    )


class RolesValues(Strict):
    """One StatefulSet a role, each pod with one worker under its own slot; a Deployment for the console."""

    gateway: GatewayValues = Field(default_factory=GatewayValues, description="Listeners.")
    pipelines: PipelinesValues = Field(default_factory=PipelinesValues, description="Decisions.")
    sinks: SinksValues = Field(default_factory=SinksValues, description="Deliveries.")
    feedback: RoleValues = Field(
        default_factory=RoleValues, description="DSN and MDN. Always one pod: one reader a mailbox."
    )
    journal: RoleValues = Field(default_factory=RoleValues, description="The history. Always one pod.")
    console: ConsoleRoleValues = Field(
        default_factory=ConsoleRoleValues, description="Pages for people; only where `site.config.console` is there."
    )


class StorageValues(Strict):
    """The volume of `mode: single`: bus, ledger, journal and register are on it."""

    size: str = Field("20Gi", pattern=r"^\d+(Ki|Mi|Gi|Ti)$", description="Size of the volume.")
    storageClassName: str = Field("", description="Storage class; empty: the cluster's default.")
    existingClaim: str = Field("", description="A PersistentVolumeClaim that exists already.")


class SingleValues(RoleValues):
    """The one pod of `mode: single`."""

    resources: Object = Field(
        default_factory=lambda: _resources("3Gi", "1"),
        description="Requests and limits. Keep the limit of memory equal to its request.",
    )
    preStopSeconds: int = Field(
        5, ge=0, le=300, description="Seconds that a pod which ends goes on serving while load balancers forget it."
    )
    service: ServiceValues = Field(default_factory=ServiceValues, description="The Service that senders reach.")
    storage: StorageValues = Field(default_factory=StorageValues, description="The volume of the pod.")
