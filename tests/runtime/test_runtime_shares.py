"""What the roles of one process share: the stage's bytes among sinks, and the upkeep beside the journal."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router.bus.settings import KafkaConfig
from router.config.site import Site
from router.contracts import SystemClock, Unobserved
from router.errors import Unavailable
from router.runtime import maintenance
from router.runtime.maintenance import Maintenance
from router.runtime.process import readers_of
from router.runtime.roles.sinks import share_of
from router.runtime.site_services import SiteServices
from router.runtime.supervisor.router_process import RouterProcess

MIB = 1 << 20


@pytest.mark.parametrize(("sinks", "each"), [(0, 64), (1, 64), (2, 32), (16, 4), (40, 4)])
def test_sinks_share_the_bytes_of_their_stage(sinks: int, each: int) -> None:
    """However many they are, no sink gets less than 4 MB."""
    assert share_of(64 * MIB, sinks) == each * MIB


@pytest.mark.parametrize(("sinks", "each"), [(1, 8), (3, 8 / 3), (20, 1)])
def test_sinks_share_what_their_process_fetches_at_once(tmp_path: Path, sinks: int, each: float) -> None:
    """On Kafka each reads for itself, and holds what it has fetched; none asks for less than 1 MB."""
    (tmp_path / "router.yaml").write_text(
        "environment: qualification\nadmin: {port: 0}\nfeeds: {r: {kind: relay, mllp: {port: 0}}}\n"
        "bus: {type: kafka, servers: 'k:9092', replication_factor: 1, min_insync_replicas: 1}\n"
        "database: {url: 'postgresql+psycopg://localhost/segur'}\n"
        "sinks:\n" + "".join(f"  hl7.a{n}: {{type: hl7, host: h, port: 1}}\n" for n in range(sinks))
    )
    site = Site(tmp_path / "router.yaml")
    config = SiteServices(site, readers=readers_of(site, "sinks")).bus_config()
    assert isinstance(config, KafkaConfig)
    assert config.fetch_bytes == int(each * MIB)
    assert readers_of(site, "pipelines") == 1


def services(**bus: Any) -> Any:
    return SimpleNamespace(
        bus=SimpleNamespace(lag=lambda _: {}, **bus),
        url=lambda _: "postgresql://server/ledger",
        config=SimpleNamespace(sinks={}),
        clock=SystemClock(),
        observer=Unobserved(),
    )


def test_the_log_of_the_embedded_bus_is_copied_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again after a failure, and no more once stopped."""
    monkeypatch.setattr(maintenance, "CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(maintenance, "GAUGE_SECONDS", 0.01)
    often, count = threading.Event(), 0

    def checkpoint() -> int:
        nonlocal count
        count += 1
        if count == 2:
            raise Unavailable("BUS-LOCKED")
        if count == 5:
            often.set()
        return 5000 * count

    running = Maintenance(services(checkpoint=checkpoint))
    running.start()
    assert often.wait(20)
    running.stop()
    seen = count
    assert not threading.Event().wait(0.1)
    assert count == seen


def test_the_log_of_a_ledger_in_a_file_is_copied_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the bus is Kafka; one that grew little is copied more rarely."""
    monkeypatch.setattr(maintenance, "CHECKPOINT_SECONDS", 0.05)
    times: list[float] = []
    often = threading.Event()

    def checkpoint() -> int:
        times.append(time.monotonic())
        if len(times) == 4:
            often.set()
        return len(times)

    place = services()
    place.url, place.ledger = (lambda _: "sqlite:////data/ledger.db"), (lambda: SimpleNamespace(checkpoint=checkpoint))
    running = Maintenance(place)
    running.start()
    assert often.wait(20)
    running.stop()
    assert times[-1] - times[0] > 3 * 4 * 0.05 * 0.9


def test_a_bus_that_copies_nothing_needs_no_thread_for_it() -> None:
    running = Maintenance(services())
    running.start()
    assert "checkpoints" not in {thread.name for thread in threading.enumerate()}
    running.stop()


class Swept:
    """A ledger and a journal that note up to when they were asked to forget."""

    def __init__(self) -> None:
        self.forgot: list[float] = []
        self.pruned: list[float] = []

    def forget(self, before: float) -> int:
        self.forgot.append(before)
        return 0

    def prune(self, before: float) -> None:
        self.pruned.append(before)

    prune_stays = prune


def swept(**limits: Any) -> tuple[Maintenance, Swept, Any]:
    told = Swept()
    place = services(maintain=lambda: None)
    place.clock = SimpleNamespace(now=lambda: 1e9, monotonic=lambda: 50.0)
    place.config.limits = SimpleNamespace(**{"claims_days": 30, "journal_days": None} | limits)
    place.ledger, place.journal, place.register, place.archive = lambda: told, told, told, None
    running = Maintenance(place)
    running._trimmer = SimpleNamespace(trim=lambda *_: 0)  # type: ignore[assignment]
    running._audit = SimpleNamespace(purge=lambda: None)  # type: ignore[assignment]
    return running, told, place


def test_claims_outlive_the_records_they_are_of() -> None:
    """Kafka keeps a record for its retention and a segment more: read again then, it must still be known."""
    running, told, _ = swept(journal_days=400)
    running._sweep()
    assert told.forgot == [1e9 - 38 * 86_400]
    assert told.pruned == [1e9 - 400 * 86_400] * 2


def test_a_clock_that_jumps_ahead_makes_nothing_expire() -> None:
    """A month ahead, every claim would be forgotten, and whatever is sent again would be delivered again."""
    running, told, place = swept()
    place.clock = SimpleNamespace(now=lambda: 1e9 + 31 * 86_400, monotonic=lambda: 60.0)
    running._sweep()
    assert told.forgot == [] and told.pruned == []
    place.clock = SimpleNamespace(now=lambda: 1e9 + 20, monotonic=lambda: 70.0)
    running._sweep()
    assert len(told.forgot) == 1
    assert told.pruned == []


@pytest.mark.parametrize(("ours", "theirs"), [(None, "2"), ("4", "4")])
def test_the_threads_of_a_worker_share_few_arenas(
    monkeypatch: pytest.MonkeyPatch, ours: str | None, theirs: str
) -> None:
    """Unless whoever starts the router says otherwise."""
    if ours is None:
        monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    else:
        monkeypatch.setenv("MALLOC_ARENA_MAX", ours)
    running = SimpleNamespace(site=SimpleNamespace(path=Path("router.yaml")), _first=0)
    role = RouterProcess._role(running, "sinks", 1)  # type: ignore[arg-type]
    assert (role.environment or {})["MALLOC_ARENA_MAX"] == theirs
