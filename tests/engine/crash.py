"""Processes that kill themselves (SIGKILL) at their n-th durable write, on the real SQLite bus and ledger.

`crash_at` counts half-steps: 2k is right before write number k, 2k+1 right after it; a negative number never comes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

from router.bus.opening import open_bus
from router.bus.settings import KafkaConfig
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Attempt, Header, Outcome, SystemClock, Unobserved, out_topic
from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.engine.pipeline.worker import PipelineWorker
from router.engine.retry_policy import RetryPolicy
from router.errors import Refused, Unavailable
from router.exchange import Delivery, Exchange, Routed, State
from router.gateway.intake import Intake
from router.gateway.received import Received
from router.ledger.store import SqlLedger
from tests.engine.chain import FEED, PSEUDONYMS, message
from tests.engine.sinks import delivery

WRITES = {"publish", "commit", "take", "write", "claim"}


class Fuse:
    """Counts durable writes and kills the process at the chosen half-step. `how`: SIGSTOP freezes it there instead;
    `only`: writes of this name count."""

    def __init__(self, crash_at: int, how: signal.Signals = signal.SIGKILL, only: str = "") -> None:
        self.crash_at = crash_at
        self.how = how
        self.only = only
        self.steps = count()

    def step(self, name: str) -> None:
        if self.only in ("", name) and next(self.steps) == self.crash_at:
            os.kill(os.getpid(), self.how)
            time.sleep(60 if self.how is signal.SIGKILL else 0)

    def around(self, thing: Any) -> Any:
        """The same object whose writes pass by the fuse; what it makes (consumers, producers) too."""
        return _Fused(self, thing)


class _Fused:
    def __init__(self, fuse: Fuse, thing: Any) -> None:
        self._fuse = fuse
        self.thing = thing

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.thing, name)
        if name in WRITES:
            return lambda *args, **named: self._write(name, member, args, named)
        if name in ("producer", "consumer"):
            return lambda *args, **named: self._fuse.around(member(*args, **named))
        return member

    def _write(self, name: str, member: Callable[..., Any], args: Sequence[Any], named: dict[str, Any]) -> Any:
        self._fuse.step(name)
        settle = named.get("settle")
        if settle is not None and isinstance(settle.consumer, _Fused):
            named["settle"] = type(settle)(settle.consumer.thing, settle.offsets)
        result = member(*args, **named)
        self._fuse.step(name)
        return result


class FileSink:
    """Its outside world is a file: one line per effect, `id lane attempt unknown`."""

    name = "s"

    def __init__(self, path: Path, on_unknown: Literal["verify", "repeat", "hold"], seconds: float = 0.001) -> None:
        self.path = path
        self.on_unknown = on_unknown
        self.seconds = seconds
        self.failed: set[str] = set()

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        if delivery.label == "refused":
            raise Refused("X-550", "RCPT")
        if delivery.label == "busy" and attempt.number == 1:
            raise Unavailable("X-450", circuit=False)
        await asyncio.sleep(self.seconds)
        with self.path.open("a") as file:
            file.write(f"{delivery.id} {delivery.lane} {attempt.number} {attempt.unknown}\n")
        return Outcome("OK")

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        return Outcome("FOUND") if delivery.id in self.path.read_text() else None

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        return {}

    async def probe(self) -> None:
        return

    async def close(self) -> None:
        return


def story() -> list[Delivery]:
    """Three lanes of plain deliveries, a refusal, a busy head, and a document that is replaced and deleted."""
    plain = [delivery(n, f"lane-{n % 3}", label={4: "refused", 2: "busy"}.get(n, "")) for n in range(9)]
    actions = ("initial", "replace", "delete")
    document = [delivery(10 + n, "doc", action=a, lineage="set", document=f"doc-{n}") for n, a in enumerate(actions)]
    return [*plain, *document]


def run_sink(folder: str, on_unknown: Literal["verify", "repeat", "hold"], crash_at: int) -> None:
    """A sink worker until everything it was given has ended, or until the fuse blows."""
    deliver(folder, FileSink(Path(folder) / "effects", on_unknown), Fuse(crash_at))


def deliver(
    folder: str,
    sink: FileSink,
    fuse: Fuse,
    member: str = "sinks-0",
    *,
    kafka: KafkaConfig | None = None,
    url: str = "",
) -> None:
    """A sink worker whose writes pass by the fuse, until all that stands on its topic has ended.

    `kafka` and `url`: with a broker and a database instead of the files of the folder.
    """
    bus = open_bus(kafka) if kafka is not None else SqliteBus(Path(folder) / "bus.db", partitions=2)
    url = url or f"sqlite:///{folder}/ledger.db"
    policy = RetryPolicy(first=0.01, factor=1, ceiling=0.01, jitter=0)
    worker = SinkWorker(
        sink, fuse.around(bus), fuse.around(SqlLedger(url)), member=member, policy=policy, limits=Limits(patience=2)
    )
    watch = SqlLedger(url)
    ids = [record.headers[Header.DELIVERY] for record in bus.scan(out_topic(sink.name))]
    seats = Path(folder) / f"{member}.partitions"

    async def run() -> None:
        task = asyncio.create_task(worker.run())
        final = (State.DONE, State.DEAD, State.SUPERSEDED)
        while not task.done():
            seats.write_text(str(len(worker.condition().partitions)))
            rows = watch.get(ids)
            if len(rows) == len(ids) and all(row.state in final for row in rows.values()):
                break
            await asyncio.sleep(0.01)
        worker.stop()
        await task

    asyncio.run(run())


def run_member(folder: str, member: str) -> None:
    """One of several sink workers, until everything has ended; `<member>.partitions` says how many it has."""
    deliver(folder, FileSink(Path(folder) / "effects", "verify", seconds=0.005), Fuse(-1), member)


def run_kafka_member(folder: str, member: str, sink: str, kafka: KafkaConfig, url: str, freeze_at: int) -> None:
    """The same on Kafka and PostgreSQL; it stops itself (SIGSTOP) right before a row is saved, if told to."""
    neighbour = FileSink(Path(folder) / "effects", "verify", seconds=0.005)
    neighbour.name = sink
    deliver(folder, neighbour, Fuse(freeze_at, signal.SIGSTOP, "write"), member, kafka=kafka, url=url)


class Relay:
    """One delivery per event."""

    name, digest, feed, reads_only = "p", "d", "f", True

    def process(self, exchange: Exchange) -> Routed:
        event = exchange.event
        if event.body == b"bad":
            raise Refused("R01")
        return Routed([delivery(0, event.key, event_id=event.id, origin=event.origin)], exchange)


def run_pipeline(folder: str, events: int, crash_at: int) -> None:
    """A pipeline worker until it has committed so many events, or until the fuse blows."""
    decide(folder, Fuse(crash_at))


def decide(folder: str, fuse: Fuse) -> None:
    """A pipeline worker whose writes pass by the fuse, until nothing is left on its topic."""
    bus = SqliteBus(Path(folder) / "bus.db", partitions=2)
    ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
    worker = PipelineWorker(fuse.around(bus), fuse.around(ledger), ["f"], lambda _: [Relay()], member="pipelines-0")

    def watch() -> None:
        lag = bus.lag("pipelines")
        while not lag or any(lag.values()):
            time.sleep(0.01)
            lag = bus.lag("pipelines")
        worker.stop()

    threading.Thread(target=watch, daemon=True).start()
    worker.run()


# ------------------------------------------------------------------------------------------- the whole way

SENT = 2
"""Messages that the sender hands over, all of one patient."""


def run_chain(folder: str, crash_at: int, *, again: bool) -> None:
    """Gateway, pipeline and sink one after the other, in one process with one fuse for all their writes.

    `again`: after a crash. The sender has lost every answer: it sends all once more, with new times, to the other
    replica of the gateway; and at the end, when all is done, to both of them. Its answers stand in files.
    """
    fuse, sink = Fuse(crash_at), FileSink(Path(folder) / "effects", "verify")
    accept(folder, fuse, "gateway-1" if again else "gateway-0", "first")
    decide(folder, fuse)
    deliver(folder, sink, fuse)
    if again:
        for name in ("gateway-0", "gateway-1"):
            accept(folder, fuse, name, f"last-{name}")
        decide(folder, fuse)
        deliver(folder, sink, fuse)


def accept(folder: str, fuse: Fuse, name: str, answers: str) -> None:
    """A gateway that gets the sender's messages one by one; what it answers stands in a file."""
    bus = SqliteBus(Path(folder) / "bus.db", partitions=2)
    intake = Intake(
        bus=fuse.around(bus),
        ledger=fuse.around(SqlLedger(f"sqlite:///{folder}/ledger.db")),
        clock=SystemClock(),
        pseudonyms=PSEUDONYMS,
        observer=Unobserved(),
        name=name,
    )

    async def send() -> None:
        intake.start()
        for number in range(SENT):
            data = message(number, sent=f"2026{time.monotonic_ns()}")
            answer = await intake.submit(FEED, Received(data=data, source="mllp", at=time.time()))
            with (Path(folder) / answers).open("a") as file:
                file.write(f"{answer.code} {answer.ack.hex()}\n")
        await intake.close(5)

    asyncio.run(send())
