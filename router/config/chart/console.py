"""Values of the Helm chart that say how browsers reach the console."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from router.config.chart.roles import Labels, Object
from router.strict import Strict


class ConsoleServiceValues(Strict):
    """The Service of the console: TLS as far as the pod."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        "ClusterIP", description="How browsers reach it without an Ingress or a route."
    )
    annotations: Labels = Field(default_factory=dict, description="Annotations of the Service.")


class IngressValues(Strict):
    """An Ingress for the host of `site.config.console.address`."""

    enabled: bool = Field(False, description="Make it.")
    className: str = Field("", description="Class of the controller; empty: the cluster's default.")
    annotations: Labels = Field(
        default_factory=dict,
        description="Annotations. The controller must be told that the pods speak https, e.g. "
        "`nginx.ingress.kubernetes.io/backend-protocol: HTTPS`.",
    )
    tlsSecret: str = Field("", description="Secret with the certificate that browsers see; required.")


class RouteValues(Strict):
    """A HTTPRoute of the Gateway API for the host of `site.config.console.address`, and its BackendTLSPolicy."""

    enabled: bool = Field(False, description="Make them; the certificate that browsers see is the Gateway's.")
    parentRefs: list[Object] = Field(
        default_factory=list, description="The Gateways: `[{name, namespace, sectionName}]`; required."
    )
    caConfigMap: str = Field(
        "", description="ConfigMap whose `ca.crt` has signed the pods' certificate; empty: authorities of the system."
    )
    hostname: str = Field(
        "", description="Name in the pods' certificate; empty: the host of `site.config.console.address`."
    )


class ConsoleValues(Strict):
    """How browsers reach the console."""

    service: ConsoleServiceValues = Field(default_factory=ConsoleServiceValues, description="Its Service.")
    ingress: IngressValues = Field(default_factory=IngressValues, description="An Ingress.")
    route: RouteValues = Field(default_factory=RouteValues, description="A HTTPRoute.")
