"""The Helm chart's values, as pydantic models. The site file inside them is the router's own model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from router.config.chart.console import ConsoleValues
from router.config.chart.roles import Labels, Object, RolesValues, SingleValues, StorageValues
from router.config.site_models import SiteConfig
from router.strict import Strict

NAME = r"^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$"


class ImageValues(Strict):
    """The router's image."""

    repository: str = Field("segur-router", description="Repository, with its registry.")
    tag: str = Field("", description="Tag; empty: the version of the chart's application. `latest` is refused.")
    digest: str = Field("", pattern=r"^(sha256:[0-9a-f]{64})?$", description="Digest; it wins over the tag.")
    pullPolicy: Literal["IfNotPresent", "Always", "Never"] = Field("IfNotPresent", description="When it is pulled.")
    pullSecrets: list[str] = Field(default_factory=list, description="Names of Secrets of the registry.")


class SiteValues(Strict):
    """The site file."""

    config: SiteConfig | None = Field(
        None,
        description="router.yaml as it is. The chart adds the addresses to listen on, the folders, and the files of "
        "the Secrets named below. Paths are absolute: `/etc/segur-router/certificates/<name>/tls.crt`.",
    )


class ItemValues(Strict):
    """One key of a ConfigMap, and the path of the file it becomes."""

    key: str = Field(description="Key of the ConfigMap.")
    path: str = Field(description="Path from the folder of the pipelines, e.g. `samples/biologie-ok.hl7`.")


class PipelineSourceValues(Strict):
    """A ConfigMap with pipelines or samples that exists already."""

    name: str = Field(description="Name of the ConfigMap.")
    items: list[ItemValues] = Field(default_factory=list, description="Its keys and their paths; none: every key.")


class PipelinesFilesValues(Strict):
    """The pipeline files and their samples. Running pods take a new set by themselves, without a restart."""

    files: Labels = Field(default_factory=dict, description="File name -> text, e.g. `biologie.yaml`.")
    samples: Labels = Field(default_factory=dict, description="File name -> text of a message, in `samples/`.")
    existingConfigMaps: list[PipelineSourceValues] = Field(
        default_factory=list, description="More of them, when they are too large for a Helm release (1 MiB)."
    )
    checkBeforeUpgrade: bool = Field(
        True, description="Run `check` and `test` on the new site and pipelines before anything is changed."
    )
    checkDeadlineSeconds: int = Field(120, ge=10, le=3600, description="Seconds this may take.")


class KeySecretValues(Strict):
    """A Secret that exists already, and the key in it."""

    existingSecret: str = Field("", description="Name of the Secret.")
    key: str = Field("key", description="Key in the Secret.")


class DatabaseSecretValues(Strict):
    """Where the whole URL of PostgreSQL is, and where the server stands."""

    existingSecret: str = Field("", description="Name of the Secret.")
    key: str = Field("url", description="Key in the Secret: `postgresql+psycopg://…`.")
    host: str = Field("", description="Host of the server, for the NetworkPolicy: the URL is not read by the chart.")
    port: int = Field(5432, ge=1, le=65535, description="Port of the server, for the NetworkPolicy.")


class KafkaSecretValues(Strict):
    """What the brokers ask for."""

    existingSecret: str = Field("", description="Name of the Secret; its folder is `/etc/segur-router/secrets/kafka`.")
    passwordKey: str = Field("password", description="Key of the password, when `site.config.bus.sasl` is there.")


class NamedSecretValues(Strict):
    """A Secret that is mounted as a whole folder, so that a renewed one is seen."""

    name: str = Field(pattern=NAME, description="Name of the folder.")
    existingSecret: str = Field(description="Name of the Secret.")


class SecretsValues(Strict):
    """Names of Secrets that exist already. The chart makes none."""

    pseudonyms: KeySecretValues = Field(
        default_factory=KeySecretValues,
        description="Key of the pseudonyms. Required in mode `roles`: else each pod would hash a patient differently.",
    )
    database: DatabaseSecretValues = Field(default_factory=DatabaseSecretValues, description="PostgreSQL.")
    kafka: KafkaSecretValues = Field(default_factory=KafkaSecretValues, description="Kafka.")
    encryption: KeySecretValues = Field(
        default_factory=KeySecretValues,
        description="Master key, `/etc/segur-router/secrets/encryption`. Where `site.config.encryption` is not there, "
        "the chart writes it with this key.",
    )
    certificates: list[NamedSecretValues] = Field(
        default_factory=list, description="Certificates: folders `/etc/segur-router/certificates/<name>`."
    )
    extra: list[NamedSecretValues] = Field(
        default_factory=list, description="Other Secrets: folders `/etc/segur-router/secrets/<name>`."
    )


