"""What every sink promises (`router.contracts.Sink`), as a suite that runs against each type.

A test module gives a class that inherits `SinkContract` and makes the sink's outside system (`Outside`).
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Attempt, Outcome, Sink
from router.contracts.sink_type import SinkType
from router.errors import MessageFault, OutcomeUnknown, Overtaken, RouterError
from router.exchange import Delivery

CLOSING = 5.0
"""Seconds in which a sink must close."""
MOMENT = 1_795_000_000.0
FIRST = Attempt(1, MOMENT)
AGAIN = Attempt(2, MOMENT, unknown=True)
GARBAGE = (b"", b"\x00", b"\x00\x00\x00\x04{}}}", b"\x00\x00\x00\x02{}", b"\xff" * 64, b"MSH", b"MSH|^~\\&|\x00\xff")


class Outside(ABC):
    """The outside system of one sink: real bytes over a real connection, which the test can trouble."""

    kind: SinkType
    secrets: Sequence[str]
    """Identities that the deliveries hold, and that the system quotes when it refuses."""

    @abstractmethod
    def open(self) -> Sink:
        """A sink of this system; each call is a process that was started again."""

    @abstractmethod
    def delivery(self, number: int = 1) -> Delivery:
        """The same number is the same delivery, another number another document."""

    @abstractmethod
    def seen(self) -> list[str]:
        """The identifier of each thing that reached the system, in order of arrival, repeats included."""

    @abstractmethod
    async def down(self) -> None:
        """It can't be reached, and connections that were open are cut."""

    @abstractmethod
    async def up(self) -> None:
        """It is as it was."""

    @abstractmethod
    def refuse(self) -> None:
        """It refuses the next delivery; where its protocol can, with a sentence that quotes a secret."""

    @abstractmethod
    def stall(self) -> None:
        """From now on it takes longer than a test to answer."""


Story = Callable[[Outside, Sink], Awaitable[None]]


