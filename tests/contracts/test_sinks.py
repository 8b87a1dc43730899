"""The contract of sinks, kept by each type that comes with the router and by the sample of CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from router.contracts import Sink
from router.exchange import Delivery, Origin, delivery_id
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpConfig as SimulatedDmp
from router.simulators.dmp import DmpSimulator
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.mssante import MssanteConfig as SimulatedOperator
from router.simulators.mssante import MssanteSimulator
from router.simulators.sender import HOPITAL_A, Maker
from router.sinks.dmp.sink_type import DMP
from router.sinks.hl7.settings import Hl7Config
from router.sinks.hl7.sink_type import HL7
from router.sinks.mssante.sink_type import MSSANTE
from tests.contracts import sink_contract
from tests.contracts.recipes import archive_sink
from tests.contracts.sink_contract import Outside, SinkContract, play_in
from tests.sinks import dmp_world, mssante_samples
from tests.typed import present

STALLED = 60.0


@dataclass
class Dmp(Outside):
    """The simulated DMP, over TLS; what it knows a deposit by is the id of its submission set."""

    dmp: DmpSimulator
    certificates: Certificates
    kind = DMP
    maker: Maker = field(default_factory=lambda: Maker(11))
    made: dict[int, Delivery] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.patient = self.maker.patient(age=50)
        self.secrets = (self.patient.birth_family, present(self.patient.ins))

    def open(self) -> Sink:
        config = dmp_world.config(self.certificates, HOPITAL_A.finess, self.dmp.url)
        return self.kind.open(dmp_world.SINK, config, dmp_world.tools())

    def delivery(self, number: int = 1) -> Delivery:
        if number not in self.made:
            self.made[number] = dmp_world.made(self.maker.document("biology", self.patient))
        return self.made[number]

    def seen(self) -> list[str]:
        return [one.set_id for one in self.dmp.received if one.transaction == "TD2.1"]

    async def down(self) -> None:
        await self.dmp.outage()

    async def up(self) -> None:
        await self.dmp.restore()

    def refuse(self) -> None:
        quoted = f"patient {self.patient.birth_family} {self.patient.ins} inconnu"
        self.dmp.refuse("XDSUnknownPatientId", transaction="TD2.1", context=quoted)

    def stall(self) -> None:
        self.dmp.delay(STALLED)


@dataclass
class Operator(Outside):
    """The simulated MSSanté operator; what it knows a mail by is its Message-ID."""

    operator: MssanteSimulator
    folder: Path
    kind = MSSANTE
    doctor: str = "adam.hoda@hopital-a.test.mssante.fr"
    secrets: tuple[str, ...] = ("PAT-TROIS", mssante_samples.INS.value)

    def open(self) -> Sink:
        tools = mssante_samples.tools(self.folder, domains=("hopital-a.test.mssante.fr",))
        return self.kind.open("mssante.chu", mssante_samples.config(self.operator.smtp_port), tools)

    def delivery(self, number: int = 1) -> Delivery:
        order = mssante_samples.order(recipient=mssante_samples.doctor(self.doctor))
        return mssante_samples.delivery(order, event_id=f"{number:064x}")

    def seen(self) -> list[str]:
        return [mail.message_id for mail in self.operator.mails]

    async def down(self) -> None:
        await self.operator.outage()

    async def up(self) -> None:
        await self.operator.restore()

    def refuse(self) -> None:
        self.operator.refuse(self.doctor, 550, "5.1.1", f"<PAT-TROIS {self.secrets[1]}> unknown", count=1)

    def stall(self) -> None:
        self.operator.delay(STALLED)


@dataclass
class Partner(Outside):
    """A simulated system that takes HL7; it knows a message by MSH-10."""

    peer: Hl7Peer
    kind = HL7
    secrets: tuple[str, ...] = ("PAT-TROIS",)

    def open(self) -> Sink:
        return self.kind.open("hl7.sil", Hl7Config(host="127.0.0.1", port=self.peer.port), mssante_tools())

    def delivery(self, number: int = 1) -> Delivery:
        head = f"MSH|^~\\&|PFI|H|LAB|H|20260101||ORU^R01^ORU_R01|M{number}|P|2.5|||||FRA|UNICODE UTF-8\r"
        message = f"{head}PID|1||123||PAT-TROIS^DOMINIQUE\r".encode()
        return Delivery(
            id=delivery_id(f"{number:064x}", "hl7.sil|hl7.sil"),
            event_id=f"{number:064x}",
            sink="hl7.sil",
            destination="hl7.sil",
            key="k",
            lane="k:hl7.sil",
            payload=message,
            origin=Origin("in.sil", 0, number),
        )

    def seen(self) -> list[str]:
        return [one.control_id for one in self.peer.received]

    async def down(self) -> None:
        await self.peer.outage()

    async def up(self) -> None:
        await self.peer.restore()

    def refuse(self) -> None:
        self.peer.answer("AE")

    def stall(self) -> None:
        self.peer.delay(STALLED)


@dataclass
class Folder(Outside):
    """The sample's folder: what it knows a document by is the name of its file."""

    folder: Path
    module: ModuleType = field(default_factory=archive_sink)
    secrets: tuple[str, ...] = ("PAT-TROIS", mssante_samples.INS.value)

    def __post_init__(self) -> None:
        self.kind = self.module.ARCHIVE
        self.kept = self.folder / "kept"
        self.kept.mkdir()

    def open(self) -> Sink:
        config = self.kind.settings.model_validate({"folder": self.kept})
        return self.kind.open("archive.chu", config, mssante_tools())

    def delivery(self, number: int = 1) -> Delivery:
        return mssante_samples.delivery(event_id=f"{number:064x}", sink="archive.chu", destination="archive")

    def seen(self) -> list[str]:
        return [file.name for file in self.kept.glob("*")] if self.kept.is_dir() else []

    async def down(self) -> None:
        self.kept.rename(self.folder / "away")

    async def up(self) -> None:
        (self.folder / "away").rename(self.kept)

    def refuse(self) -> None:
        self.kept.rmdir()

    def stall(self) -> None:
        pass  # a folder answers at once


