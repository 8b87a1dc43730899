"""A real sink worker on Kafka and PostgreSQL that is stopped for longer than its group waits for it."""

from __future__ import annotations

import os
import signal
import uuid
from collections import Counter
from pathlib import Path

import pytest

from router.bus.opening import open_bus
from router.bus.settings import KafkaConfig
from router.ledger.store import SqlLedger
from router.wire import delivery_record
from tests.engine.crash import run_kafka_member
from tests.engine.crash_walk import started
from tests.engine.sinks import delivery
from tests.engine.test_engine_frozen import LANES, made, until
from tests.services import kafka_servers, postgresql_url  # noqa: F401

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(700)]


def stopped(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("freeze_at", [0, 8])
def test_a_worker_that_slept_through_its_loss_writes_nothing_of_it(
    tmp_path: Path,
    kafka_servers: str,  # noqa: F811
    postgresql_url: str,  # noqa: F811
    freeze_at: int,
) -> None:
    """Stopped between its last question and its commit: the successor delivers all, and its rows stay.

    What the first one had in flight when it was stopped may reach the outside once more when it wakes; nothing else.
    """
    (tmp_path / "effects").touch()
    sink = f"s{uuid.uuid4().hex[:8]}"
    kafka = KafkaConfig(
        servers=kafka_servers,
        prefix=sink,
        replication_factor=1,
        min_insync_replicas=1,
        session_timeout=6,
        partitions=8,  # as every site of the suite has it: on one broker they share `receipts`
    )
    deliveries = [delivery(n, f"lane-{n % LANES}", sink=sink, event_id=f"{sink}-{n}") for n in range(60)]
    bus = open_bus(kafka)
    bus.producer("test").publish([delivery_record(d) for d in deliveries])
    bus.close()
    common = (sink, kafka, postgresql_url)
    first = started(run_kafka_member, str(tmp_path), "sinks-0", *common, freeze_at)
    workers = [first]
    ledger = SqlLedger(postgresql_url)
    ids = [d.id for d in deliveries]
    try:
        assert first.pid is not None
        until(lambda: stopped(first.pid), 150)  # type: ignore[arg-type]
        second = started(run_kafka_member, str(tmp_path), "sinks-1", *common, -1)
        workers.append(second)
        second.join(250)
        assert second.exitcode == 0
        before, rows = made(tmp_path), ledger.get(ids)
        assert Counter(id_ for id_, *_ in before) == Counter(ids)
        for lane in range(LANES):
            assert [id_ for id_, at, *_ in before if at == f"lane-{lane}"] == ids[lane::LANES]
        os.kill(first.pid, signal.SIGCONT)
        first.join(150)
        assert first.exitcode is not None
        assert ledger.get(ids) == rows
        late = [id_ for id_, *_ in made(tmp_path)[len(before) :]]
        assert len(late) == len(set(late)) <= LANES
    finally:
        for worker in workers:
            worker.kill()
        ledger.close()