class ArchiveValues(Strict):
    """Where the contents of `site.config.archive` are."""

    existingClaim: str = Field(
        "",
        description="PersistentVolumeClaim that sinks, feedback, journal and console share (ReadWriteMany). "
        "Required in mode `roles`; in mode `single` the default is the volume of the pod.",
    )


class AuditStorageValues(StorageValues):
    """The volume of the audit's anchor: a few bytes that say how far the audit reached."""

    enabled: bool = Field(
        True, description="Keep the anchor. Without it a cut end of the audit shows at the collector only."
    )
    size: str = Field("1Gi", pattern=r"^\d+(Ki|Mi|Gi|Ti)$", description="Size of the volume: a few bytes are used.")


class AuditValues(Strict):
    """Where the anchor of the audit is, in mode `roles`; in mode `single` it is on the volume of the pod."""

    storage: AuditStorageValues = Field(
        default_factory=AuditStorageValues,
        description="Its volume, of the journal's pod alone. Not made where `site.config.audit.anchor` is there.",
    )


class CertificateValues(Strict):
    """A certificate that cert-manager makes for a listener."""

    name: str = Field(pattern=NAME, description="Name of the folder `/etc/segur-router/certificates/<name>`.")
    dnsNames: list[str] = Field(min_length=1, description="Names that senders use.")
    usages: list[str] = Field(default_factory=lambda: ["server auth"], description="Usages of the key.")
    duration: str = Field("2160h", description="How long it is good.")
    renewBefore: str = Field("720h", description="How long before its end it is renewed.")


class CertManagerValues(Strict):
    """Certificates of the listeners by cert-manager. Those of the IGC-Santé come as Secrets."""

    enabled: bool = Field(False, description="Make Certificate objects.")
    issuerRef: Object = Field(default_factory=dict, description="The issuer: `{name, kind}`.")
    certificates: list[CertificateValues] = Field(default_factory=list, description="One Certificate each.")


class UpgradeValues(Strict):
    """What an upgrade waits for."""

    waitForPipelines: bool = Field(
        True, description="A new gateway starts only when every pipelines pod reads its events."
    )
    migrate: bool = Field(
        False, description="Before anything is changed, a Job brings the tables of PostgreSQL to the new version."
    )
    migrateDeadlineSeconds: int = Field(3600, ge=1, description="Seconds this may take.")


class BudgetValues(Strict):
    """PodDisruptionBudgets."""

    enabled: bool = Field(True, description="One for each role that has two pods or more; `maxUnavailable: 1`.")


class NetworkPolicyValues(Strict):
    """NetworkPolicies that let out only what the site file names, and DNS."""

    enabled: bool = Field(True, description="Make them.")
    peers: dict[str, list[str | Object]] = Field(
        default_factory=dict,
        description="Host of the site file -> where it is: CIDRs, or peers as Kubernetes has them (podSelector, "
        "namespaceSelector). Roles and ports are read in the site file. Addresses need no entry.",
    )
    allowUnlisted: bool = Field(False, description="Let a host of the site file stand without an entry: unreachable.")
    senders: list[str | Object] = Field(
        default_factory=list, description="Who reaches the listeners: CIDRs or peers; none: anybody."
    )
    browsers: list[str | Object] = Field(
        default_factory=list, description="Who reaches the console: CIDRs or peers; none: anybody."
    )
    scrapers: list[str | Object] = Field(
        default_factory=list, description="Who reads the metrics: CIDRs or peers; none: the same namespace."
    )
    extraEgress: dict[
        Literal["gateway", "pipelines", "sinks", "feedback", "journal", "console", "single"], list[Object]
    ] = Field(default_factory=dict, description="Role -> more egress rules, as Kubernetes has them.")
    dns: list[str | Object] = Field(
        default_factory=list, description="Where DNS is: CIDRs or peers; none: any address, port 53."
    )


class MonitorValues(Strict):
    """A ServiceMonitor of the Prometheus operator."""

    enabled: bool = Field(False, description="Make a ServiceMonitor.")
    labels: Labels = Field(default_factory=dict, description="Labels by which your Prometheus picks it up.")
    interval: str = Field("30s", description="Time between two scrapes.")


