"""`segur-router topics migrate` asks the ledger before it makes a topic anew."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from router.cli.main import app
from router.config.site import Site
from router.runtime.site_services import SiteServices
from tests.contracts.ledger_contract import row

SITE = """\
environment: qualification
data: {data}
feeds: {{sil: {{kind: relay, mllp: {{port: 2575}}}}}}
sinks: {{hl7.sil: {{type: hl7, host: 127.0.0.1, port: 2675}}}}
"""


def test_a_topic_with_an_unfinished_delivery_is_not_migrated(tmp_path: Path) -> None:
    """A delivery whose bytes stand on the topic keeps it from being made anew; another topic may be."""
    site = tmp_path / "router.yaml"
    site.write_text(SITE.format(data=tmp_path / "var"))
    services = SiteServices(Site(site))
    services.ledger().open([row("d1", sink="hl7.sil")])
    services.close()
    refused = CliRunner().invoke(app, ["topics", "migrate", "in.sil", "--site", str(site)])
    free = CliRunner().invoke(app, ["topics", "migrate", "journal", "--site", str(site)])
    assert refused.exit_code == 2
    assert free.exit_code == 0, free.output
