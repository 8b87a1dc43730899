"""Drills: what a site does after a disaster or with an upgrade, played to its end. Each writes a report.

`SEGUR_DRILLS` names the folder of the reports (`<drill>.json`: duration, counts, what nobody can know); else they go
with the test's own folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import MetaData

from router.config.site import Site
from router.database import Database, copies
from router.errors import OperatorFault, Unavailable
from router.exchange import State
from router.ledger.tables import VERSION as LEDGER
from router.runtime.backup.make import backup
from router.runtime.backup.migrate import migrate
from router.runtime.backup.restore import restore
from router.runtime.site_services import SiteServices
from tests.engine.chain import Chain, until
from tests.runtime.stage import SHARED, SINK, SITE, Stage, some
from tests.services import kafka_servers, postgresql_url  # noqa: F401


class Drill:
    """The clock of one drill, and its report."""

    def __init__(self, name: str, folder: Path) -> None:
        self._file = Path(os.environ.get("SEGUR_DRILLS") or folder / "drills") / f"{name}.json"
        self._begun = time.monotonic()

    def report(self, **facts: Any) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        said = {"at": time.time(), "seconds": round(time.monotonic() - self._begun, 2), **facts}
        self._file.write_text(json.dumps(said, indent=1))


@pytest.fixture
def drill(request: pytest.FixtureRequest, tmp_path: Path) -> Drill:
    return Drill(request.node.name.removeprefix("test_").replace("[", "-").rstrip("]"), tmp_path)


def counted(stage: Stage, sent: list[Any]) -> dict[str, int]:
    """What the destination saw of these deliveries."""
    saw = stage.delivered()
    ids = [one.id for one in sent]
    return {
        "sent": len(ids),
        "delivered": len({id_ for id_ in saw if id_ in ids}),
        "repeated": len(saw) - len(set(saw)),
        "held": sum(stage.state(one) is State.PARKED for one in sent),
        "lost": sum(stage.state(one) is None for one in sent),
    }


def older_ledger(stage: Stage, drill: Drill, restored: Any, seconds: float) -> None:
    """M1 is delivered and backed up, M2 is delivered, M3 is begun; then the databases are lost and restored."""
    first, second, third = stage.some(0, 5), stage.some(5, 15), stage.some(20, 23)
    stage.publish(*first)
    stage.deliver(*first, seconds=seconds)
    source = backup(stage.services, stage.folder / "backups", thorough=True).folder
    stage.publish(*second)
    stage.receive(1)
    stage.deliver(*second, seconds=seconds)
    stage.sink.behaviour = lambda _d, _a: 60.0
    stage.publish(*third)
    stage.deliver(*third, seconds=seconds, by=(State.BEGUN,))
    stage.sink.behaviour = lambda _d, _a: None
    stage.close()
    done = restored(source)
    stage.open()
    stage.start()
    assert stage.told() == []
    more = stage.some(30, 32)
    stage.publish(*more)
    stage.deliver(*more, seconds=seconds)
    facts = counted(stage, [*first, *second, *third, *more])
    assert facts == {"sent": 20, "delivered": 17, "repeated": 0, "held": 3, "lost": 0}
    name = stage.sink.name
    assert done.found.proven == {name: 10} and done.found.held == {name: 3} and set(done.found.claims) == {"in.gam"}
    assert done.found.journal > 0
    drill.report(**facts, proven=10, restored=done.as_json())


def test_drill_a_older_ledger(tmp_path: Path, drill: Drill) -> None:
    """A ledger older than the embedded bus: 0 lost, nothing proven is repeated, nothing unknown without an order."""
    stage = Stage(tmp_path / "site")
    stage.start()

    def restored(source: Path) -> Any:
        var = stage.folder / "var"
        for path in var.iterdir():
            if not path.name.startswith("bus.db"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return restore(stage.folder / "router.yaml", source, alert=stage.alert, keep_bus=True)

    older_ledger(stage, drill, restored, 20)
    stage.close()


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_drill_a_older_ledger_on_kafka_and_postgresql(
    tmp_path: Path,
    drill: Drill,
    kafka_servers: str,  # noqa: F811
    postgresql_url: str,  # noqa: F811
) -> None:
    """The same with Kafka and PostgreSQL: the dump goes into an empty database, the topics tell the rest."""
    prefix = f"drill-{uuid.uuid4().hex[:8]}."
    bus = f"bus: {{type: kafka, servers: '{kafka_servers}', prefix: '{prefix}', replication_factor: 1, "
    bus += "min_insync_replicas: 1, session_timeout: 6}\n"
    url = postgresql_url.replace("postgresql://", "postgresql+psycopg://")
    sink = f"hl7.{uuid.uuid4().hex[:8]}"
    stage = Stage(tmp_path / "site", f"{SHARED.replace(SINK, sink)}{bus}database: {{url: '{url}'}}\n", sink)
    with contextlib.suppress(Unavailable):  # of a broker that has never seen a group
        stage.start()

    with pytest.MonkeyPatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        with pytest.raises(OperatorFault, match=r"BACKUP-PG-DUMP .*not installed .*--without-database"):
            backup(stage.services, stage.folder / "none")
    assert not list((stage.folder / "none").glob("2*"))
    elsewhere = backup(stage.services, stage.folder / "none", with_database=False).manifest
    assert elsewhere.database == "elsewhere" and "database.dump" not in elsewhere.files

    def restored(source: Path) -> Any:
        site = stage.folder / "router.yaml"
        with pytest.raises(OperatorFault, match=r"RESTORE-DATABASE .*give an empty one"):
            restore(_moved(stage), source, alert=stage.alert)
        with psycopg.connect(postgresql_url, autocommit=True) as server:
            server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        shutil.rmtree(stage.folder / "var")
        with _read_elsewhere(stage), pytest.raises(OperatorFault, match=r"RESTORE-RUNS .*pipelines-0"):
            restore(site, source, alert=stage.alert)
        return restore(site, source, alert=stage.alert)

    older_ledger(stage, drill, restored, 60)
    stage.close()


@contextlib.contextmanager
def _read_elsewhere(stage: Stage) -> Iterator[None]:
    """A router on another machine, still in its group: its first share of the partitions has come."""
    services = SiteServices(Site(_moved(stage)))
    with closing(services), closing(services.bus.consumer("pipelines", ["in.gam"], member="pipelines-0")) as reader:
        deadline = time.monotonic() + 30
        while not reader.assignment() and time.monotonic() < deadline:
            reader.poll(max_records=1, max_bytes=1000, timeout=0.2)
        yield


def _moved(stage: Stage) -> Path:
    """The same site with another data folder, whose key is the one of before."""
    site = stage.folder / "moved.yaml"
    site.write_text((stage.folder / "router.yaml").read_text().replace("data: var", "data: other"))
    return site


def test_drill_b_lost_bus(tmp_path: Path, drill: Drill) -> None:
    """Ledger and journal live, the bus is empty: what senders must send again is listed, nothing is delivered twice."""
    stage = Stage(tmp_path / "site")
    stage.start()
    sent = some(0, 5)
    stage.publish(*sent)
    stage.receive(1)
    stage.deliver(*sent)
    waiting = some(10, 12)
    stage.publish(*waiting)
    stage.sink.behaviour = lambda _d, _a: 60.0
    stage.deliver(*waiting, by=(State.BEGUN,))
    stage.sink.behaviour = lambda _d, _a: None
    stage.remove("bus.db")
    stage.start()
    assert stage.told() == ["bus-behind"]
    lost = json.loads((stage.folder / "var" / "bytes-lost.json").read_bytes())
    assert [event["id"] for event in lost["events"]] == [f"{1:032d}"]
    assert {one["id"] for one in lost["deliveries"]} == {one.id for one in waiting}
    stage.receive(1)  # the sender repeats it, and is taken anew
    stage.publish(*sent, *waiting)  # what the pipelines make of repeats
    stage.deliver(*sent, *waiting)
    facts = counted(stage, [*sent, *waiting])
    assert facts == {"sent": 7, "delivered": 7, "repeated": 0, "held": 0, "lost": 0}
    drill.report(**facts, events=len(lost["events"]), deliveries=len(lost["deliveries"]))
    stage.close()


DUMPS = Path(__file__).resolve().parents[1] / "engine" / "data"
"""What 0.1.0 left: 1 delivered, 2 a dead letter, 3 waits, 4 behind it, 5 and 6 not decided (`test_engine_upgrade`)."""


def states(ledger: Path) -> dict[str, int]:
    with closing(sqlite3.connect(ledger)) as database:
        return dict(database.execute("SELECT state, count(*) FROM ledger_deliveries GROUP BY state"))


@pytest.mark.parametrize("held", [False, True], ids=["waiting", "held"])
def test_drill_d_upgrade_from_0_1_0(tmp_path: Path, drill: Drill, held: bool) -> None:
    """Pending, held and dead letters of 0.1.0 are the same after `ledger migrate`, and go on; back leads the backup."""
    folder = tmp_path / "site"
    (folder / "var").mkdir(parents=True)
    (folder / "router.yaml").write_text(SITE)
    ledger = folder / "var" / "ledger.db"
    for name in ("bus", "ledger"):
        with closing(sqlite3.connect(folder / "var" / f"{name}.db")) as database:
            database.executescript((DUMPS / f"{name}_0.1.0.sql").read_text(encoding="utf-8"))
            if held and name == "ledger":
                database.execute(
                    "UPDATE ledger_deliveries SET state='parked', code='UNKNOWN-HELD' WHERE state='waiting'"
                )
                database.commit()
    before, old = states(ledger), copies.versions(f"sqlite:///{ledger}")["ledger"]
    assert before == {"done": 1, "dead": 1, "parked" if held else "waiting": 1, "ready": 1}
    services = SiteServices(Site(folder / "router.yaml"))
    saved = backup(services, folder / "backups")
    assert saved.manifest.schemas["ledger"] == old  # a backup changes nothing of what it copies
    _opened_by(ledger, old)
    assert migrate(services.site)["ledger"] == (old, LEDGER)
    services.close()
    assert states(ledger) == before
    with pytest.raises(OperatorFault) as refused:
        _opened_by(ledger, old)
    assert str(refused.value) == "LEDGER-VERSION: the database was written by a newer segur-router"
    _opened_by(saved.folder / "ledger.db", old)  # the way back
    chain = Chain(folder / "var")

    async def story() -> None:
        async with chain.running() as intake:
            await until(lambda: set(chain.delivered) >= ({6} if held else {3, 4, 5, 6}))
            assert (await chain.send(intake, 1, patient=1)).code == "AA"
            await asyncio.sleep(0.3)

    asyncio.run(story())
    assert sorted(chain.delivered) == ([6] if held else [3, 4, 5, 6])
    after = states(ledger)
    assert after["dead"] == 1 and after.get("parked", 0) == held
    drill.report(before=before, after=after, versions=[old, LEDGER])


def _opened_by(ledger: Path, version: int) -> None:
    """Opened as the version that knows the ledger's tables in this number does."""
    Database("ledger", f"sqlite:///{ledger}", MetaData(), version).close()
