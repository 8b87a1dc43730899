"""The one path of everything received: check, write, and only then answer (promise 1).

Two halves, so that a connection may have several messages in work and still be answered in order:
`validate` (CPU; in another thread when it is long), then `store`, whose future holds the answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from router.contracts import Alert, Bus, Clock, Ledger, Observer, no_alert
from router.errors import MessageFault, RouterError
from router.exchange import Pseudonyms
from router.gateway import identity
from router.gateway.budget import Budget
from router.gateway.complaints import Complaints
from router.gateway.received import Answer, Feed, Received, ValidatedMessage
from router.gateway.turns import Turns
from router.gateway.validation import MessageValidator
from router.gateway.writer import BatchWriter, GroupCommit, Item, KnownIds

RECENT: Final = 10_000
"""Messages whose answer is kept in memory; older ones are looked up in the ledger."""
_RECENT_BYTES: Final = 8 * 2**20
"""The most bytes of answers kept in memory: the senders choose a part of their length."""
_ENTRY: Final = 200
"""Bytes that one answer costs beside its own: its id, its place."""
_BIG: Final = 2**20
"""Bytes from which a record of a message is made only when it is written."""
_INLINE: Final = 16 * 1024
"""A light check of fewer bytes is done at once: to hand it to the other thread would cost more."""
_HEAVY_INLINE: Final = 2 * 1024
_NOTES: Final = 1000
"""When so many items wait to be written, a repeat is answered without its line in the journal."""


class Recent:
    """The last answers by event id, and the last refusals: a small memory before the ledger. Read by any thread."""

    def __init__(self, size: int = RECENT, limit: int = _RECENT_BYTES) -> None:
        self._size, self._limit = size, limit
        self._acks: OrderedDict[str, bytes] = OrderedDict()
        self.held = 0

    def get(self, event_id: str) -> bytes | None:
        return self._acks.get(event_id)

    def put(self, event_id: str, ack: bytes) -> None:
        old = self._acks.get(event_id)
        self.held += len(ack) + _ENTRY - (len(old) + _ENTRY if old is not None else 0)
        self._acks[event_id] = ack
        while len(self._acks) > self._size or self.held > self._limit:
            self.held -= len(self._acks.popitem(last=False)[1]) + _ENTRY


class Intake:
    """Shared by all listeners of one gateway; lives on its event loop. `name` is the producer's stable name."""

    def __init__(
        self,
        *,
        bus: Bus,
        ledger: Ledger,
        clock: Clock,
        pseudonyms: Pseudonyms,
        observer: Observer,
        name: str = "gateway-0",
        budget: int = 64 * 2**20,
        alert: Alert = no_alert,
    ) -> None:
        self.clock, self.observer, self.bus = clock, observer, bus
        self.budget = Budget(budget, observer)
        self.complaints = Complaints(alert, observer)
        self.known = KnownIds(ledger)
        self.name = name
        self._recent = Recent()
        self._refused = Recent()
        self._controls = Recent()
        self.validator = MessageValidator(clock, pseudonyms, self._recent.get, self._controls.get)
        self._work = ThreadPoolExecutor(1, thread_name_prefix="gateway-check")
        self._turns = Turns(self._work)
        self._commit = GroupCommit(BatchWriter(bus, self.known, name), self._written)
        self._unanswered: dict[str, asyncio.Future[Answer]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    def start(self) -> None:
        """Begin writing. Call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._commit.start()

    async def close(self, timeout: float = 10.0) -> None:
        """Answer what is in work, take nothing more."""
        self._closing = True
        await asyncio.get_running_loop().run_in_executor(None, self._commit.close, timeout)
        self._work.shutdown(wait=False, cancel_futures=True)

    @property
    def fatal(self) -> RouterError | None:
        """Why this gateway must stop: another took its name, or an operator must act."""
        return self._commit.fatal

    # ------------------------------------------------------------------------------------------- messages

    async def submit(self, feed: Feed, received: Received) -> Answer:
        """One message from bytes to answer. Never raises for what the message is."""
        return await self.store(await self.validate(feed, received))

    async def validate(self, feed: Feed, received: Received) -> ValidatedMessage:
        """Read and check; messages of some size in the other thread, so that small ones need not wait."""
        self.observer.count("messages_received_total", feed=feed.name, source=received.source)
        if len(received.data) <= (_HEAVY_INLINE if feed.heavy else _INLINE):
            return self.validator.validate(feed, received)
        return await self._turns.run((feed.name, received.peer), partial(self.validator.validate, feed, received))

    def store(self, validated: ValidatedMessage) -> asyncio.Future[Answer]:
        """Write it with the next batch. The future gives the answer once everything is durable."""
        loop = asyncio.get_running_loop()
        same = self._unanswered.get(validated.event_id)
        if same is not None:
            return self._after(same, validated)
        future: asyncio.Future[Answer] = loop.create_future()
        if validated.repeat:
            if self._commit.waiting < _NOTES:
                self._commit.put(Item("", [self.validator.note(validated)]))
            return self._tell(future, validated, Answer("AA", validated.ack, validated.event_id, repeat=True))
        if validated.code == "AE" and self._refused.get(validated.event_id) == _reason(validated):
            return self._tell(future, validated, Answer("AE", validated.ack, validated.event_id, repeat=True))
        if self._closing or self.fatal is not None:
            return self._tell(future, validated, Answer("AR", self.validator.outage(validated), validated.event_id))
        note, make = partial(self.validator.note, validated), partial(self.validator.records, validated)
        size = len(validated.received.data)
        if size >= _BIG:
            item = Item(validated.event_id, (), note, (validated, future), late=make, size=size)
        else:
            item = Item(validated.event_id, make(), note, (validated, future))
        self._unanswered[validated.event_id] = future
        self._commit.put(item)
        return future

    def answered(self, feed: str, answer: Answer, received: Received) -> None:
        """Count an answer; its time runs from the last byte received."""
        self.observer.count("acks_total", feed=feed, ack=answer.code)
        self.observer.time("intake_seconds", max(0.0, self.clock.now() - received.at), feed=feed)

    # --------------------------------------------------------------------------------------------- inside

    def _written(self, items: Sequence[Item]) -> None:
        """Called in the writing thread with a batch that had its turn."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, items)

    def _deliver(self, items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item.context, tuple):
                validated, future = item.context
                self._unanswered.pop(item.event_id, None)
                self._settle(validated, future, item)

    def _settle(self, validated: ValidatedMessage, future: asyncio.Future[Answer], item: Item) -> None:
        if item.known is not None:
            self._recent.put(validated.event_id, item.known)
            answer = Answer("AA", item.known, validated.event_id, repeat=True)
        elif isinstance(item.error, MessageFault) and validated.code == "AA":
            # The bus can't carry this one (too big for its topic): say so for good, and keep a trace.
            refused = self.validator.refuse(validated, item.error)
            self._commit.put(Item("", self.validator.records(refused)[1:]))
            answer = Answer("AE", refused.ack, validated.event_id)
        elif item.error is not None:
            answer = Answer("AR", self.validator.outage(validated), validated.event_id)
        elif validated.code == "AA":
            self._recent.put(validated.event_id, validated.ack)
            if validated.message is not None:
                name = identity.control_id(validated.feed, validated.message)
                self._controls.put(name, validated.event_id.encode())
            answer = Answer("AA", validated.ack, validated.event_id)
        else:
            self._refused.put(validated.event_id, _reason(validated))
            verdict = validated.verdict
            code = verdict.faults[0].rule
            self.observer.count("dead_letters_total", stage="intake", feed=validated.feed, sink="", code=code)
            if verdict.alert:
                self.complaints.refused(verdict.alert, validated.feed, validated.event_id, code)
            answer = Answer("AE", validated.ack, validated.event_id)
        self._tell(future, validated, answer)

    def _tell(
        self, future: asyncio.Future[Answer], validated: ValidatedMessage, answer: Answer
    ) -> asyncio.Future[Answer]:
        if answer.repeat:
            self.observer.count("duplicates_avoided_total", stage="intake")
        self.answered(validated.feed, answer, validated.received)
        if not future.done():
            future.set_result(answer)
        return future

    def _after(self, first: asyncio.Future[Answer], validated: ValidatedMessage) -> asyncio.Future[Answer]:
        """The same message twice at once: the second gets the first one's answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def told(done: asyncio.Future[Answer]) -> None:
            answer = done.result()
            self._tell(future, validated, Answer(answer.code, answer.ack, answer.event_id, repeat=answer.code != "AR"))

        first.add_done_callback(told)
        return future


def _reason(validated: ValidatedMessage) -> bytes:
    """Why it was refused: the same message refused for the same reasons needs no second dead letter."""
    return "|".join(f"{fault.rule}{fault.err.location}" for fault in validated.verdict.faults).encode()
