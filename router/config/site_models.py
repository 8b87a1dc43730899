"""The models of the site file `router.yaml`; `router.config.site` reads the file and checks that it makes sense."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from router.archive.settings import ArchiveConfig
from router.audit.settings import AuditConfig
from router.bus.settings import BusConfig, SqliteBusConfig
from router.cisis.settings import ProfileRules
from router.config.console_models import ConsoleConfig, OperatorsConfig
from router.config.sentences import NAME
from router.config.sink_models import INSTANCE, SinkConfig, SiteStructure
from router.directory.settings import DirectoryConfig
from router.engine.retry_policy import RetryPolicy
from router.gateway.settings import FolderConfig, HttpConfig, MllpConfig
from router.sealing.settings import EncryptionConfig
from router.secret import Secret
from router.strict import Strict
from router.structures import Environment


class FeedConfig(Strict):
    """One named sender flow."""

    kind: Literal["documents", "adt", "relay"] = Field(
        "documents", description="documents: the national profile applies; adt: feeds the register; relay: as is."
    )
    mllp: MllpConfig | None = Field(None, description="A listener for HL7 over MLLP.")
    folder: FolderConfig | None = Field(None, description="A watched folder.")
    http: bool = Field(False, description="Accept `POST /feeds/<name>` on the HTTP port.")
    raw_topic: bool = Field(False, description="Consume `raw.<name>`, written by other systems.")
    clients: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Name (CN or DNS) of a client certificate -> FINESS numbers it may speak for on this feed; an "
        "empty list: all those of the feed. Without entries any client of the listener may send (D11).",
    )
    token: Secret | None = Field(
        None, description="Where the bearer token of this feed on the HTTP port is; default: that of the port."
    )
    ack_topic: str | None = Field(None, description="Topic for the answers to `raw.<name>`.")
    reply: str | None = Field(None, description="The hl7 sink that takes ZAM^Z01/Z02/Z03 back to this sender.")
    dmp_error_system: str = Field("DMP_ERROR_CODE", description="ERR-5.3 of a Z01; some senders want DMPERRORCODE.")
    unmatched: Literal["dead-letter", "ignore"] | None = Field(
        None,
        description="A message that no pipeline takes: a dead letter (NO-PIPELINE), or only a line of the journal. "
        "Default: a dead letter on a documents feed, and on a relay feed when it carries a document.",
    )
    rules: ProfileRules = Field(
        default_factory=ProfileRules, description="How strictly the national profile is applied to this feed."
    )


class DatabaseConfig(Strict):
    """Where ledger, register and journal are kept."""

    url: str | None = Field(
        None, description="SQLAlchemy URL without a password, e.g. postgresql+psycopg://router@db/router."
    )
    url_secret: Secret | None = Field(None, description="Where the whole URL is, when it holds a password.")

    def resolve(self, default: Path) -> str:
        if self.url_secret is not None:
            return self.url_secret.read()
        return self.url or f"sqlite:///{default}"


class AdminConfig(Strict):
    """The port of `/metrics`, `/livez`, `/readyz`, `/version` and `/status`."""

    host: str = "127.0.0.1"
    port: int = Field(9464, ge=0, le=65535, description="0 turns it off.")


class TracesConfig(Strict):
    """OpenTelemetry: one trace for each event, from its acceptance to its receipts. It holds no patient data.

    Needs `pip install segur-router[traces]`; the image has it.
    """

    endpoint: str = Field(
        pattern=r"^https?://",
        description="Whole address of the collector (OTLP over HTTP): `http://127.0.0.1:4318/v1/traces`.",
    )
    ca: Path | None = Field(None, description="Authority of an https collector; default: those of the system.")
    ratio: float = Field(
        1.0, gt=0, le=1, description="Share of the events that are traced; the whole event, or nothing."
    )


class RolesConfig(Strict):
    """How many processes of each role this machine runs."""

    gateway: int = Field(1, ge=0, le=1, description="Listeners share ports: one process each machine.")
    pipelines: int = Field(1, ge=0, le=64)
    sinks: int = Field(1, ge=0, le=64)
    feedback: int = Field(1, ge=0, le=1)
    journal: int = Field(1, ge=0, le=1)
    console: int = Field(1, ge=0, le=1, description="Only where the site has a `console`.")


class LimitsConfig(Strict):
    """Bounds of memory and time."""

    stage_bytes: int = Field(
        64 * 2**20, ge=2**20, description="Bytes of messages one stage holds at most; its sinks share them."
    )
    drain_seconds: float = Field(
        7, gt=0, description="Time to finish what is begun when told to stop; 3 s more, and what still runs is killed."
    )
    restart_ceiling: float = Field(
        30, gt=0, description="Longest wait, in seconds, before a worker that fell is started again."
    )
    partitions: int = Field(8, ge=1, le=1024, description="Partitions of each keyed topic; never changes in place.")
    claims_days: float = Field(30, ge=30, description="How long a repeated message is recognised.")
    journal_days: float | None = Field(
        396,
        ge=30,
        description="How long the journal tells of an event after its last news, once every delivery has ended, and "
        "the register of a stay. Whole days go. Default: 13 months; null: for ever.",
    )


class SiteConfig(Strict):
    """The whole site file. Unknown keys are refused; secrets are named by environment variable or file."""

    environment: Environment = Field(description="They never mix (decisions D9).")
    data: Path = Field(Path("var"), description="Folder of the embedded bus, the databases and the run files.")
    secret: Secret | None = Field(
        None,
        description="Key of the pseudonyms, in a file or a variable; default: a file that is made in `data`.",
    )
    bus: BusConfig = Field(default_factory=SqliteBusConfig, description="The log between stages.")
    database: DatabaseConfig = Field(default_factory=DatabaseConfig)
    encryption: EncryptionConfig | None = Field(
        None, description="Seal what stands on the disk; default: it stands there in clear."
    )
    archive: ArchiveConfig | None = Field(
        None, description="Keep what left and what proves it; needs `encryption`. Default: only the journal's lines."
    )
    pipelines: Path = Field(Path("pipelines"), description="Folder of the pipeline files.")
    structures: dict[str, SiteStructure] = Field(default_factory=dict, description="FINESS -> structure.")
    facilities: dict[str, str] = Field(
        default_factory=dict,
        description="MSH-4 -> FINESS of a structure, for messages without PRT-8 on feeds that speak for several (D11).",
    )
    feeds: dict[Annotated[str, Field(pattern=NAME)], FeedConfig] = Field(min_length=1)
    sinks: dict[Annotated[str, Field(pattern=INSTANCE)], SinkConfig] = Field(min_length=1)
    retry: dict[str, RetryPolicy] = Field(
        default_factory=dict,
        description="Sink instance, or type, -> how it waits and when it gives up; by code where need be (`MSS-452`).",
    )
    directory: DirectoryConfig = Field(default_factory=DirectoryConfig)
    http: HttpConfig | None = Field(None, description="HTTP intake.")
    console: ConsoleConfig | None = Field(None, description="Pages for people, in a browser; default: none.")
    admin: AdminConfig = Field(default_factory=AdminConfig)
    traces: TracesConfig | None = Field(None, description="Traces; default: none.")
    audit: AuditConfig = Field(default_factory=AuditConfig)
    roles: RolesConfig = Field(default_factory=RolesConfig)
    operators: OperatorsConfig = Field(default_factory=OperatorsConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    value_sets: Path | None = Field(None, description="Folder of imported value sets that replace the shipped ones.")
    cda_schema: Path | None = Field(None, description="CDA_extended.xsd, when documents are checked against it.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def processes(self) -> dict[str, int]:
        """Role -> how many processes of it this machine runs."""
        return dict(self.roles) | ({} if self.console is not None else {"console": 0})

    @property
    def sink_types(self) -> dict[str, str]:
        """Instance -> type."""
        return {name: config.type for name, config in self.sinks.items()}


class SiteRest(SiteConfig):
    """What is left of a site file when something required can't be read: looked at by `check`, never run with."""

    environment: Environment = "qualification"
    feeds: dict[str, FeedConfig] = Field(default_factory=dict)
    sinks: dict[str, SinkConfig] = Field(default_factory=dict)