def mssante_tools() -> object:
    return dmp_world.tools()


class TestDmp(SinkContract):
    @pytest.fixture(autouse=True)
    def _certificates(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.certificates = dmp_world.hospitals(tmp_path_factory)

    @asynccontextmanager
    async def outside(self, folder: Path) -> AsyncIterator[Outside]:
        async with DmpSimulator(SimulatedDmp(certificates=self.certificates)) as dmp:
            yield Dmp(dmp, self.certificates)


class TestMssante(SinkContract):
    @asynccontextmanager
    async def outside(self, folder: Path) -> AsyncIterator[Outside]:
        async with MssanteSimulator(SimulatedOperator(accounts={mssante_samples.MAILBOX: "x"})) as operator:
            yield Operator(operator, folder)


class TestHl7(SinkContract):
    @asynccontextmanager
    async def outside(self, folder: Path) -> AsyncIterator[Outside]:
        async with Hl7Peer() as peer:
            yield Partner(peer)


class TestSample(SinkContract):
    @asynccontextmanager
    async def outside(self, folder: Path) -> AsyncIterator[Outside]:
        yield Folder(folder)


WRITE = "            await asyncio.to_thread(file.write_bytes, document)\n"
LOOK = "attempt.recheck()\n"
THERE = "if not self._folder.is_dir():"
FILE = 'f"{delivery.id}.xml"'
CLOSE = "async def close(self):\n        "

#: (what stands in the sample, what stands there instead, the promise that is broken)
BROKEN = [
    (LOOK, "pass\n", "test_nothing_leaves_once_the_last_look_says_no"),
    (
        f"        {LOOK}        try:\n{WRITE}",
        f"        try:\n{WRITE}            {LOOK}",
        "test_the_last_look_comes_before_the_effect",
    ),
    (FILE, 'f"{id(delivery)}-{attempt.number}.xml"', "test_what_the_system_knows"),
    (FILE, '"the.xml"', "test_another_delivery_is_another_thing"),
    ("await self.probe()", "self._folder.mkdir(exist_ok=True)", "test_an_outage_kills_no_delivery"),
    (THERE, "if False:", "test_an_outage_kills_no_delivery"),
    (THERE, '(self._folder / "probe").touch()\n        if False:', "test_a_probe_has_no_effect"),
    ('"the folder is not there"', '"PAT-TROIS has no folder"', "test_a_refusal_quotes_nothing"),
    ("unpack_documents(delivery.payload)", "[delivery.payload[:4].decode().encode()]", "test_no_foreign_exception"),
    ("return None", 'return Outcome("KEPT")', "test_verifying_says_whether_it_happened"),
    ("return {}", 'return {"patient": "PAT-TROIS"}', "test_the_context_needs_no_system"),
    ("return {}", 'return {"leg": "dmp"}', "test_the_context_needs_no_system"),
    ('evidence={"archive_file": file.name}', "evidence={}", "test_a_delivery_reaches_the_system_once"),
    (f"{CLOSE}pass", f"{CLOSE}await asyncio.sleep(60)", "test_a_delivery_can"),
]


@pytest.mark.parametrize(("old", "new", "promise"), BROKEN, ids=range(len(BROKEN)))
def test_the_suite_catches_a_sink_that_breaks_a_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, promise: str
) -> None:
    """Each promise fails for the sample with that promise taken out of it."""
    monkeypatch.setattr(sink_contract, "CLOSING", 0.5)

    class Suite(SinkContract):
        @asynccontextmanager
        async def outside(self, folder: Path) -> AsyncIterator[Outside]:
            yield Folder(folder, archive_sink(old, new))

    (name,) = (one for one in dir(SinkContract) if one.startswith(promise))
    payloads = {"payload": b"\xff" * 64} if promise == "test_no_foreign_exception" else {}
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        getattr(Suite(), name)(lambda story: play_in(Suite().outside(tmp_path), story), **payloads)
    assert not isinstance(caught.value, (NameError, AttributeError, SyntaxError, TypeError)), "the sample is broken"
