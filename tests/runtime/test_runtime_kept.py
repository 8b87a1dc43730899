"""The register that fails after the effect; a version that its examples refuse, across a restart."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from router.config.site import Site
from router.contracts import Partition, SystemClock
from router.demo.stage import stage
from router.errors import Bug, OperatorFault, RouterError
from router.exchange import Event
from router.register import Register
from router.register.patient import ins_pseudonym
from router.request import Identifier
from router.runtime import maintenance
from router.runtime.rebuild import rebuild
from router.runtime.register_checked_sink import RegisterCheckedSink
from router.runtime.reload import PipelineSet
from router.runtime.site_services import SiteServices
from router.runtime.supervisor.workers import last_state
from router.simulators.sender import Maker
from router.wire import event_record
from tests.engine.memory import MemoryLedger
from tests.register.register_samples import change, ins, zfa
from tests.runtime.test_runtime_rebuild import SITE as ADT_SITE
from tests.runtime.test_runtime_register_checked_sink import Slow, play, register, report  # noqa: F401
from tests.sinks.dmp_world import FIRST
from tests.typed import present


@pytest.mark.parametrize(
    "fault",
    [OperatorFault("REGISTER-CORRUPT", "", "damaged"), Bug.of(ValueError(), "REGISTER"), KeyError("x")],
    ids=lambda fault: type(fault).__name__,
)
def test_a_register_that_fails_costs_no_receipt(
    register: Register,  # noqa: F811
    fault: RouterError,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The document has left: whatever the register says then, the delivery is done."""
    one, _ = report(Maker(6))

    def fails(*_: object) -> None:
        raise fault

    async def story(sink: Slow, guarded: RegisterCheckedSink) -> None:
        sink.gate.set()
        monkeypatch.setattr(register, "note_departure", fails)
        assert (await guarded.deliver(one, FIRST)).code == "OK"

    play(register, story)


async def _stage_only(folder: Path) -> None:
    async with stage(folder, seed=52, console=False):
        pass


def test_a_version_that_its_examples_refuse_does_not_run_after_a_restart(tmp_path: Path) -> None:
    asyncio.run(_stage_only(tmp_path / "stage"))
    site = tmp_path / "stage" / "router.yaml"
    file = tmp_path / "stage" / "pipelines" / "biologie.yaml"
    services = SiteServices(Site(site))
    try:
        running = PipelineSet(services)
        assert running.resume() == []
        good = {pipeline.digest for pipeline in running.of("sil")}
        file.write_text(file.read_text().replace("dmp: delivered", "dmp: R45", 1))
        assert running.reload() != []  # refused: the old one goes on
        assert {pipeline.digest for pipeline in running.of("sil")} == good
        again = PipelineSet(services)  # the worker fell and was started again
        again.resume()
        assert {pipeline.digest for pipeline in again.of("sil")} == good
    finally:
        services.close()


async def _killed(folder: Path) -> None:
    async with stage(folder, seed=53, console=False) as played:
        await played.start()
        (state,) = folder.rglob("state.json")
        said = last_state(state)
        assert said is not None
        before = {worker.name: worker.pid for worker in said.workers}
        dead = before["sinks-0"]
        os.kill(dead, signal.SIGKILL)

        def again() -> bool:
            now = last_state(state)
            return now is not None and any(
                w.name == "sinks-0" and w.pid not in (0, dead) and w.status == "running" for w in now.workers
            )

        assert await played.until(again, 60)
        gauges = sorted(path.name for path in (state.parent / "metrics").glob(f"gauge_live*_{dead}.db"))
        assert gauges == []


def test_the_gauges_of_a_worker_end_with_it(tmp_path: Path) -> None:
    """`segur_circuit_open` is the largest of all processes: one that was killed must not say 1 for ever."""
    asyncio.run(_killed(tmp_path / "stage"))


def test_a_rebuild_forgets_no_opposition(tmp_path: Path) -> None:
    """The ADT topics keep 30 days: what a feed said before that is in the register alone."""
    (tmp_path / "router.yaml").write_text(ADT_SITE)
    services = SiteServices(Site(tmp_path / "router.yaml"))
    try:
        patient = Maker(9).patient()
        message = Maker(9).adt("A31", patient)
        (origin,) = services.bus.producer("test").publish([event_record(Event("e" * 32, "gam", "k", message, {}))])
        number = Identifier(value=patient.ins, authority="1.2.250.1.213.1.4.10", kind="INS")
        services.register.apply("e" * 32, change("A31", ins(present(patient.ins)), zfa=zfa("IO")), origin=origin)
        name = ins_pseudonym(services.pseudonyms, number)
        assert present(services.register.find(name)).opposed
        services.bus.trim(Partition(origin.topic, origin.partition), origin.offset + 1)  # as its retention does
        with suppress(OperatorFault):
            rebuild(services)
        found = services.register.find(name)
        assert found is not None and found.opposed
    finally:
        services.close()


class _Bus:
    """Its lag can't be asked (a right of the account on a group is missing); it maintains itself."""

    def __init__(self) -> None:
        self.maintained = threading.Event()

    def lag(self, group: str) -> dict[Partition, int]:
        raise OperatorFault("KAFKA-RIGHTS", group, "DESCRIBE is missing")

    def maintain(self) -> None:
        self.maintained.set()


def test_a_gauge_that_can_not_be_read_does_not_end_the_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "GAUGE_SECONDS", 0.01)
    bus = _Bus()
    config = SimpleNamespace(sinks={}, limits=SimpleNamespace(claims_days=30))
    services = SimpleNamespace(bus=bus, config=config, clock=SystemClock(), ledger=MemoryLedger, url=lambda room: "")
    running = maintenance.Maintenance(services)  # type: ignore[arg-type]
    running.start()
    try:
        assert bus.maintained.wait(3)
    finally:
        running.stop()
