"""Every certificate that the site file names is watched, wherever it stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.config.site_models import FeedConfig
from router.contracts import SystemClock
from router.gateway.settings import MllpConfig, TlsConfig
from router.measures import Measure
from router.runtime.certificates import Expiries
from router.simulators.authority import make_certificates

DAY = 86_400.0


class Gauges:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], float] = {}

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None: ...

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        self.values[measure, labels["name"]] = value

    def time(self, measure: Measure, seconds: float, **labels: str) -> None: ...


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_certificates(tmp_path_factory.mktemp("certificates"), {"010000001": "Hôpital"})
    return made.pair("server")[0]


def test_a_listener_s_certificate_is_watched_and_a_missing_one_is_not(pem: Path) -> None:
    """When it ends, by the name operators know; a file that can't be read is told by whoever uses it."""
    feeds = {
        "feed sil": FeedConfig(mllp=MllpConfig(port=2575, tls=TlsConfig(certificate=pem, key=pem))),
        "feed ris": FeedConfig(mllp=MllpConfig(port=2576, tls=TlsConfig(certificate=Path("nowhere.pem"), key=pem))),
        "feed gam": FeedConfig(mllp=MllpConfig(port=2577)),
        "http": None,
    }
    gauges = Gauges()
    Expiries(feeds, gauges).look()
    ((name, end),) = gauges.values.items()
    assert name == ("certificate_expiry_timestamp_seconds", "feed sil/mllp/tls")
    assert end > SystemClock().now() + DAY