class RulesValues(Strict):
    """A PrometheusRule with the rules of `deploy/prometheus`."""

    enabled: bool = Field(False, description="Make a PrometheusRule.")
    labels: Labels = Field(default_factory=dict, description="Labels by which your Prometheus picks it up.")
    runbooks: str = Field(
        "docs/runbooks",
        description="Where you publish the pages of docs/runbooks: each alert's `runbook_url` begins with it.",
    )


class DashboardsValues(Strict):
    """ConfigMaps with the dashboards of `deploy/grafana`, for Grafana's sidecar."""

    enabled: bool = Field(False, description="Make the ConfigMaps.")
    label: str = Field("grafana_dashboard", description="Label that the sidecar looks for.")
    labelValue: str = Field("1", description="Value of that label.")
    folder: str = Field("segur-router", description="Folder in Grafana.")


class MonitoringValues(Strict):
    """What watches the router."""

    serviceMonitor: MonitorValues = Field(default_factory=MonitorValues, description="Scraping.")
    rules: RulesValues = Field(default_factory=RulesValues, description="Alerts.")
    dashboards: DashboardsValues = Field(default_factory=DashboardsValues, description="Dashboards.")


class SimulatorsValues(Strict):
    """Simulators of the DMP, an MSSanté operator and a sender's endpoint: for trying, never in production."""

    enabled: bool = Field(False, description="Run them beside the router.")


class ServiceAccountValues(Strict):
    """The account of the pods. It has no rights, and its token is never mounted."""

    create: bool = Field(True, description="Make it.")
    name: str = Field("", description="Its name; empty: the release's.")
    annotations: Labels = Field(default_factory=dict, description="Its annotations.")


class ChartValues(Strict):
    """values.yaml."""

    nameOverride: str = Field("", description="Replaces the chart's name in the names of objects.")
    fullnameOverride: str = Field("", description="Replaces the whole name of objects; 42 characters at most.")
    mode: Literal["roles", "single"] = Field(
        "roles", description="`roles`: Kafka and PostgreSQL, one workload a role; `single`: one pod and one volume."
    )
    image: ImageValues = Field(default_factory=ImageValues, description="The image.")
    site: SiteValues = Field(default_factory=SiteValues, description="The site file.")
    pipelines: PipelinesFilesValues = Field(default_factory=PipelinesFilesValues, description="The pipeline files.")
    secrets: SecretsValues = Field(default_factory=SecretsValues, description="Secrets that exist already.")
    certManager: CertManagerValues = Field(default_factory=CertManagerValues, description="cert-manager.")
    roles: RolesValues = Field(default_factory=RolesValues, description="Mode `roles`: the workloads.")
    single: SingleValues = Field(default_factory=SingleValues, description="Mode `single`: the one pod.")
    console: ConsoleValues = Field(
        default_factory=ConsoleValues, description="How browsers reach the console (`site.config.console`)."
    )
    archive: ArchiveValues = Field(default_factory=ArchiveValues, description="The archive.")
    audit: AuditValues = Field(default_factory=AuditValues, description="Mode `roles`: the anchor of the audit.")
    upgrade: UpgradeValues = Field(default_factory=UpgradeValues, description="Upgrades.")
    pdb: BudgetValues = Field(default_factory=BudgetValues, description="PodDisruptionBudgets.")
    networkPolicy: NetworkPolicyValues = Field(default_factory=NetworkPolicyValues, description="NetworkPolicies.")
    monitoring: MonitoringValues = Field(default_factory=MonitoringValues, description="Prometheus and Grafana.")
    serviceAccount: ServiceAccountValues = Field(default_factory=ServiceAccountValues, description="ServiceAccount.")
    simulators: SimulatorsValues = Field(default_factory=SimulatorsValues, description="Simulators.")
    extraEnv: list[Object] = Field(default_factory=list, description="Environment of every pod, as Kubernetes has it.")
    extraVolumes: list[Object] = Field(default_factory=list, description="More volumes of every pod.")
    extraVolumeMounts: list[Object] = Field(
        default_factory=list, description="Where they are mounted; `subPath` is refused: it never sees a change."
    )
    podLabels: Labels = Field(default_factory=dict, description="More labels of every pod.")
