"""The register is asked again at the moment of sending (D2, D8), however long a delivery waited for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from router.contracts import Attempt
from router.errors import Overtaken, Refused
from router.exchange import Delivery
from router.payload import unpack_order
from router.register import Register
from router.runtime.register_checked_sink import RegisterCheckedSink
from router.simulators.sender import Maker
from router.sinks.dmp.sink_type import DMP
from router.sinks.mssante.sink_type import MSSANTE
from tests.engine.sinks import ScriptedSink
from tests.register.register_samples import PSEUDONYMS, StillClock, change, ins, zfa
from tests.sinks import mssante_samples
from tests.sinks.dmp_world import FIRST, made
from tests.sinks.mssante_samples import DOCTOR
from tests.sinks.rechecks import Looks
from tests.typed import present


class Slow(ScriptedSink):
    """A sink that holds each delivery until the test lets it go."""

    def __init__(self) -> None:
        super().__init__(name="dmp.chu", on_unknown="verify")
        self.begun, self.gate = asyncio.Event(), asyncio.Event()

    async def _behave(self, _d: Delivery, _a: Attempt) -> None:
        self.begun.set()
        await self.gate.wait()

    @property
    def got(self) -> list[str]:
        return [call.delivery.id for call in self.calls]


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    opened = Register(f"sqlite:///{tmp_path / 'register.db'}", PSEUDONYMS, StillClock())
    yield opened
    opened.close()


def report(maker: Maker) -> tuple[Delivery, str]:
    """A delivery to the DMP, and the INS of its patient."""
    sample = maker.document("biology", maker.patient())
    assert sample.patient is not None
    return made(sample), present(sample.patient.ins)


def play(register: Register, story: Callable[[Slow, RegisterCheckedSink], Awaitable[None]]) -> None:
    async def run() -> None:
        sink = Slow()
        guarded = RegisterCheckedSink(sink, DMP, register, StillClock(), at_once=1)
        try:
            await story(sink, guarded)
        finally:
            await guarded.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def opposed(register: Register, number: str) -> None:
    register.apply(f"event {number}", change("A31", ins(number), zfa=zfa("IO")))


def test_what_the_register_forbids_is_refused(register: Register) -> None:
    """An opposition that came after the decision: the document stays here, and the sender is told why."""
    one, number = report(Maker(3))
    opposed(register, number)

    async def story(sink: Slow, guarded: RegisterCheckedSink) -> None:
        with pytest.raises(Refused) as refused:
            await guarded.deliver(one, FIRST)
        assert (refused.value.code, sink.got) == ("OPPOSITION", [])

    play(register, story)


def test_the_register_is_asked_when_the_turn_comes(register: Register) -> None:
    """The sink is busy with one document; the opposition of the next one's patient arrives: it never leaves."""
    maker = Maker(4)
    (first, _), (second, number) = report(maker), report(maker)

    async def story(sink: Slow, guarded: RegisterCheckedSink) -> None:
        running = asyncio.create_task(guarded.deliver(first, FIRST))
        waiting = asyncio.create_task(guarded.deliver(second, FIRST))
        await sink.begun.wait()
        await asyncio.to_thread(opposed, register, number)
        sink.gate.set()
        assert (await running).code == "OK"
        with pytest.raises(Refused):
            await waiting
        assert sink.got == [first.id]

    play(register, story)


def test_what_was_overtaken_meanwhile_is_not_given_to_the_sink(register: Register) -> None:
    """A deletion passes what waits here."""
    one, _ = report(Maker(5))

    async def story(sink: Slow, guarded: RegisterCheckedSink) -> None:
        with pytest.raises(Overtaken):
            await guarded.deliver(one, Looks(fatal=1).attempt)
        assert sink.got == []

    play(register, story)


@pytest.mark.parametrize("address", [DOCTOR, "service@hopital-a.mssante.fr"])
def test_each_of_a_recipients_mailboxes_gets_its_own_mail(register: Register, address: str) -> None:
    """`look_up: {ambiguous: toutes}` gives two addresses to one PRT: what the register narrows goes to no other one."""
    mailboxes = tuple(mssante_samples.doctor(one) for one in (DOCTOR, "service@hopital-a.mssante.fr"))
    mail = mssante_samples.order(recipient=mssante_samples.doctor(address), recipients=mailboxes, dmp=True)
    one = mssante_samples.delivery(mail, destination=f"mss:{PSEUDONYMS.of('address', address)}")
    opposed(register, mssante_samples.INS.value)

    async def story() -> None:
        sink = ScriptedSink(name="mssante.chu")
        guarded = RegisterCheckedSink(sink, MSSANTE, register, StillClock(), at_once=1)
        await guarded.deliver(one, FIRST)
        await guarded.close()
        (call,) = sink.calls
        sent = unpack_order(call.delivery.payload)
        assert sent.request.dmp_inadmissible is not None, "the register has narrowed it"
        assert sent.recipient is not None
        assert sent.recipient.address == address

    asyncio.run(story())


def test_a_destination_that_is_asked_no_longer_is_refused(register: Register) -> None:
    """A narrowed request without this destination: nothing leaves."""
    mail = mssante_samples.order(recipients=(), dmp=True)
    opposed(register, mssante_samples.INS.value)

    async def story() -> None:
        sink = ScriptedSink(name="mssante.chu")
        guarded = RegisterCheckedSink(sink, MSSANTE, register, StillClock(), at_once=1)
        with pytest.raises(Refused):
            await guarded.deliver(mssante_samples.delivery(mail), FIRST)
        await guarded.close()
        assert sink.calls == []

    asyncio.run(story())
