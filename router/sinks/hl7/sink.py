"""The `hl7` sink: MLLP client for relays and for ZAM, with persistent connections and one message in flight on each.

Sources: HL7 v2.5 §2.9.2 (original and enhanced acknowledgement), table 0008; hl7-input §4.2, §7.1.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import ssl
from collections.abc import Mapping
from typing import Final, Literal, Protocol, cast

from router.contracts import Attempt, Clock, Observer, Outcome
from router.contracts.keeping import Keeper, Kept, Kind
from router.errors import Malformed, OperatorFault, OutcomeUnknown, Refused, Unavailable
from router.exchange import Delivery
from router.hl7.ack import MESSAGE_CONDITIONS, Ack, parse_ack
from router.hl7.message import Message
from router.hl7.mllp import AFTER, BEFORE, Decoder, Event, Frame
from router.language import N_
from router.sinks.hl7.settings import Hl7Config
from router.sinks.hl7.tls import client_context

log = logging.getLogger(__name__)

MAX_ANSWER: Final = 2**20
_ZAM: Final = "ZAM"
_OUTSIDE: Final = 64 * 1024
"""Bytes kept of an answer without framing."""
UNFRAMED: Final = "without its MLLP frame"
_ODD_END: Final = "not ended by FS CR"
_LINGER: Final = 0.05
_PROBE_SECONDS: Final = 60
"""Of silence on a kept connection, after which the system asks whether the other end is still there."""

#: MSA-1 (table 0008) -> what it means for the delivery. C* are the enhanced mode's.
_MEANING: Final[dict[str, Literal["done", "refused", "later"]]] = {
    "AA": "done",
    "CA": "done",
    "AE": "refused",
    "CE": "refused",
    "AR": "later",
    "CR": "later",
}


class Watch(Protocol):
    """What this sink needs of the tools it is opened with."""

    @property
    def clock(self) -> Clock: ...

    @property
    def observer(self) -> Observer: ...

    @property
    def keeper(self) -> Keeper: ...


class Hl7Sink:
    """`contracts.Sink`. Belongs to one event loop."""

    def __init__(self, name: str, config: Hl7Config, tools: Watch) -> None:
        self.name = name
        self.on_unknown: Literal["verify", "repeat", "hold"] = config.on_unknown
        self._config, self._tools = config, tools
        self._slots = asyncio.Semaphore(config.connections)
        self._free: list[Link] = []
        self._closed = False
        self._warned = False

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        """Send the payload and judge the answer; see `contracts.Sink` for what is raised."""
        sent = Message.glimpse(delivery.payload)
        if sent is not None and sent.text("MSH-9.1") == _ZAM:
            kept = Kept(delivery_id=delivery.id, event_id=delivery.event_id, kind=Kind.ZAM, parts=(delivery.payload,))
            await self._tools.keeper.keep(kept)
        async with self._slots:  # the same bytes every time: MSH-10 is what a repeat is recognised by
            return await self._exchange(delivery.payload, sent.control_id if sent is not None else "", attempt)

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        """HL7 has no question for that: never asked, because `on_unknown` is repeat or hold."""
        del delivery, attempt
        return None

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """Nobody is told of these deliveries: the sender has its own acknowledgement."""
        del delivery
        return {}

    async def probe(self) -> None:
        """Open a connection, and keep it for the next delivery."""
        async with self._slots:
            self._keep(await self._connect())

    async def close(self) -> None:
        """Close the connections; those in use close after their answer. May be called twice."""
        self._closed = True
        for link in self._free:
            link.close()
        self._free.clear()

    # --------------------------------------------------------------------------------------------- inside

    async def _exchange(self, data: bytes, control_id: str, attempt: Attempt) -> Outcome:
        """Ask on one connection. It is kept only after an answer to this very question: another's may be one behind."""
        link = self._idle() or await self._connect()
        try:
            attempt.recheck()
            answer = await link.ask(data, self._config.timeout, control_id)
            self._warn(link.framing)
            outcome = self._judge(answer, control_id)
        except (Refused, Unavailable):
            self._keep(link)
            raise
        except BaseException:
            link.close()
            raise
        self._keep(link)
        return outcome

    def _warn(self, framing: str) -> None:
        """Say once what is wrong with the frames of this partner's answers."""
        if framing and not self._warned:
            self._warned = True
            text = f"the partner's acknowledgement is {framing}: taken, for it names our message"
            log.warning("acknowledgement badly framed", extra={"code": "HL7-FRAMING", "sink": self.name, "text": text})

    def _idle(self) -> Link | None:
        """A connection that is still open: one that died while idle costs no attempt."""
        while self._free:
            link = self._free.pop()
            if link.alive():
                return link
            link.close()
        return None

    def _keep(self, link: Link) -> None:
        if self._closed or link.framing == UNFRAMED or not link.alive():
            link.close()
        else:
            self._free.append(link)

    async def _connect(self) -> Link:
        config = self._config
        loop = asyncio.get_running_loop()
        context = client_context(config.tls) if config.tls else None
        name = (config.tls.server_name or config.host) if config.tls else None
        opening = loop.create_connection(Link, config.host, config.port, ssl=context, server_hostname=name)
        try:
            _, link = await asyncio.wait_for(opening, config.connect_timeout)
        except ssl.SSLCertVerificationError as error:
            raise OperatorFault("HL7-TLS", self.name, "the partner's certificate is not trusted") from error
        except (TimeoutError, OSError) as error:
            raise Unavailable("HL7-CONNECT", self.name, "the partner can't be reached", circuit=True) from error
        return link

    def _judge(self, answer: bytes, control_id: str) -> Outcome:
        try:
            ack = parse_ack(answer)
        except Malformed as error:
            raise OutcomeUnknown("HL7-ACK", "MSA", "the answer is no acknowledgement") from error
        meaning = _MEANING.get(ack.code)
        if meaning is None:
            raise OutcomeUnknown("HL7-ACK", "MSA^1^1", "the acknowledgement has an unknown code")
        if self._config.match_control_id and ack.control_id != control_id and (ack.control_id or meaning == "done"):
            raise OutcomeUnknown("HL7-ACK-ID", "MSA^1^2", "the acknowledgement is of another message")
        if meaning == "done":
            return Outcome(ack.code, evidence={"hl7_ack": ack.code, "hl7_control_id": ack.control_id})
        raise self._fault(ack, meaning)

    def _fault(self, ack: Ack, meaning: Literal["refused", "later"]) -> Refused | Unavailable:
        """The partner said no. Its sentences may quote a patient: only codes and places are kept."""
        error = ack.errors[0] if ack.errors else None
        number = error.code if error is not None and error.code.isdecimal() else ""
        code = f"HL7-{ack.code}-{number}" if number else f"HL7-{ack.code}"
        place = error.location if error is not None and _is_place(error.location) else ""
        text = MESSAGE_CONDITIONS.get(number, N_("refused by the partner"))
        if meaning == "later" or number in self._config.retried:
            return Unavailable(code, place, text, circuit=False)
        return Refused(code, place, text)


