"""What the upkeep measures of the bus and of the journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from router.audit.event import Action, AuditEvent
from router.audit.rows import Wanted
from router.config.site import Site
from router.contracts import TopicPlan, Unobserved
from router.engine.delivery import row_transitions
from router.exchange import State
from router.runtime.audit_upkeep import AuditUpkeep
from router.runtime.maintenance import Maintenance
from router.runtime.site_services import SiteServices
from tests.contracts.ledger_contract import row

SINKS = """\
environment: qualification
data: var
feeds: {sil: {kind: relay, mllp: {port: 2575}}}
sinks: {hl7.a: {type: hl7, host: 127.0.0.1, port: 1}, hl7.b: {type: hl7, host: 127.0.0.1, port: 2}}
"""
ROOT = Path(__file__).resolve().parents[2]


class Seen(Unobserved):
    """An observer that keeps what is set, by measure and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.values[measure, *labels.values()] = value


def test_a_broken_audit_is_measured_and_told_once(tmp_path: Path) -> None:
    """1 while every row is as it was written, 0 from the first look at one that is not; the audit says so too."""
    site = tmp_path / "router.yaml"
    text = (ROOT / "router.yaml").read_text().replace("pipelines: pipelines", f"pipelines: {ROOT}/pipelines")
    site.write_text(f"{text}\naudit: {{collector: {{host: 127.0.0.1}}}}\n")
    seen = Seen()
    services = SiteServices(Site(site), observer=seen)
    try:
        upkeep = AuditUpkeep(services)
        for number in (1, 2):
            services.audit.record(AuditEvent(at=float(number), who="claire", action=Action.NOTED))
            upkeep.verify()
        upkeep.gauges()
        assert seen.values["audit_whole",] == 1 and seen.values["audit_unsent",] == 2
        assert seen.values["audit_oldest_unsent_timestamp_seconds",] == 1
        with closing(sqlite3.connect(services.data("audit.db"))) as table, table:
            table.execute("DELETE FROM audit_rows WHERE number=2")
        for _ in range(2):
            upkeep.verify()
        assert seen.values["audit_whole",] == 0
        (told,) = services.audit.search(Wanted(actions=(Action.VERIFIED,)))
        assert told.event.refused and (told.event.detail, told.event.object) == ("cut", "2")
    finally:
        services.close()


def test_topics_that_differ_from_their_plan_are_counted(tmp_path: Path) -> None:
    """0 where all is as planned; each difference of a topic counts, and a feed without history expects nothing."""
    site = tmp_path / "router.yaml"
    site.write_text((ROOT / "router.yaml").read_text().replace("pipelines: pipelines", f"pipelines: {ROOT}/pipelines"))
    seen = Seen()
    services = SiteServices(Site(site), observer=seen)
    try:
        running = Maintenance(services)
        running._topics()
        assert seen.values["topics_differing",] == 0
        running._expected()
        assert seen.values["feed_expected_hour", "sil"] == 0
        plans = services.plans()
        services.plans = lambda: [*plans, TopicPlan("in.neuf", 8, None, 2**20)]  # type: ignore[method-assign]
        running._topics()
        assert seen.values["topics_differing",] == 1
    finally:
        services.close()


def test_what_is_held_for_a_person_is_counted_whoever_held_it(tmp_path: Path) -> None:
    """Rows that a restore wrote count, and stop to count once a person has decided; other parked rows never do."""
    site = tmp_path / "router.yaml"
    site.write_text(SINKS)
    seen = Seen()
    services = SiteServices(Site(site), observer=seen)
    try:
        ledger = services.ledger()
        held = row_transitions.in_doubt(row("d1", 1, sink="hl7.a", state=State.BEGUN), on_unknown="hold")
        waits = row("d2", 2, sink="hl7.a", state=State.PARKED, code="PREDECESSOR")
        ledger.open([held, waits])
        running = Maintenance(services)
        running._held()
        assert [seen.values["held_unknown", sink] for sink in ("hl7.a", "hl7.b")] == [1, 0]
        ledger.save([replace(held, state=State.DONE, code="")])
        running._held()
        assert seen.values["held_unknown", "hl7.a"] == 0
    finally:
        services.close()
