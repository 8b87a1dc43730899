"""The site file `router.yaml`: one hospital's (or group's) feeds, structures, sinks and where things are kept."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, Field

from router.bus.settings import BusConfig, KafkaConfig, SqliteBusConfig
from router.cisis.addresses import clean
from router.cisis.settings import ProfileRules
from router.config.load import Source
from router.config.speaking import speaking
from router.directory.settings import DirectoryConfig
from router.engine.retry_policy import RetryPolicy
from router.errors import ConfigFault, Problem
from router.gateway.settings import FolderConfig, HttpConfig, MllpConfig
from router.language import N_, filled
from router.secret import Secret
from router.sinks.dmp.settings import DmpConfig
from router.sinks.hl7 import Hl7Config
from router.sinks.mssante.settings import MssanteConfig
from router.strict import Strict
from router.structures import StructureConfig

T = TypeVar("T")


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
    """The port of `/metrics`, `/livez` and `/readyz`."""

    host: str = "127.0.0.1"
    port: int = Field(9464, ge=0, le=65535, description="0 turns it off.")


class OperatorsConfig(Strict):
    """Who may give the commands that need a right of their own: accounts of the machine, as `id -un` names them."""

    withdraw: list[str] = Field(
        default_factory=list,
        description="May take a document out of the DMP under the INS of its deposit (`segur-router withdraw`).",
    )


class RolesConfig(Strict):
    """How many processes of each role this machine runs."""

    gateway: int = Field(1, ge=0, le=1, description="Listeners share ports: one process each machine.")
    pipelines: int = Field(1, ge=0, le=64)
    sinks: int = Field(1, ge=0, le=64)
    feedback: int = Field(1, ge=0, le=1)
    journal: int = Field(1, ge=0, le=1)


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
        None,
        ge=30,
        description="How long the journal tells of an event after its last news, once every delivery has ended. "
        "Default: for ever.",
    )


SinkConfig = Annotated[DmpConfig | MssanteConfig | Hl7Config, Field(discriminator="type")]


class SiteConfig(Strict):
    """The whole site file. Unknown keys are refused; secrets are named by environment variable or file."""

    environment: Literal["production", "qualification"] = Field(description="They never mix (decisions D9).")
    data: Path = Field(Path("var"), description="Folder of the embedded bus, the databases and the run files.")
    secret: Secret | None = Field(
        None, description="Key of the pseudonyms; default: a file made at the first start in `data`."
    )
    bus: BusConfig = Field(default_factory=SqliteBusConfig, description="The log between stages.")
    database: DatabaseConfig = Field(default_factory=DatabaseConfig)
    pipelines: Path = Field(Path("pipelines"), description="Folder of the pipeline files.")
    structures: dict[str, StructureConfig] = Field(default_factory=dict, description="FINESS -> structure.")
    facilities: dict[str, str] = Field(
        default_factory=dict,
        description="MSH-4 -> FINESS of a structure, for messages without PRT-8 on feeds that speak for several (D11).",
    )
    feeds: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")], FeedConfig] = Field(min_length=1)
    sinks: dict[Annotated[str, Field(pattern=r"^(dmp|mssante|hl7)\.[a-z0-9][a-z0-9-]{0,40}$")], SinkConfig] = Field(
        min_length=1
    )
    retry: dict[str, RetryPolicy] = Field(
        default_factory=dict, description="Sink instance, or type, -> how it waits and when it gives up."
    )
    directory: DirectoryConfig = Field(default_factory=DirectoryConfig)
    http: HttpConfig | None = Field(None, description="HTTP intake.")
    admin: AdminConfig = Field(default_factory=AdminConfig)
    roles: RolesConfig = Field(default_factory=RolesConfig)
    operators: OperatorsConfig = Field(default_factory=OperatorsConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    value_sets: Path | None = Field(None, description="Folder of imported value sets that replace the shipped ones.")
    cda_schema: Path | None = Field(None, description="CDA_extended.xsd, when documents are checked against it.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def sink_types(self) -> dict[str, str]:
        """Instance -> type."""
        return {name: config.type for name, config in self.sinks.items()}


class Site:
    """A site file that was read and makes sense: absolute paths, structures that know their number."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigFault` with every problem of the file."""
        self.path = path.resolve()
        self.folder = self.path.parent
        source = Source(path)
        data = source.data
        for finess, structure in (data.get("structures") or {}).items():
            if isinstance(structure, dict):
                structure.setdefault("finess", finess)
        self.config = _absolute(source.read_as(SiteConfig, data), self.folder)
        self.source = source
        problems = [
            *_names(source, self.config),
            *speaking(source, self.config),
            *_ports(source, self.config),
            *_environment(source, self.config),
        ]
        if problems:
            raise ConfigFault(sorted(problems, key=lambda found: (found.line, found.column)))

    @property
    def data(self) -> Path:
        return self.config.data

    @property
    def pipelines(self) -> Path:
        return self.config.pipelines

    def secret(self) -> bytes:
        """The key of the pseudonyms; made once, readable by us alone, when the file names none."""
        if self.config.secret is not None:
            return self.config.secret.read().encode()
        path = self.data / "pseudonyms.key"
        if not path.exists():
            self.data.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32))
            try:
                os.link(draft, path)  # the first of several processes wins
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip().encode()


