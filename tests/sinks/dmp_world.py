"""A small world around the DMP sink: certificates, documents, deliveries, a past, and the simulated DMP."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.cda.document import read
from router.contracts import Attempt, Row, SystemClock, Unobserved
from router.exchange import Delivery, Origin, Pseudonyms, State, delivery_id
from router.payload import DocumentOrder, pack
from router.request import Action, Author, Device, Dialect, Masks, Professional, Structure, TransmissionRequest
from router.simulators.authority import Certificates, make_certificates
from router.simulators.dmp import DmpConfig as SimulatorConfig
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import HOPITAL_A, HOPITAL_B
from router.simulators.sender.options import CdaSample
from router.sinks.dmp.settings import DmpConfig
from router.sinks.dmp.sink import DmpSink
from router.sinks.tools import Tools
from router.structures import StructureConfig

SINK = "dmp.chu"
PSEUDONYMS = Pseudonyms(b"secret of the tests")
FIRST = Attempt(1, 0.0)
AFTER_UNKNOWN = Attempt(2, 0.0, unknown=True)


class PastDeliveries:
    """An archive (`contracts.Archive`) whose rows a test writes down."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        assert sink == SINK
        return [row for row in self.rows if row.delivery.lineage == lineage]

    def add(self, delivery: Delivery, state: State, **changes: Any) -> None:
        """What became of a delivery."""
        empty = dataclasses.replace(delivery, payload=b"")
        self.rows.append(
            Row(delivery=empty, partition=0, sequence=1, bytes_at=Origin("t", 0, 1), state=state, **changes)
        )


class Shifted(SystemClock):
    """The real clock, moved by `by` seconds."""

    by = 0.0

    def now(self) -> float:
        return super().now() + self.by


def tools(
    *, past: PastDeliveries | None = None, environment: Any = "qualification", clock: Any = None, observer: Any = None
) -> Tools:
    """What a sink is opened with; the DMP sink never asks the directory."""
    return Tools(
        clock=clock or SystemClock(),
        observer=observer or Unobserved(),
        archive=past or PastDeliveries(),
        environment=environment,
        pseudonyms=PSEUDONYMS,
        directory=None,  # type: ignore[arg-type]
    )


def config(certificates: Certificates, finess: str, url: str, **changes: Any) -> DmpConfig:
    """A sink's configuration with the throw-away certificates of one structure."""
    auth, auth_key = certificates.pair(f"{finess}-auth")
    sign, sign_key = certificates.pair(f"{finess}-sign")
    given: dict[str, Any] = {
        "url": url,
        "auth": {"certificate": auth, "key": auth_key},
        "sign": {"certificate": sign, "key": sign_key},
        "server_ca": certificates.ca,
        "lps": {"homologation": "TEST-0001"},
        "visibility_delay": 0,
        "max_per_second": 1000,
    }
    return DmpConfig.model_validate(given | changes)


def opened(certificates: Certificates, finess: str, url: str, *, given: Tools | None = None, **changes: Any) -> DmpSink:
    return DmpSink(SINK, config(certificates, finess, url, **changes), given or tools())


def request(
    samples: CdaSample | Sequence[CdaSample],
    action: Action = Action.INITIAL,
    *,
    masks: Masks | None = None,
    specialty: bool = True,
    device: bool = False,
    **changes: Any,
) -> TransmissionRequest:
    """What the profile makes of a message that carries these documents, sent by the samples' own author."""
    held = [samples] if isinstance(samples, CdaSample) else list(samples)
    headers = tuple(read(one.content).header for one in held)
    principal = next((one for one in headers if one.level == 3), headers[0])
    first = held[0]
    assert first.patient is not None
    assert first.author is not None
    structure = Structure(
        id=first.structure.id_nat, name=first.structure.name, kind="FINEG", finess=first.structure.finess
    )
    system = "1.2.250.1.213.1.1.4.5"
    person = Professional(
        id=first.author.id,
        family=first.author.family,
        given=first.author.given,
        specialty=(*first.author.specialty, system) if specialty else None,
    )
    sender = Author(
        person=None if device else person,
        device=Device(id=f"3{first.structure.finess}/SIL01", name="SIL", model="SIL 4") if device else None,
        structure=structure,
    )
    patient = headers[0].patient.model_copy(update={"status": ("VALI",)})
    given: dict[str, Any] = {
        "dialect": Dialect.V2_1,
        "action": action,
        "feed": "sil",
        "control_id": "MSG-1",
        "sending": ("SIL", "LABO"),
        "receiving": ("PFI", "CHU"),
        "patient": patient,
        "encounter_class": "I",
        "sender": sender,
        "dmp": True,
        "ack_reception": True,
        "masks": masks or Masks(),
        "documents": headers,
        "replaces": principal.replaces if action is Action.REPLACE else "",
    }
    return TransmissionRequest(**given | changes)


def delivery(
    asked: TransmissionRequest, samples: CdaSample | Sequence[CdaSample], *, event: str = "", **changes: Any
) -> Delivery:
    """The delivery that the route step would plan."""
    held = [samples] if isinstance(samples, CdaSample) else list(samples)
    main = asked.principal
    structure = StructureConfig(
        finess=held[0].structure.finess,
        name=held[0].structure.name,
        source_oid="1.2.250.1.213.1.4.99.7",
        ipp_oid=held[0].structure.ipp_oid,
        dmp=SINK,
    )
    order = DocumentOrder(request=asked, structure=structure)
    event = event or f"event-{asked.action}-{main.uid}"
    given: dict[str, Any] = {
        "id": delivery_id(event, f"{SINK}|dmp"),
        "event_id": event,
        "sink": SINK,
        "destination": "dmp",
        "key": "k",
        "lane": "k:1",
        "payload": pack(order, [one.content for one in held]),
        "origin": Origin("in.sil", 0, 1),
        "action": str(asked.action),
        "lineage": PSEUDONYMS.of("set", main.set_id),
        "document": PSEUDONYMS.of("document", main.id),
        "replaces": PSEUDONYMS.of("document", asked.replaces) if asked.replaces else "",
    }
    return Delivery(**given | changes)


def made(samples: CdaSample | Sequence[CdaSample], action: Action = Action.INITIAL, **changes: Any) -> Delivery:
    """Request and delivery in one."""
    return delivery(request(samples, action, **changes), samples)


def kept(folder: Path, one: Delivery, name: str) -> bytes:
    """What the sink kept of a transaction: `td2.1-request`…"""
    (found,) = folder.glob(f"{one.id}-{name}.*")
    return found.read_bytes()


def hospitals(factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of two hospitals, made once per test run: keys take time."""
    folder = factory.getbasetemp() / "dmp-certificates"
    if folder.exists():
        return Certificates(folder)
    return make_certificates(
        folder, {HOPITAL_A.finess: HOPITAL_A.name, HOPITAL_B.finess: HOPITAL_B.name}, variants=True
    )


def play(
    certificates: Certificates,
    story: Callable[[DmpSimulator, DmpSink], Awaitable[Any]],
    *,
    sim: dict[str, Any] | None = None,
    **changes: Any,
) -> Any:
    """Run a story with a simulated DMP and a sink that speaks to it."""

    async def run() -> Any:
        async with DmpSimulator(SimulatorConfig(certificates=certificates, **(sim or {}))) as dmp:
            sink = opened(certificates, HOPITAL_A.finess, dmp.url, **changes)
            try:
                return await story(dmp, sink)
            finally:
                await sink.close()

    return asyncio.run(run())


def names(dmp: DmpSimulator) -> list[str]:
    """The transactions received, in order."""
    return [one.transaction for one in dmp.received]
