"""What a site file may ask of a Kafka cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.config.site import Site
from router.errors import ConfigFault

SITE = """\
environment: {environment}
data: {data}
feeds: {{sil: {{kind: relay, mllp: {{port: 2575}}}}}}
sinks: {{hl7.sil: {{type: hl7, host: 127.0.0.1, port: 2675}}}}
database: {{url: postgresql+psycopg://db/router}}
bus: {{type: kafka, servers: "k1:9092", replication_factor: {copies}, min_insync_replicas: {insync}}}
"""


def site(folder: Path, environment: str, copies: int, insync: int) -> Path:
    file = folder / "router.yaml"
    file.write_text(SITE.format(environment=environment, data=folder / "var", copies=copies, insync=insync))
    return file


def test_production_keeps_three_copies(tmp_path: Path) -> None:
    """One copy loses what was acknowledged with its broker: refused in production, allowed in qualification."""
    assert Site(site(tmp_path, "production", 3, 2))
    assert Site(site(tmp_path, "qualification", 1, 1))
    with pytest.raises(ConfigFault) as caught:
        Site(site(tmp_path, "production", 2, 1))
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 2
    assert "bus.replication_factor: is 3 or more in production" in told[0]
    assert "bus.min_insync_replicas: is 2 or more in production" in told[1]


def test_more_copies_in_step_than_copies_is_a_contradiction(tmp_path: Path) -> None:
    """Nothing could ever be written then."""
    with pytest.raises(ConfigFault, match="can't be more than replication_factor"):
        Site(site(tmp_path, "qualification", 1, 2))


def test_a_batch_is_not_given_up_before_a_request_of_it(tmp_path: Path) -> None:
    """The client refuses it, but only when the first document comes."""
    file = site(tmp_path, "qualification", 1, 1)
    file.write_text(file.read_text().replace('"k1:9092",', '"k1:9092", publish_timeout: 5,'))
    with pytest.raises(ConfigFault, match="publish_timeout can't be shorter than request_timeout"):
        Site(file)
