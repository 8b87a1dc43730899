"""The pipeline stage, when a partition goes to another worker and comes back while a batch waits to be written."""

from __future__ import annotations

import time
from typing import Any

from router.errors import Unavailable
from tests.engine.test_engine_pipeline_worker import Pipe, Rig, routed


def test_a_partition_that_left_and_came_back_in_mid_batch_is_not_decided_twice() -> None:
    """Its next owner decided everything meanwhile: what is still in our hands is his, and his offsets stand."""
    rig = Rig(Pipe(routed))
    for number in range(6):
        rig.event(number)
    first = rig.bus.producer("pipelines-0")
    publish, away = first.publish, [True]

    def stuck(*given: Any, **named: Any) -> Any:
        if away[0]:
            raise Unavailable("BUS")
        return publish(*given, **named)

    first.publish = stuck  # type: ignore[method-assign]
    make = rig.bus.producer
    rig.bus.producer = lambda name: first if name == "pipelines-0" else make(name)  # type: ignore[method-assign]
    rig.bus.seats = {("pipelines", "pipelines-0"): {0, 1}, ("pipelines", "pipelines-1"): set()}
    with rig.running():
        rig.until(lambda: len(rig.pipes[0].seen) == 6)  # decided, and its producer is stuck
        with rig.running(member="pipelines-1"):
            rig.bus.seats = {("pipelines", "pipelines-0"): set(), ("pipelines", "pipelines-1"): {0, 1}}
            rig.until(lambda: rig.committed() == 6)
            for number in range(6, 10):
                rig.event(number)
            rig.until(lambda: rig.committed() == 10)
        rig.bus.seats = {("pipelines", "pipelines-0"): {0, 1}}
        (ours,) = rig.bus.members["pipelines"]
        rig.until(lambda: len(ours.mine) == 2)
        away[0] = False
        time.sleep(1)
        stands = rig.committed()
    assert sorted(d.event_id for d in rig.deliveries()) == [f"id-{n}" for n in range(10)]
    assert stands == 10
    assert len(rig.journal("decided")) == 10
