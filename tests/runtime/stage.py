"""A site whose processes are played one after the other, for tests of what is restored, lost or made anew."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import pybase64

from router.config.site import Site
from router.contracts import Claim, Header, Partition, in_topic
from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.exchange import Delivery, Event, Origin, State
from router.runtime.backup import doubt
from router.runtime.reconcile import reconcile
from router.runtime.site_services import SiteServices
from router.wire import delivery_record, event_record
from tests.engine.rig import FAST
from tests.engine.sinks import ScriptedSink, delivery

SINK = "hl7.reconciled"
SITE = f"""\
environment: qualification
data: var
admin: {{port: 0}}
limits: {{partitions: 2}}
feeds:
  gam: {{kind: adt, mllp: {{port: 0}}}}
sinks:
  {SINK}: {{type: hl7, host: 127.0.0.1, port: 1}}
"""

SHARED = SITE.replace("partitions: 2", "partitions: 8")
"""On the broker that all tests share, topics such as `receipts` have 8 partitions."""

ENDED = (State.DONE, State.DEAD, State.SUPERSEDED)


class Stage:
    """A site whose processes are played one after the other; `files` are copied and put back between them."""

    def __init__(self, folder: Path, site: str = SITE, sink: str = SINK) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "router.yaml").write_text(site)
        self.folder = folder
        self.sink = ScriptedSink(name=sink)
        self.alerts: list[tuple[str, dict[str, str]]] = []
        self.open()

    def open(self) -> None:
        self.services = SiteServices(Site(self.folder / "router.yaml"))
        self.ledger = self.services.ledger()
        self.bus = self.services.bus

    def close(self) -> None:
        self.services.close()

    def start(self, *, adopt: bool = True) -> None:
        """What every start does first."""
        reconcile(self.services, self.alert, self.ledger, adopt=adopt)

    def alert(self, what: str, facts: Mapping[str, str]) -> None:
        self.alerts.append((what, dict(facts)))

    def backup(self, name: str) -> None:
        self.close()
        shutil.copy(self.folder / "var" / name, self.folder / f"{name}.saved")
        self.open()

    def restore(self, name: str) -> None:
        self.close()
        shutil.copy(self.folder / f"{name}.saved", self.folder / "var" / name)
        self.open()

    def remove(self, name: str) -> None:
        self.close()
        (self.folder / "var" / name).unlink()
        self.open()

    def publish(self, *deliveries: Delivery) -> None:
        self.bus.producer("test").publish([delivery_record(one) for one in deliveries])

    def event(self, number: int, body: bytes = b"MSH|") -> Origin:
        """An event comes, and nobody has decided it yet."""
        (origin,) = self.bus.producer("gateway").publish([event_record(_event(number, body))])
        return origin

    def receive(self, number: int, body: bytes = b"MSH|") -> Event:
        """An event comes and the pipelines claim it."""
        event, origin = _event(number, body), self.event(number, body)
        claim = Claim(event.id, origin, b"ACK%d" % number, 1.0)
        place = Partition(origin.topic, origin.partition)
        consumer = self.bus.consumer("pipelines", [in_topic("gam")], member="m")
        consumer.poll(max_records=100, max_bytes=1 << 20, timeout=1)
        self.ledger.claim([claim], {place: origin.offset + 1})
        consumer.commit({place: origin.offset + 1})
        consumer.close()
        return event

    def deliver(self, *ended: Delivery, seconds: float = 10.0, by: tuple[State, ...] = ENDED) -> None:
        """Run the sink worker until these have ended, in one of these states."""

        async def story() -> None:
            worker = SinkWorker(
                self.sink,
                self.bus,
                self.services.ledger(),
                member="sinks-0",
                policy=FAST,
                limits=Limits(patience=1.0),
                doubtful=doubt.of_site(self.services.site.data),
            )
            task = asyncio.create_task(worker.run())
            async with asyncio.timeout(seconds):
                while not all(self.state(one) in by for one in ended):  # noqa: ASYNC110 - the truth is in a file
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.4)  # the group's offsets follow
            worker.stop()
            await task

        asyncio.run(story())

    def state(self, one: Delivery) -> State | None:
        row = self.ledger.get([one.id]).get(one.id)
        return None if row is None else row.state

    def some(self, first: int, last: int) -> list[Delivery]:
        """Deliveries of this stage's sink, of which no other stage has any."""
        name = self.sink.name
        return [delivery(n, f"{name}-{n}", sink=name) for n in range(first, last)]

    def told(self) -> list[str]:
        return [what for what, _ in self.alerts]

    def delivered(self) -> list[str]:
        return sorted(call.delivery.id for call in self.sink.calls if call.ok)


def _event(number: int, body: bytes) -> Event:
    headers = {Header.ACK_BYTES: pybase64.b64encode(b"ACK%d" % number).decode()}
    return Event(f"{number:032d}", "gam", "k", body, headers, Origin("x", 0, 0))


def some(first: int, last: int) -> list[Delivery]:
    return [delivery(n, f"lane-{n}", sink=SINK) for n in range(first, last)]
