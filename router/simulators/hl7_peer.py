"""The sender's return endpoint: an MLLP server that receives ZAM and relayed messages, and answers as it is told."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from router.simulators.control import control_server
from router.simulators.framing import LIMIT, frame, read_frame
from router.simulators.framing import field as hl7_field
from router.simulators.listener import Listener
from router.simulators.script import Script


@dataclass(frozen=True, slots=True)
class Received:
    """One message, in the order of arrival. `ack` is MSA-1 as answered, "" when the connection was cut."""

    sequence: int
    at: float
    raw: bytes = field(repr=False)
    ack: str

    @property
    def control_id(self) -> str:
        return hl7_field(self.raw, b"MSH", 10)

    @property
    def trigger(self) -> str:
        """MSH-9, e.g. `ZAM^Z01^ZAM_Z01`."""
        return hl7_field(self.raw, b"MSH", 9)

    @property
    def original(self) -> str:
        """The MSH-10 that a ZAM answers (OBX-4 of its first OBX), "" in other messages."""
        return hl7_field(self.raw, b"OBX", 4) if self.trigger.startswith("ZAM") else ""

    def shown(self) -> dict[str, object]:
        """As the control port lists it. The address of a ZAM stays out: it may be a patient's."""
        zam = self.trigger.startswith("ZAM")
        return {
            "sequence": self.sequence,
            "at": self.at,
            "control_id": self.control_id,
            "trigger": self.trigger,
            "original": self.original,
            "outcome": hl7_field(self.raw, b"OBX", 5).partition("^")[0] if zam else "",
            "error": hl7_field(self.raw, b"ERR", 5) if zam else "",
            "size": len(self.raw),
            "ack": self.ack,
        }


class Hl7Peer:
    """`async with Hl7Peer() as peer:` listens on `peer.port`; `received` keeps every message."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        context: ssl.SSLContext | None = None,
        control_port: int | None = 0,
    ) -> None:
        self.received: list[Received] = []
        self._script: Script[str] = Script()
        self._listener = Listener(self._serve, host, port, context, limit=LIMIT)
        self._control = control_server(self._commands(), control_port) if control_port is not None else None
        self._restore: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when a port is taken."""
        await self._listener.start()
        if self._control is not None:
            await self._control.start()

    async def stop(self) -> None:
        if self._restore is not None:
            self._restore.cancel()
        await self._listener.stop()
        if self._control is not None:
            await self._control.stop()

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def control_port(self) -> int:
        return self._control.port if self._control is not None else 0

    # ----------------------------------------------------------------------------------------------- trouble

    def answer(self, code: Literal["AA", "AE", "AR"], count: int | None = 1, trigger: str = "") -> None:
        """Answer the next messages so; `trigger` limits it to those whose MSH-9 holds it (`Z02`)."""
        self._script.plan("answer", count=count, matches=lambda found: trigger in found, code=code)

    def delay(self, seconds: float, count: int | None = None, trigger: str = "") -> None:
        """Answer that much later."""
        self._script.plan("delay", count=count, matches=lambda found: trigger in found, seconds=seconds)

    def cut(self, when: Literal["before", "after"] = "before", count: int | None = 1, trigger: str = "") -> None:
        """Cut instead of answering: `before` the message is taken, or `after`."""
        self._script.plan(f"cut-{when}", count=count, matches=lambda found: trigger in found)

    async def outage(self, seconds: float | None = None) -> None:
        """Refuse connections, for some seconds or until `restore`."""
        await self._listener.stop()
        if seconds is not None:
            self._restore = asyncio.get_running_loop().create_task(self._restore_after(seconds))

    async def _restore_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.restore()

    async def restore(self) -> None:
        if not self._listener.listening:
            await self._listener.start()

    async def reset(self, *, everything: bool = False) -> None:
        """End all trouble; with `everything` also forget what was received."""
        self._script.reset()
        await self.restore()
        if everything:
            self.received.clear()

    # ------------------------------------------------------------------------------------------- a connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (message := await read_frame(reader)) is not None:
                answer = await self._answer(message)
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(frame(answer))
                await writer.drain()
        except (OSError, asyncio.LimitOverrunError):
            pass  # the peer went away, or spoke without measure
        finally:
            writer.close()

    async def _answer(self, message: bytes) -> bytes | None:
        trigger = hl7_field(message, b"MSH", 9)
        at = time.time()
        delay = self._script.take(trigger, "delay")
        if delay is not None:
            await asyncio.sleep(float(delay.arguments["seconds"]))
        if self._script.take(trigger, "cut-before") is not None:
            return None
        planned = self._script.take(trigger, "answer")
        code = str(planned.arguments["code"]) if planned else "AA"
        cut = self._script.take(trigger, "cut-after") is not None
        self.received.append(Received(len(self.received) + 1, at, message, "" if cut else code))
        return None if cut else acknowledge(message, code)

    def _commands(self) -> dict[str, Any]:
        return {
            "received": lambda since=0: [one.shown() for one in self.received[since:]],
            "ports": lambda: {"mllp": self.port},
            "answer": self.answer,
            "delay": self.delay,
            "cut": self.cut,
            "outage": self.outage,
            "restore": self.restore,
            "reset": self.reset,
        }


def acknowledge(message: bytes, code: str) -> bytes:
    """The ACK of a message: same charset, version and processing id, sender and receiver exchanged (hl7-input §4.1)."""
    sent = {number: hl7_field(message, b"MSH", number) for number in (3, 4, 5, 6, 9, 10, 11, 12, 18)}
    trigger = sent[9].split("^")[1] if "^" in sent[9] else ""
    stamp = time.strftime("%Y%m%d%H%M%S")
    parts = ["MSH", "^~\\&", sent[5], sent[6], sent[3], sent[4], stamp, "", f"ACK^{trigger}^ACK", f"A{sent[10]}"]
    header = "|".join([*parts, sent[11] or "P", sent[12] or "2.6", "", "", "", "", "FRA", sent[18]])
    return f"{header}\rMSA|{code}|{sent[10]}\r".encode()
