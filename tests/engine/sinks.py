"""Sinks for the engine's tests: they record what they did and fail as they are told. And a checker of their logs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from router.contracts import Attempt, Outcome
from router.exchange import Delivery, Origin, delivery_id

Behaviour = Callable[[Delivery, Attempt], Exception | float | None]
"""What an attempt does: raise, take so many seconds, or succeed at once."""


@dataclass
class Call:
    """One attempt that a sink saw."""

    delivery: Delivery
    attempt: Attempt
    start: float
    end: float = 0.0
    ok: bool = False


@dataclass
class ScriptedSink:
    """Does what its behaviour says. `truth`: ids whose effect really happened, for `verify`."""

    name: str = "s"
    on_unknown: Literal["verify", "repeat", "hold"] = "repeat"
    behaviour: Behaviour = lambda _d, _a: None
    effect: Callable[[Delivery, Attempt], Awaitable[None]] | None = None
    """Instead of `behaviour`, where an attempt waits for something."""
    calls: list[Call] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=dict)
    verified: list[str] = field(default_factory=list)
    down: bool = False
    probes: int = 0

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        call = Call(delivery, attempt, time.monotonic())
        self.calls.append(call)
        try:
            await self._behave(delivery, attempt)
        finally:
            call.end = time.monotonic()
        call.ok = True
        self.truth[delivery.id] = self.truth.get(delivery.id, 0) + 1
        return Outcome(code="OK", evidence={"message_id": delivery.id})

    async def _behave(self, delivery: Delivery, attempt: Attempt) -> None:
        if self.effect is not None:
            await self.effect(delivery, attempt)
            return
        match self.behaviour(delivery, attempt):
            case float() | int() as seconds:
                await asyncio.sleep(seconds)
            case Exception() as error:
                raise error

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        self.verified.append(delivery.id)
        return Outcome(code="FOUND") if delivery.id in self.truth else None

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        return {"size": str(len(delivery.payload))}

    async def probe(self) -> None:
        from router.errors import Unavailable

        self.probes += 1
        if self.down:
            raise Unavailable("DOWN")

    async def close(self) -> None:
        return

    @property
    def delivered(self) -> list[str]:
        return [call.delivery.id for call in self.calls if call.ok]


def delivery(
    number: int, lane: str = "lane", *, sink: str = "s", payload: bytes = b"payload", **fields: Any
) -> Delivery:
    """A delivery of event `number`; its key is its lane unless told otherwise."""
    destination = str(fields.pop("destination", "d"))
    event = str(fields.pop("event_id", f"event-{number}"))
    values: dict[str, Any] = {
        "id": delivery_id(event, f"{destination}|{lane}"),
        "event_id": event,
        "sink": sink,
        "destination": destination,
        "key": str(fields.pop("key", lane)),
        "lane": lane,
        "payload": payload,
        "origin": Origin("in.f", 0, number),
        "digest": "0" * 12,
        "feed": "f",
        "pipeline": "p",
        "created": 1000.0 + number,
        **fields,
    }
    return Delivery(**values)


def check(calls: Iterable[Call], published: Iterable[Delivery]) -> None:
    """The independent checker: one at a time and in order per lane, nobody delivered twice.

    It looks only at what the sink saw and at what was put on the topic, in that order.
    """
    order = {d.id: n for n, d in enumerate(published)}
    lanes: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        lanes[call.delivery.lane].append(call)
    for lane, seen in lanes.items():
        for before, after in pairwise(seen):
            assert before.end <= after.start, f"two at once in {lane}"
            assert order[before.delivery.id] <= order[after.delivery.id], f"inversion in {lane}"
    twice = [id_ for id_, n in Counter(c.delivery.id for seen in lanes.values() for c in seen if c.ok).items() if n > 1]
    assert not twice, f"{len(twice)} delivered twice"
