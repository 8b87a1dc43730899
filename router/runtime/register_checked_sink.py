"""Around a document sink: the register is asked again at the moment of sending (decisions D2), and told what left (D8).

Minutes or days lie between a decision and a delivery that waited for a server: an INS withdrawn meanwhile, a merge or
an opposition must still count. Only sites with an ADT feed pay for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, TypeVar

import structlog

from router.cisis.lineage import patient_pseudonyms
from router.contracts import Attempt, Clock, Outcome, Sink
from router.contracts.sink_type import SinkType
from router.errors import Refused, RouterError
from router.exchange import Delivery
from router.payload import NOTICE, WITHDRAWN, DocumentOrder, pack, unpack, unpack_order
from router.register.store import Register
from router.request import TransmissionRequest
from router.steps.enrich import Enrich

T = TypeVar("T")
log = structlog.get_logger()


class RegisterCheckedSink:
    """`contracts.Sink` around another. Refuses what the register now forbids, with the code the sender is told."""

    def __init__(self, sink: Sink, kind: SinkType, register: Register, clock: Clock, *, at_once: int) -> None:
        """kind: of the sink

        at_once: deliveries given to the sink at a time; the others wait here, so that the answer is fresh
        """
        self._sink = sink
        self._kind = kind
        self._register = register
        self._enrich = Enrich(register)
        self._clock = clock
        self._turns = asyncio.Semaphore(at_once)
        self._pool = ThreadPoolExecutor(1, f"register-{sink.name}")
        self.name: str = sink.name
        self.on_unknown: Literal["verify", "repeat", "hold"] = sink.on_unknown

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        async with self._turns:
            attempt.recheck()
            return await self._deliver(delivery, attempt)

    async def _deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        order, documents = unpack(delivery.payload)
        if _unchecked(order):
            return await self._sink.deliver(delivery, attempt)
        request, _ = await self._run(self._enrich.narrowed, order.request)
        if request != order.request:
            order = self._narrowed(order, request, delivery.destination)
            delivery = replace(delivery, payload=pack(order, documents))
        outcome = await self._sink.deliver(delivery, attempt)
        await self._left(delivery, order)
        return outcome

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        outcome = await self._sink.verify(delivery, attempt)
        if outcome is not None:
            order = unpack_order(delivery.payload)
            if not _unchecked(order):
                await self._left(delivery, order)
        return outcome

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        return self._sink.context(delivery)

    async def probe(self) -> None:
        await self._sink.probe()

    async def close(self) -> None:
        await self._sink.close()
        self._pool.shutdown(wait=False)

    def _narrowed(self, order: DocumentOrder, request: TransmissionRequest, destination: str) -> DocumentOrder:
        """The order under the narrowed request. Raises `Refused` when nothing of it may leave any more."""
        legs = self._kind.legs(request, self._register.pseudonyms)
        leg = next((one for one in legs if one.destination == destination), None)
        if leg is None:
            raise Refused("REGISTER-LEG", "register", "cette destination n'est plus demandée")
        if leg.refusal is not None:
            code, text = leg.refusal
            raise Refused(code, "register", text)
        return order.model_copy(update={"request": request, "recipient": leg.recipient})

    async def _left(self, delivery: Delivery, order: DocumentOrder) -> None:
        """The effect is done: whatever the register says costs a line of the work-list, never the receipt.

        A fault that left here would send the document again, at every trial of the circuit.
        """
        request = order.request
        try:
            names = patient_pseudonyms(request, self._register.pseudonyms)
            document = request.principal.id if request.documents else ""
            alert = await self._run(
                lambda _: self._register.note_departure(names, delivery.id, document, self.name, self._clock.now()),
                request,
            )
        except Exception as error:
            code = error.code if isinstance(error, RouterError) else f"BUG-{type(error).__name__}"
            log.error("departure not noted", alert="departure", delivery=delivery.id, code=code)
            return
        if alert is not None:
            log.error("a document left under a changed identity", alert="impact", delivery=delivery.id)

    async def _run(self, work: Callable[[TransmissionRequest], T], request: TransmissionRequest) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, request)


def _unchecked(order: DocumentOrder) -> bool:
    """A withdrawal (decisions D1), or a notice without any document (D19): nothing of the patient leaves."""
    return bool(order.options.get(WITHDRAWN) or order.options.get(NOTICE))
