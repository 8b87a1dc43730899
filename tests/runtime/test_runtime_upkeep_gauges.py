"""What the upkeep measures of the bus and of the journal."""

from __future__ import annotations

from pathlib import Path

from router.config.site import Site
from router.contracts import TopicPlan, Unobserved
from router.runtime.maintenance import Maintenance
from router.runtime.site_services import SiteServices

ROOT = Path(__file__).resolve().parents[2]


class Seen(Unobserved):
    """An observer that keeps what is set, by measure and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.values[measure, *labels.values()] = value


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
