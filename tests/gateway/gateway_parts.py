"""Parts the gateway's tests share: a clock they move, a small ledger, a bus that can be taken away, MLLP clients."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, cast

from router.contracts import Outgoing, Record, Settle, SystemClock
from router.errors import RouterError, Unavailable
from router.exchange import Origin, Pseudonyms
from router.gateway.checks import RelayCheck
from router.gateway.intake import Intake
from router.gateway.mllp_listener import MllpListener
from router.gateway.received import Checker, Feed
from router.gateway.settings import MllpConfig
from router.hl7.mllp import Decoder, Frame, frame

PSEUDONYMS = Pseudonyms(b"test")


class Counted:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.gauges: dict[str, float] = {}

    def count(self, measure: str, amount: float = 1, **labels: str) -> None:
        self.counts[(measure, *labels.values())] += int(amount)

    def set(self, measure: str, value: float, **labels: str) -> None:
        self.gauges[measure] = value

    def time(self, measure: str, seconds: float, **labels: str) -> None:
        self.counts[(measure, *labels.values())] += 1


class MemoryBus:
    """A log in memory with one partition a topic; `error` makes every publish fail, `gate` makes it wait."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Outgoing]] = {}
        self.batches: list[int] = []
        self.error: RouterError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def producer(self, name: str) -> MemoryBus:
        return self

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.batches.append(len(records))
        origins = []
        for record in records:
            topic = self.topics.setdefault(record.topic, [])
            topic.append(record)
            origins.append(Origin(record.topic, 0, len(topic) - 1))
        if settle is not None:
            settle.consumer.commit(settle.offsets)
        return origins

    def of(self, topic: str) -> list[Outgoing]:
        return self.topics.get(topic, [])

    def close(self) -> None: ...


class MemoryLedger:
    """Stored ACKs by event id; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.away = False

    def acks(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        if self.away:
            raise Unavailable("LEDGER", "", "away")
        return {one: self.stored[one] for one in ids if one in self.stored}


def hl7(
    control: str = "1", *lines: str, kind: str = "ORU^R01^ORU_R01", charset: str = "UNICODE UTF-8", extra: str = ""
) -> bytes:
    """A small message of a relayed feed."""
    head = f"MSH|^~\\&|LAB|HOSP|PFI|DEST|20260101||{kind}|{control}|P|2.5|||||FRA|{charset}{extra}"
    return "".join(f"{line}\r" for line in (head, "PID|||42^^^CHU&1.2.3&ISO^PI||DUPONT^ANNE", *lines)).encode()


def relay(check: Checker | None = None, name: str = "sil") -> Feed:
    return Feed(name=name, check=check or RelayCheck(PSEUDONYMS), kind="relay")


def make_intake(bus: Any, ledger: Any = None, observer: Any = None, budget: int = 64 << 20) -> Intake:
    return Intake(
        bus=bus,
        ledger=ledger or cast(Any, MemoryLedger()),  # the intake asks a ledger for ACKs only
        clock=SystemClock(),
        pseudonyms=PSEUDONYMS,
        observer=observer or Counted(),
        budget=budget,
    )


@asynccontextmanager
async def listening(intake: Intake, feed: Feed | None = None, **settings: Any) -> AsyncIterator[MllpListener]:
    """A started listener on a free port, with its ticking, closed at the end."""
    intake.start()
    listener = MllpListener(MllpConfig(port=0, **settings), feed or relay(), intake)
    await listener.start()

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.05)
            intake.budget.tick()
            await listener.tick()

    ticking = asyncio.create_task(tick())
    try:
        yield listener
    finally:
        ticking.cancel()
        await listener.close(2)
        await intake.close(2)


class Client:
    """A sender: writes bytes, reads the answers one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = Decoder(1 << 20)
        self._ready: list[bytes] = []

    @classmethod
    async def connect(cls, port: int, **options: Any) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    async def send(self, *messages: bytes) -> None:
        self.writer.write(b"".join(map(frame, messages)))
        await self.writer.drain()

    async def answer(self, timeout: float = 10) -> list[str]:
        """The next ACK, as its lines; raises `ConnectionError` when the connection ends first."""
        while not self._ready:
            data = await asyncio.wait_for(self.reader.read(65536), timeout)
            if not data:
                raise ConnectionError("closed")
            self._ready += [event.data for event in self._decoder.feed(data) if isinstance(event, Frame)]
        return self._ready.pop(0).decode("iso8859-15").split("\r")[:-1]

    async def ask(self, message: bytes) -> list[str]:
        await self.send(message)
        return await self.answer()

    def close(self) -> None:
        self.writer.close()


async def eventually(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    """Wait until something is so."""
    for _ in range(int(timeout / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never became so")


def records(bus: MemoryBus, topic: str) -> Iterable[Record]:
    """A topic's records as a consumer would see them."""
    for offset, one in zip(count(), bus.of(topic), strict=False):
        yield Record(one.topic, 0, offset, one.key, one.value, one.headers)
