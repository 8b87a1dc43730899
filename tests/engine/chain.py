"""The whole way in one process, on the embedded bus in a folder: gateway, pipeline, sink, each with its own bus."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Clock, Ledger, SystemClock, Unobserved
from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.engine.pipeline.worker import PipelineWorker
from router.engine.retry_policy import RetryPolicy
from router.errors import Unavailable
from router.exchange import Exchange, Pseudonyms, Routed
from router.gateway.checks import RelayCheck
from router.gateway.intake import Intake
from router.gateway.received import Answer, Feed, Received
from router.ledger.store import SqlLedger
from tests.engine.sinks import ScriptedSink, delivery

PSEUDONYMS = Pseudonyms(b"test")
FEED = Feed(name="f", check=RelayCheck(PSEUDONYMS), kind="relay")
FAST = RetryPolicy(first=0.02, factor=1.0, ceiling=0.05, jitter=0.0, probe_first=0.02, probe_ceiling=0.05)


def message(number: int, patient: int = 0, *, sent: str = "20260101", note: int = 0) -> bytes:
    """A message of one of several patients. `sent`: MSH-7, which engines restamp when they send again; `note`: the
    length of a comment in it, in bytes."""
    head = f"MSH|^~\\&|LAB|HOSP|PFI|DEST|{sent}||ORU^R01^ORU_R01|C{number}|P|2.5|||||FRA|UNICODE UTF-8"
    return f"{head}\rPID|||{patient}^^^CHU&1.2.3&ISO^PI||DUPONT^ANNE\rNTE|||{'x' * note}\r".encode()


class Relay:
    """One delivery per event, in the lane of its key."""

    name, digest, feed, reads_only = "p", "d", "f", True

    def process(self, exchange: Exchange) -> Routed:
        event = exchange.event
        made = delivery(0, event.key, event_id=event.id, payload=event.body, origin=event.origin)
        return Routed([made], exchange)


class Taken:
    """A ledger that can be taken away: `away` makes every call fail as a database that is down does."""

    def __init__(self, ledger: Ledger, away: threading.Event) -> None:
        self._ledger = ledger
        self._away = away

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._ledger, name)
        if name == "close":
            return member

        def call(*arguments: Any, **named: Any) -> Any:
            if self._away.is_set():
                raise Unavailable("LEDGER-AWAY", "", "the database can't be used now")
            return member(*arguments, **named)

        return call


class Chain:
    """Gateway, pipeline worker and sink worker of one folder. `acks`: what the sender was told, by number."""

    def __init__(self, folder: Path, *, sink: ScriptedSink | None = None, clock: Clock | None = None) -> None:
        self.folder = folder
        self.sink = sink or ScriptedSink()
        self.clock: Clock = clock or SystemClock()
        self.away = threading.Event()
        self.acks: dict[int, str] = {}

    def bus(self) -> SqliteBus:
        return SqliteBus(self.folder / "bus.db", partitions=2)

    def ledger(self) -> Any:
        return Taken(SqlLedger(f"sqlite:///{self.folder}/ledger.db", upgrade=True), self.away)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Intake]:
        """All three stages, until the block ends."""
        buses, ledgers = [self.bus() for _ in range(3)], [self.ledger() for _ in range(3)]
        intake = Intake(bus=buses[0], ledger=ledgers[0], clock=self.clock, pseudonyms=PSEUDONYMS, observer=Unobserved())
        pipelines = PipelineWorker(
            buses[1], ledgers[1], ["f"], lambda _: [Relay()], member="pipelines-0", clock=self.clock
        )
        worker = SinkWorker(
            self.sink,
            buses[2],
            ledgers[2],
            member="sinks-0",
            policy=FAST,
            limits=Limits(patience=2),
            clock=self.clock,
        )
        intake.start()
        deciding = asyncio.create_task(asyncio.to_thread(pipelines.run))
        delivering = asyncio.create_task(worker.run())
        try:
            yield intake
        finally:
            self.away.clear()
            await intake.close(5)
            pipelines.stop()
            worker.stop()
            await asyncio.gather(deciding, delivering)
            for one in (*ledgers, *buses):
                one.close()

    async def send(self, intake: Intake, number: int, patient: int = 0, note: int = 0) -> Answer:
        """Hand one message over, as a sender that waits for its answer does."""
        received = Received(data=message(number, patient, note=note), source="mllp", at=self.clock.now())
        answer = await intake.submit(FEED, received)
        self.acks[number] = answer.code
        return answer

    @property
    def delivered(self) -> list[int]:
        """The numbers of the messages that reached the sink, in this order."""
        return [number_of(call.delivery.payload) for call in self.sink.calls if call.ok]

    def acknowledged(self) -> set[int]:
        return {number for number, code in self.acks.items() if code == "AA"}


def number_of(body: bytes) -> int:
    """The number that is in MSH-10."""
    return int(body.split(b"|")[9][1:])


async def until(truth: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not truth():  # noqa: ASYNC110 - the truth is on another thread
            await asyncio.sleep(0.01)


def in_order(delivered: list[int], patients: Mapping[int, int]) -> bool:
    """Whether the messages of each patient came in the order of their numbers, each once."""
    lanes: dict[int, list[int]] = {}
    for number in delivered:
        lanes.setdefault(patients[number], []).append(number)
    return all(lane == sorted(set(lane)) for lane in lanes.values())