def _absolute(value: T, folder: Path) -> T:
    """The same model with every relative path started at `folder`; what does not change stays the same object."""
    if isinstance(value, Path):
        return cast(T, value if value.is_absolute() else folder / value)
    if isinstance(value, BaseModel):
        changed = {}
        for name in type(value).model_fields:
            old = getattr(value, name)
            if (new := _absolute(old, folder)) is not old:
                changed[name] = new
        return cast(T, value.model_copy(update=changed)) if changed else value
    if isinstance(value, dict):
        made = {key: _absolute(one, folder) for key, one in value.items()}
        return cast(T, made) if any(made[key] is not value[key] for key in made) else value
    return value


def _names(source: Source, site: SiteConfig) -> list[Problem]:
    """References inside the file that lead nowhere."""
    problems = [
        source.problem(["sinks", name], filled("is named like another type than its own ({kind})", kind=config.type))
        for name, config in site.sinks.items()
        if name.split(".")[0] != config.type
    ]
    for finess, structure in site.structures.items():
        problems += _structure(source, site, finess, structure)
    for name, feed in site.feeds.items():
        problems += _feed(source, site, name, feed)
    problems += [
        source.problem(["retry", name], "is neither a sink nor a type of sink")
        for name in site.retry
        if name not in {*site.sinks, "dmp", "mssante", "hl7"}
    ]
    return problems


def _structure(source: Source, site: SiteConfig, finess: str, structure: StructureConfig) -> Iterator[Problem]:
    for kind in ("dmp", "mssante"):
        instance = getattr(structure, kind)
        if instance and site.sink_types.get(instance) != kind:
            yield source.problem(
                ["structures", finess, kind], filled("no {kind} sink is named {name}", kind=kind, name=repr(instance))
            )
    if structure.mssante and not structure.mailbox:
        yield source.problem(["structures", finess], "sends mail but has no mailbox", "add `mailbox`")
    elif structure.mailbox and clean(structure.mailbox) is None:
        yield source.problem(["structures", finess, "mailbox"], "must be one plain mail address")


def _feed(source: Source, site: SiteConfig, name: str, feed: FeedConfig) -> Iterator[Problem]:
    if feed.reply and site.sink_types.get(feed.reply) != "hl7":
        yield source.problem(
            ["feeds", name, "reply"], filled("no {kind} sink is named {name}", kind="hl7", name=repr(feed.reply))
        )
    if not (feed.mllp or feed.folder or feed.http or feed.raw_topic):
        yield source.problem(["feeds", name], "has no way in", "add mllp, http, folder or raw_topic")
    if feed.http and site.http is None:
        yield source.problem(["feeds", name, "http"], "the site has no `http` port")


def _ports(source: Source, site: SiteConfig) -> list[Problem]:
    """Two listeners on one port."""
    problems: list[Problem] = []
    seen: dict[int, str] = {}
    for name, feed in site.feeds.items():
        if feed.mllp is not None and feed.mllp.port:
            other = seen.setdefault(feed.mllp.port, name)
            if other != name:
                path: list[str | int] = ["feeds", name, "mllp", "port"]
                text = filled("port {port} is already that of feed {name}", port=feed.mllp.port, name=repr(other))
                problems.append(source.problem(path, text))
    return problems


def _environment(source: Source, site: SiteConfig) -> list[Problem]:
    """Production and qualification never mix (decisions D9)."""
    problems = []
    for name, feed in site.feeds.items():
        if "environment" in feed.rules.model_fields_set and feed.rules.environment != site.environment:
            path: list[str | int] = ["feeds", name, "rules", "environment"]
            problems.append(
                source.problem(path, filled("must agree with the site's: {environment}", environment=site.environment))
            )
    if site.environment == "production":
        for name, config in site.sinks.items():
            for key, sentence in _NOT_IN_PRODUCTION.items():
                if getattr(config, key, None) not in (None, False, "", "plain-allowed"):
                    problems.append(source.problem(["sinks", name, key], sentence))
        if isinstance(site.bus, KafkaConfig) and site.database.url is None and site.database.url_secret is None:
            problems.append(source.problem(["database"], "Kafka in production needs PostgreSQL for the ledger"))
        if isinstance(site.bus, KafkaConfig):
            problems += _copies(source, site.bus)
    return problems


def _copies(source: Source, bus: KafkaConfig) -> Iterator[Problem]:
    """What is acknowledged must survive the loss of a broker."""
    for name, least in (("replication_factor", 3), ("min_insync_replicas", 2)):
        if getattr(bus, name) < least:
            sentence = filled(
                "is {least} or more in production: what is acknowledged must survive the loss of a broker", least=least
            )
            yield source.problem(["bus", name], sentence)


_NOT_IN_PRODUCTION = {
    "keep": N_("keeps clear documents on disk: qualification only"),
    "redirect_all_mail": N_("sends everything to one address: qualification only (decisions D9)"),
}