class Link(asyncio.Protocol):
    """One connection; one question at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder(MAX_ANSWER, keep_outside=_OUTSIDE)
        self._answer: asyncio.Future[bytes] | None = None
        self._asked = ""
        self._chunks = 0
        self.framing = ""
        """What was wrong with the frame of the last answer; "" when nothing was."""
        self._poll: select.poll | None = None
        self._flushed = True

    async def ask(self, data: bytes, timeout: float, control_id: str = "") -> bytes:
        """Write a message in its frame, wait for the content of the answer; unframed, it must name this control id.

        Raises `Unavailable` when the connection broke before the whole frame was handed over, `OutcomeUnknown`
        when it broke, or stayed silent, after.
        """
        if self._transport is None:  # it was made, and broke before we had our turn
            raise _unsent()
        loop = asyncio.get_running_loop()
        self._answer, self._asked, self.framing, self._decoder.outside = loop.create_future(), control_id, "", b""
        timer = loop.call_later(timeout, self._late)
        try:
            self._transport.writelines((BEFORE, data, AFTER))
            return await self._answer
        except BaseException:
            self._cut()
            raise
        finally:
            timer.cancel()
            self._answer = None

    def alive(self) -> bool:
        """Whether it is open and silent. Anything to read while nothing was asked (an end, most of the time) is not."""
        if self._transport is None or self._transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def close(self) -> None:
        if self._answer is not None:
            self._cut()
        elif self._transport is not None:
            self._transport.close()

    def _cut(self) -> None:
        """Throw away what is not sent yet: `close` would send it later, behind what repeats or follows it."""
        if self._transport is not None:
            self._transport.abort()

    # -------------------------------------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # so that we know when all is handed to the system
        _keep_alive(self._transport.get_extra_info("socket"))

    def pause_writing(self) -> None:
        self._flushed = False

    def resume_writing(self) -> None:
        self._flushed = True

    def data_received(self, data: bytes) -> None:
        self._chunks += 1
        self._take(self._decoder.feed(data))
        if self._decoder.undecided or self._decoder.outside:
            asyncio.get_running_loop().call_later(_LINGER, self._silent, self._chunks)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._ended()
        if not self._flushed:
            self._fail(_unsent())
        else:
            self._fail(OutcomeUnknown("HL7-CUT", "", "the connection broke before the acknowledgement"))

    def _silent(self, chunks: int) -> None:
        """The partner writes nothing more for the moment: an FS was an end; an answer outside of a frame is whole."""
        if chunks != self._chunks:
            return
        self._take(self._decoder.settle())
        self._take_unframed(self._decoder.outside)

    def _ended(self) -> None:
        """Nothing more will come: take what can be taken."""
        self._take(self._decoder.settle())
        self._take_unframed(self._decoder.outside)
        self._take_unframed(self._decoder.unfinished)

    def _take_unframed(self, data: bytes) -> None:
        """An answer without its frame, or the end of it, when it names our message: others can't be told from noise."""
        at = data.find(b"MSH")
        if at < 0 or not self._asked or self._answer is None or self._answer.done():
            return
        try:
            named = parse_ack(data[at:]).control_id
        except Malformed:
            return
        if named == self._asked:
            self.framing = UNFRAMED
            self._answer.set_result(data[at:])

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if self._answer is None or self._answer.done():
                self.close()  # an answer nobody waits for: what follows could be taken for another's
            elif isinstance(event, Frame):
                self.framing = _ODD_END if event.odd else ""
                self._answer.set_result(event.data)
            else:
                self._fail(OutcomeUnknown("HL7-ACK", "", "the acknowledgement is too large"))

    def _late(self) -> None:
        self._ended()
        self._fail(OutcomeUnknown("HL7-TIMEOUT", "", "no acknowledgement in time"))

    def _fail(self, error: Unavailable | OutcomeUnknown) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _keep_alive(opened: socket.socket) -> None:
    """Firewalls forget a silent connection within the hour: what is sent on it then gets no answer, not even an end."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS // 4)


def _unsent() -> Unavailable:
    return Unavailable("HL7-CUT", "", "the connection broke before the message was sent", circuit=False)


def _is_place(text: str) -> bool:
    """An ERL (`PID^1^3`) is made of a segment name and numbers; anything else might be a value."""
    name, *numbers = text.split("^")
    return len(name) == 3 and name.isalnum() and all(number.isdecimal() or not number for number in numbers)
