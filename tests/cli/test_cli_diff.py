"""`diff`: what a changed pipeline would have made of the last events, without touching anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from router.cli.main import app
from router.config.site import Site
from router.contracts import Header, in_topic
from router.exchange import Event
from router.runtime.site_services import SiteServices
from router.wire import event_record

SAMPLES = Path(__file__).resolve().parents[2] / "pipelines" / "samples"
SITE = """\
environment: qualification
data: var
feeds: {gam: {kind: relay, mllp: {port: 2575}}}
sinks:
  hl7.dpi: {type: hl7, host: 127.0.0.1, port: 2675}
  hl7.labo: {type: hl7, host: 127.0.0.1, port: 2676}
"""
PRESENT = """\
name: mouvements
feed: gam
sinks: {hl7.dpi: {}}
examples: [{name: un, message: a.hl7, expect: {hl7: [hl7.dpi]}}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A relay that has accepted an admission and two merges."""
    path = tmp_path / "router.yaml"
    path.write_text(SITE)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mouvements.yaml").write_text(PRESENT)
    services = SiteServices(Site(path))
    records = []
    for number, name in enumerate(("adt-admission", "adt-fusion", "adt-fusion")):
        headers = {Header.CONTROL: f"MSG{number}", Header.CHECKED: "relay", Header.RECEIVED: f"{number + 1}.000"}
        body = (SAMPLES / f"{name}.hl7").read_bytes()
        records.append(event_record(Event(f"{number}" * 32, "gam", "k", body, headers)))
    services.bus.producer("gateway-0").publish(records)
    services.close()
    return path


def _diff(site: Path, text: str) -> tuple[int, dict[str, Any]]:
    changed = site.with_name("changed.yaml")
    changed.write_text(text)
    result = CliRunner().invoke(app, ["diff", str(changed), "--site", str(site), "--json"])
    return result.exit_code, json.loads(result.stdout)


def _outputs(site: Path) -> int:
    services = SiteServices(Site(site))
    count = sum(len(list(services.bus.scan(topic.name))) for topic in services.plans() if topic.name != in_topic("gam"))
    services.close()
    return count


def test_an_unchanged_pipeline_changes_nothing(site: Path) -> None:
    """A new description is no difference; exit 0."""
    code, said = _diff(site, PRESENT + "description: autrement dit\n")
    assert (code, said["events"], said["differences"]) == (0, 3, [])


def test_a_narrower_condition_and_another_sink_are_told_event_by_event(site: Path) -> None:
    """Merges go to the laboratory too, admissions nowhere any more: by MSH-10, newest first; nothing is published."""
    code, said = _diff(
        site,
        PRESENT.replace("sinks:", 'when: message.type == "ADT^A40"\nsinks:').replace(
            "{hl7.dpi: {}}", "{hl7.dpi: {}, hl7.labo: {}}"
        ),
    )
    assert code == 1
    told = {one["control_id"]: (one["gone"], one["new"]) for one in said["differences"]}
    assert told == {
        "MSG0": (["hl7.dpi → hl7.dpi"], []),
        "MSG1": ([], ["hl7.labo → hl7.labo"]),
        "MSG2": ([], ["hl7.labo → hl7.labo"]),
    }
    assert _outputs(site) == 0


def test_a_changed_content_is_told_too(site: Path) -> None:
    """The same deliveries with other bytes."""
    code, said = _diff(site, PRESENT.replace("sinks:", "steps: [{set: {MSH-5: LABO}}]\nsinks:"))
    assert code == 1
    assert [one["changed"] for one in said["differences"]] == [["hl7.dpi → hl7.dpi"]] * 3
