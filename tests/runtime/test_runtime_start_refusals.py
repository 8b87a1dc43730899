"""What `run` refuses when it starts, `check` has said before: the two lists are compared, fault by fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from router.bus.kafka import connection_diagnostics
from router.bus.settings import KafkaConfig
from router.config.checking import check
from router.config.site import Site
from router.directory.fetch import fetch
from router.errors import OperatorFault
from router.gateway.tls import Certificates
from router.runtime.reload import PipelineSet
from router.runtime.site_services import SiteServices
from router.runtime.supervisor.router_process import RouterProcess
from router.simulators.authority import make_certificates
from router.sinks.registry import SINK_TYPES
from tests.test_operator_faults import ROUTER, made

FINESS: Final = "750100125"
ELSEWHERE: Final = ("simulators", "demo", "starter", "runtime/backup", "database/copies.py")
"""Commands of their own, and what stands in for others."""
_MAIL: Final = {"type": "mssante", "host": "h", "mode": "plain", "nil": "N"}
_HL7: Final = {"type": "hl7", "host": "127.0.0.1", "port": 1}
_KAFKA: Final = {"type": "kafka", "servers": "127.0.0.1:1"}
_NO_PEM: Final = "router.yaml"


def _sink(site: Site) -> None:
    (name,) = site.config.sinks
    services = SiteServices(site)
    try:
        services.sink(name)
    finally:
        services.close()


def _connection(site: Site) -> None:
    """What a sink does for each connection."""
    ((_, sink),) = site.config.sinks.items()
    for load in SINK_TYPES[sink.type].loads(sink).values():
        load()


def _listener(site: Site) -> None:
    (feed,) = site.config.feeds.values()
    assert feed.mllp is not None
    assert feed.mllp.tls is not None
    Certificates(feed.mllp.tls)


def _lists(site: Site) -> None:
    lists = site.config.directory.liste_blanche
    fetch(lists.source, site.folder / "draft", ca=lists.ca, limit=1 << 20)


def _services(get: Callable[[SiteServices], object]) -> Callable[[Site], object]:
    def start(site: Site) -> None:
        services = SiteServices(site)
        try:
            get(services)
        finally:
            services.close()

    return start


def _password(site: Site) -> None:
    assert isinstance(site.config.bus, KafkaConfig)
    assert site.config.bus.sasl is not None
    site.config.bus.sasl.password()


def _brokers(site: Site) -> None:
    assert isinstance(site.config.bus, KafkaConfig)
    assert site.config.bus.tls is not None
    connection_diagnostics._context(site.config.bus.tls)


def _process(site: Site) -> None:
    RouterProcess(site)


@dataclass(frozen=True)
class Case:
    """A site with which `start` is refused, and where `check` says it. `{made}`: the folder of certificates."""

    code: str
    start: Callable[[Site], object]
    place: str
    site: Mapping[str, Any] = field(default_factory=dict)
    steps: str = ""
    mode: int = 0o700


def _dmp(**changes: Any) -> dict[str, Any]:
    url = "https://127.0.0.1:1/dmp"
    pair = {
        what: {"certificate": f"{{made}}/{FINESS}-{what}.pem", "key": f"{{made}}/{FINESS}-{what}.key"}
        for what in ("auth", "sign")
    }
    return {"sinks": {"dmp.a": {"type": "dmp", "url": url, "lps": {"homologation": "T"}} | pair | changes}}


def _mail(**changes: Any) -> dict[str, Any]:
    return {"environment": "production", "sinks": {"mssante.a": _MAIL | changes}}


def _real(**changes: Any) -> dict[str, Any]:
    return {"environment": "production"} | _dmp(production_hosts=["127.0.0.1"], **changes)


def _tls(**tls: Any) -> dict[str, Any]:
    return {"feeds": {"labo": {"kind": "relay", "mllp": {"port": 2575, "tls": tls}}}}


CASES: Final = (
    Case("DMP-ENVIRONMENT", _sink, "sinks.dmp.a.url", {"environment": "production"} | _dmp()),
    Case("DMP-ENVIRONMENT", _sink, "sinks.dmp.a.url", _dmp(url="https://lps2.dmp.gouv.fr/x")),
    Case("DMP-RATE", _sink, "sinks.dmp.a.max_per_second", _real(max_per_second=5)),
    Case("DMP-KEEP", _sink, "sinks.dmp.a.keep", _real(keep="kept")),
    Case("DMP-CERT-AUTH", _sink, "sinks.dmp.a.auth", _dmp(auth={"certificate": "no.pem"})),
    Case("DMP-CERT-AUTH", _sink, "sinks.dmp.a.auth", _dmp(ciphers="NONE")),
    Case("DMP-CERT-SIGN", _sink, "sinks.dmp.a.sign", _dmp(sign={"certificate": "no.pem"})),
    Case("XDS-TABLE", _sink, "sinks.dmp.a.tables", _dmp(tables="tables")),
    *(
        Case("MSS-PRODUCTION", _sink, f"sinks.mssante.a.{key}", _mail(**{key: value}))
        for key, value in (("redirect_all_mail", "a@b.fr"), ("keep", "kept"), ("mode", "plain"), ("nil", ""))
    ),
    Case(
        "MSS-PRODUCTION",
        _sink,
        "sinks.mssante.a.imap.mode",
        _mail(mode="tls", tls={"ca": "{made}/ca.pem"}, imap={"host": "h", "mode": "plain"}),
    ),
    Case(
        "MSS-TLS",
        _connection,
        "sinks.mssante.a.tls.ca",
        {"sinks": {"mssante.a": _MAIL | {"mode": "tls", "tls": {"ca": _NO_PEM}}}},
    ),
    Case("HL7-TLS", _connection, "sinks.hl7.a.tls.ca", {"sinks": {"hl7.a": _HL7 | {"tls": {"ca": _NO_PEM}}}}),
    Case("TLS", _listener, "feeds.labo.mllp.tls.certificate", _tls(certificate=_NO_PEM, key=_NO_PEM)),
    Case(
        "SEALING-MASTER",
        _services(lambda services: services.sealer),
        "encryption.master_key.file",
        {"encryption": {"master_key": {"file": _NO_PEM}}},
    ),
    Case("SECRET", Site.secret, "secret.file", {"secret": {"file": "nowhere"}}),
    Case("CDA-SCHEMA", _services(lambda services: services.schema), "cda_schema", {"cda_schema": "nowhere.xsd"}),
    Case("VALUE-SET", _services(lambda services: services.value_sets), "value_sets", {"value_sets": "nowhere"}),
    Case(
        "SITE-SCHEMA",
        _services(lambda services: PipelineSet(services).load()),
        "steps[0].validate",
        steps="steps: [{validate: {schema: warn}}]",
    ),
    Case(
        "DIRECTORY-FILE",
        _lists,
        "directory.liste_blanche.source",
        {"sinks": {"mssante.a": _MAIL}, "directory": {"liste_blanche": {"source": "no.xml"}}},
    ),
    Case(
        "DIRECTORY-HTTP",
        _lists,
        "directory.liste_blanche.source",
        {"sinks": {"mssante.a": _MAIL}, "directory": {"liste_blanche": {"source": "http://127.0.0.1:1/x"}}},
    ),
    Case(
        "DIRECTORY-CA",
        _lists,
        "directory.liste_blanche.ca",
        {"directory": {"liste_blanche": {"source": "https://127.0.0.1:1/x", "ca": _NO_PEM}}},
    ),
    Case("KAFKA-PASSWORD", _password, "bus.sasl", {"bus": _KAFKA | {"sasl": {"username": "u"}}}),
    Case("KAFKA-FILE", _brokers, "bus.tls.ca", {"bus": _KAFKA | {"tls": {"ca": _NO_PEM}}}),
    Case("SITE-DATA", _process, "data", {"data": "router.yaml"}),
    Case("SITE-OPEN", _process, "data", {"environment": "production"}, mode=0o755),
)
_CONNECTED: Final = "only a broker, a server or a peer says it"
_STORED: Final = "only what is stored says it"
_ASKED: Final = "what somebody types at `access` or `token`"
_KEYRING: Final = ("MASTER", "NO-KEY", "NOT-ROTATED", "RETIRED", "WRONG-MASTER")
#: (file, code) of the other faults -> why `check` can't know.
LATER: Final = {
    ("access/accounts.py", "ACCESS-TAKEN"): _ASKED,
    ("access/accounts.py", "ACCESS-UNKNOWN"): _ASKED,
    ("access/passwords.py", "ACCESS-PASSWORD"): _ASKED,
    ("access/rights.py", "ACCESS-NAME"): _ASKED,
    ("access/rights.py", "ACCESS-ROLE"): _ASKED,
    ("access/rights.py", "ACCESS-STRUCTURE"): _ASKED,
    ("access/tokens.py", "ACCESS-EXPIRY"): _ASKED,
    ("access/tokens.py", "ACCESS-FEED"): _ASKED,
    ("access/tokens.py", "ACCESS-SCOPE"): _ASKED,
    ("access/tokens.py", "ACCESS-TOKEN"): _ASKED,
    ("access/totp.py", "ACCESS-CODE"): _ASKED,
    ("access/totp_keys.py", "ACCESS-SEALED"): "what a login meets: tests/access/test_access_codes.py",
    ("archive/store.py", "ARCHIVE-DAMAGED"): _STORED,
    ("archive/store.py", "ARCHIVE-LOST"): _STORED,
    ("archive/store.py", "ARCHIVE-REMOVED"): _STORED,
    ("audit/anchor.py", "AUDIT-ANCHOR"): _STORED,
    ("audit/syslog.py", "AUDIT-COLLECTOR-TLS"): _CONNECTED,
    ("audit/trail.py", "AUDIT-KEY"): _STORED,
    ("bus/kafka/connection_diagnostics.py", "?"): _CONNECTED,
    ("bus/kafka/connection_diagnostics.py", "KAFKA-SASL"): _CONNECTED,
    ("bus/kafka/connection_diagnostics.py", "KAFKA-TLS"): _CONNECTED,
    ("bus/kafka/errors.py", "?"): _CONNECTED,
    ("bus/kafka/errors.py", "KAFKA-TLS"): _CONNECTED,
    ("bus/kafka/kafka_bus.py", "KAFKA-COMPRESSION"): "told too, where the package is missing: here it is installed",
    ("bus/kafka/migration.py", "KAFKA-TOPIC"): _CONNECTED,
    ("bus/kafka/position.py", "KAFKA-TRUNCATED"): _CONNECTED,
    ("bus/kafka/topics.py", "KAFKA-TOPIC"): _CONNECTED,
    ("bus/sqlite/maintenance.py", "BUS-TOPIC"): _STORED,
    ("bus/sqlite/sqlite_bus.py", "BUS-TOPIC"): _STORED,
    ("bus/sqlite/store.py", "?"): _STORED,
    ("bus/sqlite/store.py", "BUS-OPEN"): _STORED,
    ("bus/sqlite/store.py", "BUS-VERSION"): _STORED,
    ("bus/sealed.py", "SEALING-OFF"): _STORED,
    ("cda/audit.py", "CDA-AUDIT"): "a command of its own",
    ("console/service.py", "CONSOLE"): "an argument: the command without the section",
    ("console/service.py", "CONSOLE-PORT"): "the console that runs has the port",
    ("database/database.py", "?"): _STORED,
    ("database/schema.py", "?"): _STORED,
    ("database/examination.py", "?"): "a command of its own",
    ("database/examination.py", "DATABASE-URL"): "a command of its own",
    ("directory/fhir_client.py", "ANNUAIRE-FHIR"): _CONNECTED,
    ("engine/delivery/sink_calls.py", "?"): "a bug of ours",
    ("engine/pipeline/worker.py", "?"): _CONNECTED,
    ("feedback/mailbox.py", "MSS-IMAP"): _CONNECTED,
    ("files.py", "?"): "files that are replaced while it runs",
    ("gateway/acceptor.py", "LISTEN"): "the router that runs has the port",
    ("gateway/folder.py", "FOLDER"): "who may write there is a matter of the account; a file in its place is told",
    ("gateway/places.py", "NOFILE"): "a limit of the process that runs",
    ("observe/health.py", "ADMIN-PORT"): "the router that runs has the port",
    ("plugins.py", "PLUGIN"): "every command ends with it",
    ("observe/traces.py", "TRACES"): "told too, where the package is missing: here it is installed",
    ("runtime/examples.py", "PIPELINE"): "an argument of `test`",
    ("runtime/grants.py", "ACCESS-FEED"): _ASKED,
    ("runtime/grants.py", "ACCESS-RIGHT"): _ASKED,
    ("runtime/grants.py", "ACCESS-SCOPE"): _ASKED,
    ("runtime/grants.py", "ACCESS-STRUCTURE"): _ASKED,
    ("runtime/rebuild.py", "REGISTER-EXPIRED"): _STORED,
    ("runtime/reconcile.py", "BUS-OTHER"): _STORED,
    ("runtime/roles/__init__.py", "ROLE"): "an argument of `run`",
    ("runtime/site_services.py", "SEALING-OFF"): _STORED,
    ("runtime/supervisor/router_process.py", "LISTEN"): "the router that runs has the port",
    ("runtime/supervisor/router_process.py", "SLOT"): "an argument of `run`",
    ("runtime/tenure.py", "?"): "the router that runs has the folder",
    **{("sealing/keyring.py", f"SEALING-{one}"): _STORED for one in _KEYRING},
    ("sinks/mssante/discovery.py", "MSS-SRV"): _CONNECTED,
    ("sealing/master.py", "SEALING-COMMAND"): "only the command says it",
    ("sealing/master.py", "SEALING-KEYRING"): _STORED,
    ("sinks/dmp/channel.py", "DMP-CERT-AUTH"): "the date of a certificate, told of its file",
    ("sinks/dmp/credentials.py", "DMP-CRL"): "told of the list's file",
    ("sinks/dmp/dialogue.py", "DMP-CERT-SIGN"): "the date of a certificate, told of its file",
    ("sinks/dmp/sink.py", "DMP-CERT-STRUCTURE"): "told by `refusals` (tests/config/test_config_safety.py)",
    ("sinks/dmp/verdicts.py", "?"): _CONNECTED,
    ("sinks/dmp/verdicts.py", "DMP-ADDRESS"): _CONNECTED,
    ("sinks/dmp/verdicts.py", "DMP-TABLE"): "a table of ours",
    ("sinks/dmp/verdicts.py", "DMP-TLS"): _CONNECTED,
    ("sinks/dmp/verdicts.py", "DMP-TLS-SERVER"): _CONNECTED,
    ("sinks/hl7/tls.py", "HL7-CRL"): "told of the list's file",
    ("sinks/mssante/tls.py", "MSS-CRL"): "told of the list's file",
    ("sinks/mssante/verdict.py", "?"): _CONNECTED,
    ("sinks/mssante/verdict.py", "MSS-530"): _CONNECTED,
    ("sinks/mssante/verdict.py", "MSS-SMTP"): _CONNECTED,
    ("sinks/mssante/verdict.py", "MSS-TLS"): _CONNECTED,
    ("sinks/registry.py", "SINK-TYPE"): "every command ends with it",
    ("steps/registry.py", "STEP-TYPE"): "every command ends with it",
    ("wire.py", "?"): _STORED,
}
#: Codes that are computed where they are raised, and what computes them.
COMPUTED: Final = {("sinks/dmp/sink.py", "?"), ("sinks/mssante/sink.py", "MSS-PRODUCTION")}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    return make_certificates(folder, {FINESS: "A"}).pair(f"{FINESS}-auth")[0].parent


def _written(case: Case, folder: Path, certificates: Path) -> Path:
    site: dict[str, Any] = {
        "environment": "qualification",
        "data": "var",
        "admin": {"port": 0},
        "structures": {},
        "feeds": {"labo": {"kind": "relay", "mllp": {"port": 0}}},
        "sinks": {"hl7.a": _HL7},
    }
    site |= case.site
    for name in site["sinks"]:
        if name.startswith("dmp"):
            site["structures"] = {FINESS: {"name": "A", "source_oid": "1.2", "dmp": name}}
    path = folder / "router.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(_filled(site, certificates), file)
    (folder / "var").mkdir(mode=case.mode)
    (folder / "var").chmod(case.mode)
    (folder / "tables").mkdir()
    (folder / "tables" / "type_class.csv").write_text("a,b,c,d\n")
    (folder / "pipelines").mkdir()
    sink = next(iter(site["sinks"]))
    example = "examples: [{name: x, message: x.hl7, expect: {}}]"
    text = f"name: relais\nfeed: labo\n{case.steps}\nsinks: {{{sink}: }}\n{example}\n"
    (folder / "pipelines" / "relais.yaml").write_text(text)
    (folder / "pipelines" / "x.hl7").write_text("MSH|^~\\&|")
    return path


def _filled(value: Any, certificates: Path) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(one, certificates) for key, one in value.items()}
    return value.replace("{made}", str(certificates)) if isinstance(value, str) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code} {case.place}")
def test_what_the_start_refuses_check_has_said(case: Case, tmp_path: Path, certificates: Path) -> None:
    """The same site: the part that starts raises the fault, and `check` has an error at the place to mend."""
    path = _written(case, tmp_path, certificates)
    errors = [problem.path for problem in check(path).errors]
    assert any(place.startswith(case.place) for place in errors), errors
    with pytest.raises(OperatorFault) as caught:
        case.start(Site(path))
    assert caught.value.code in (case.code, "CONFIG")


def test_every_refusal_of_the_code_is_compared_or_has_its_reason() -> None:
    """A new `OperatorFault` is one that `check` says before, or one that only the start can know: decide it here."""
    found = {
        (str(file.relative_to(ROUTER)), code)
        for file in ROUTER.rglob("*.py")
        if not str(file.relative_to(ROUTER)).startswith(ELSEWHERE)
        for code in made(file)
    }
    compared = {case.code for case in CASES}
    left = {one for one in found if one[1] not in compared and one not in COMPUTED}
    assert left - set(LATER) == set()
    assert set(LATER) - found == set()