class SinkContract(ABC):
    """Each test is one promise."""

    @abstractmethod
    def outside(self, folder: Path) -> AbstractAsyncContextManager[Outside]:
        """The system, ready. `folder`: an empty one."""

    @pytest.fixture
    def play(self, tmp_path: Path) -> Callable[[Story], None]:
        """Runs a story with the system and one sink, which is closed at its end."""

        return lambda story: play_in(self.outside(tmp_path), story)

    def test_a_delivery_reaches_the_system_once_and_says_how_it_is_known_there(self, play: Any) -> None:
        """The outcome carries texts only, and the identifiers that the type declares for the search."""

        async def story(outside: Outside, sink: Sink) -> None:
            outcome = await sink.deliver(outside.delivery(), FIRST)
            assert len(outside.seen()) == 1
            assert_texts(outcome)
            declared = outside.kind.identifiers
            assert any(outcome.evidence.get(name) for name in declared) or not declared
            assert any(name in outcome.evidence for name in outside.kind.evidence) or not outside.kind.evidence

        play(story)

    def test_what_the_system_knows_derives_from_the_delivery_alone(self, play: Any) -> None:
        """A process that was started again, with an outcome that is unknown, shows the same identifiers."""

        async def story(outside: Outside, sink: Sink) -> None:
            one = outside.delivery()
            first = await sink.deliver(one, FIRST)
            other = outside.open()
            try:
                second = await other.deliver(one, AGAIN)
            finally:
                await other.close()
            assert len(set(outside.seen())) == 1
            for name in outside.kind.identifiers:
                if name != "queue_id":  # the outside system's own, of each time
                    assert first.evidence.get(name) == second.evidence.get(name)

        play(story)

    def test_another_delivery_is_another_thing(self, play: Any) -> None:
        """Two deliveries are never taken for one."""

        async def story(outside: Outside, sink: Sink) -> None:
            await asyncio.gather(sink.deliver(outside.delivery(1), FIRST), sink.deliver(outside.delivery(2), FIRST))
            assert len(set(outside.seen())) == 2

        play(story)

    def test_nothing_leaves_once_the_last_look_says_no(self, play: Any) -> None:
        """`Overtaken` from `recheck` goes through, nothing has reached the system, and the sink still works."""

        def overtaken() -> None:
            raise Overtaken("OVERTAKEN")

        async def story(outside: Outside, sink: Sink) -> None:
            with pytest.raises(Overtaken):
                await sink.deliver(outside.delivery(1), Attempt(1, MOMENT, recheck=overtaken))
            assert outside.seen() == []
            await sink.deliver(outside.delivery(2), FIRST)
            assert len(outside.seen()) == 1

        play(story)

    def test_the_last_look_comes_before_the_effect(self, play: Any) -> None:
        """Each delivery asks, on a new connection or a kept one, and finds nothing of itself outside yet."""

        async def story(outside: Outside, sink: Sink) -> None:
            looks: list[int] = []
            for number in (1, 2, 3):
                look = Attempt(1, MOMENT, recheck=lambda: looks.append(len(outside.seen())))
                await sink.deliver(outside.delivery(number), look)
                assert looks
                assert looks[-1] == number - 1, "the last look came after the effect"
                looks.clear()

        play(story)

    def test_an_outage_kills_no_delivery_and_the_probe_sees_it(self, play: Any) -> None:
        """While the system is down probe and delivery fail, never as the message's fault; then both work again."""

        async def story(outside: Outside, sink: Sink) -> None:
            await sink.deliver(outside.delivery(1), FIRST)
            await sink.probe()
            await outside.down()
            for ask in (sink.probe, lambda: sink.deliver(outside.delivery(2), FIRST), sink.probe):
                fault = await fault_of(ask())
                assert not isinstance(fault, MessageFault), fault
            await outside.up()
            await sink.probe()
            await sink.deliver(outside.delivery(2), FIRST)
            assert len(set(outside.seen())) == 2

        play(story)

    def test_a_probe_has_no_effect(self, play: Any) -> None:
        """However often the circuit asks, nothing is delivered."""

        async def story(outside: Outside, sink: Sink) -> None:
            for _ in range(3):
                await sink.probe()
            assert outside.seen() == []

        play(story)

    def test_a_refusal_quotes_nothing(self, play: Any) -> None:
        """No text of the fault holds an identity, and its code begins with the type's own."""

        async def story(outside: Outside, sink: Sink) -> None:
            outside.refuse()
            fault = await fault_of(sink.deliver(outside.delivery(), FIRST))
            assert_silent(fault, outside.secrets)
            assert fault.code.startswith(f"{outside.kind.code}-" if outside.kind.code else ""), fault.code

        play(story)

    @pytest.mark.parametrize("payload", GARBAGE, ids=range(len(GARBAGE)))
    def test_no_foreign_exception_leaves_whatever_the_payload(self, play: Any, payload: bytes) -> None:
        """Bytes that are no delivery are a fault of ours by name, from every call that reads them."""

        async def story(outside: Outside, sink: Sink) -> None:
            broken = replace(outside.delivery(), payload=payload)
            for call in (sink.deliver, sink.verify):
                try:
                    await call(broken, AGAIN)
                except RouterError as fault:
                    assert_silent(fault, outside.secrets)
            try:
                sink.context(broken)
            except RouterError as fault:
                assert_silent(fault, outside.secrets)

        play(story)

    def test_verifying_says_whether_it_happened(self, play: Any) -> None:
        """A type that verifies finds what was delivered and misses what was not; the others know nothing."""

        async def story(outside: Outside, sink: Sink) -> None:
            await sink.deliver(outside.delivery(1), FIRST)
            found = await sink.verify(outside.delivery(1), AGAIN)
            missing = await sink.verify(outside.delivery(2), AGAIN)
            assert missing is None
            assert (found is not None) is (sink.on_unknown == "verify")

        play(story)

    def test_the_context_needs_no_system(self, play: Any) -> None:
        """It is cheap, the same before and after the delivery, and names no patient."""

        async def story(outside: Outside, sink: Sink) -> None:
            one = outside.delivery()
            await outside.down()
            begun = time.perf_counter()
            before = dict(sink.context(one))
            assert time.perf_counter() - begun < 0.5
            await outside.up()
            await sink.deliver(one, FIRST)
            assert dict(sink.context(one)) == before
            assert all(isinstance(text, str) for text in (*before, *before.values()))
            assert not [secret for secret in outside.secrets if secret in " ".join(before.values())]
            leg = outside.kind.answer.leg if outside.kind.answer else ""
            assert before.get("leg", "") == leg

        play(story)

    def test_a_delivery_can_be_given_up_and_the_sink_closed(self, play: Any) -> None:
        """Cancelled in the middle it ends at once; closing ends too, twice, and nothing hangs."""

        async def story(outside: Outside, sink: Sink) -> None:
            outside.stall()
            sending = asyncio.create_task(sink.deliver(outside.delivery(), FIRST))
            await asyncio.sleep(0.3)
            sending.cancel()
            done, _ = await asyncio.wait([sending], timeout=5)
            assert done, "it does not end"
            if not sending.cancelled():
                assert sending.exception() is None or isinstance(sending.exception(), RouterError)
            await asyncio.wait_for(sink.close(), CLOSING)
            await asyncio.wait_for(sink.close(), CLOSING)

        play(story)

    def test_closing_beside_a_delivery_loses_no_word_of_it(self, play: Any) -> None:
        """What is under way ends with an outcome or with a fault that says the outcome is unknown or later."""

        async def story(outside: Outside, sink: Sink) -> None:
            sending = asyncio.create_task(sink.deliver(outside.delivery(), FIRST))
            await asyncio.sleep(0)
            await asyncio.wait_for(sink.close(), CLOSING)
            done, _ = await asyncio.wait([sending], timeout=10)
            assert done, "it does not end"
            error = sending.exception()
            assert error is None or (isinstance(error, RouterError) and not isinstance(error, MessageFault)), error
            if error is None:
                assert len(outside.seen()) == 1
            elif not isinstance(error, OutcomeUnknown):
                assert outside.seen() == []

        play(story)

    def test_the_declaration_is_whole(self, tmp_path: Path) -> None:
        """The type can be used, and its settings describe every field."""

        async def look() -> SinkType:
            async with self.outside(tmp_path) as outside:
                return outside.kind

        kind = asyncio.run(look())
        assert kind.check() == []
        fields = kind.settings.model_fields.items()
        assert not [name for name, field in fields if not field.description and name != "type"]


def play_in(ready: AbstractAsyncContextManager[Outside], story: Story) -> None:
    """Run a story with a system and one sink, which is closed at its end."""

    async def run() -> None:
        async with ready as outside:
            sink = outside.open()
            try:
                await story(outside, sink)
            finally:
                await asyncio.wait_for(sink.close(), 2 * CLOSING)

    asyncio.run(asyncio.wait_for(run(), 60))


async def fault_of(call: Awaitable[Any]) -> RouterError:
    """What is raised, which must be ours."""
    with pytest.raises(RouterError) as caught:
        await call
    return caught.value


def assert_texts(outcome: Outcome) -> None:
    for given in (outcome.evidence, outcome.context):
        assert all(isinstance(text, str) for text in (*given, *given.values()))


def assert_silent(fault: RouterError, secrets: Sequence[str]) -> None:
    """Code, place and text, and everything that a log would write of them, hold no identity."""
    told = f"{fault!r} {fault} {fault.args}"
    assert not [secret for secret in secrets if secret.lower() in told.lower()]
