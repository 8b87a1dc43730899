"""`status` and `doctor` on Kafka and PostgreSQL: what the bus knows of workers elsewhere, and what the servers lack."""

from __future__ import annotations

import uuid
from pathlib import Path

import psycopg
import pytest

from router.config.site import Site
from router.contracts import Partition
from router.runtime.doctor import clocks, database, kafka
from router.runtime.doctor.check import Installation
from router.runtime.site_services import SiteServices
from tests.cli.cli import command
from tests.services import kafka_servers, postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration

SITE = """\
environment: qualification
data: var
admin: {{port: 0}}
secret: {{env: SEGUR_TEST_KEY}}
feeds: {{{feed}: {{kind: relay, mllp: {{port: 0}}}}}}
sinks: {{hl7.{feed}: {{type: hl7, host: 127.0.0.1, port: 1}}}}
bus: {{type: kafka, servers: "{servers}", prefix: "{feed}-", replication_factor: 1, min_insync_replicas: 1}}
database: {{url: "{database}"}}
"""


@pytest.fixture
def site(tmp_path: Path, kafka_servers: str, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    monkeypatch.setenv("SEGUR_TEST_KEY", "k" * 32)
    path = tmp_path / "router.yaml"
    feed = f"f{uuid.uuid4().hex[:8]}"
    path.write_text(SITE.format(feed=feed, servers=kafka_servers, database=postgresql_url))
    (tmp_path / "pipelines").mkdir()
    return path


def test_workers_on_other_machines_are_known_to_kafka(site: Path) -> None:
    """Nothing runs on this data folder; a member of a group does elsewhere, and the screen says what is not seen."""
    services = SiteServices(Site(site))
    consumer = services.bus.consumer("pipelines", [f"in.{next(iter(services.config.feeds))}"], member="pipelines-3")
    while not consumer.assignment():
        consumer.poll(max_records=1, max_bytes=1, timeout=0.1)
    assert isinstance(next(iter(consumer.assignment())), Partition)
    said = command("status", "--site", str(site), "--json")
    assert said.json["presence"]["state"] == "elsewhere"
    assert said.json["presence"]["workers"] == ["pipelines-3"]
    missing = {one["subject"] for one in said.json["attention"] if one["what"] == "role"}
    assert (said.code, missing) == (1, {"sinks", "feedback", "journal"})
    page = command("status", "--site", str(site), "--lang", "en").out
    assert "on other machines, as Kafka says: pipelines-3" in page and "--at HOST:PORT" in page
    consumer.close()
    services.close()
    gone = command("status", "--site", str(site), "--lang", "en")
    assert gone.code == 3 and "the router is not running" in gone.out


def test_doctor_looks_at_kafka_and_postgresql(site: Path) -> None:
    """Topics that lack, with the command; then nothing; a table that we may not write, with the GRANT."""
    installation = Installation(Site(site), running=False)
    before = [one for one in kafka.look(installation) if one.level == "wrong"]
    assert any("does not exist" in one.text and "topics apply" in one.text for one in before)
    services = SiteServices(installation.site)
    _ = services.bus
    services.ledger()
    services.close()
    left = [one.text for one in kafka.look(installation) if one.level == "wrong"]
    assert not [text for text in left if "does not exist" in text or "our account lacks" in text]
    assert [one.level for one in database.look(installation)] == ["good", "good", "good"]
    assert abs(dict(clocks.others(installation))["PostgreSQL"]) < 5

    url = installation.site.config.database.url or ""
    role = f"r{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN")
        owner.execute(f"GRANT SELECT ON ledger_claims TO {role}")
    site.write_text(site.read_text().replace(url, _as(url, role)))
    found = [one for one in database.look(Installation(Site(site), running=False)) if one.level == "wrong"]
    assert any("may not make tables" in one.text for one in found)
    assert any(one.fix == f'GRANT SELECT, INSERT, UPDATE, DELETE ON ledger_claims TO "{role}"' for one in found)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"DROP OWNED BY {role}")
        owner.execute(f"DROP ROLE {role}")


def _as(url: str, role: str) -> str:
    """The same database under another name."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{role}@{rest.rpartition('@')[2]}"
