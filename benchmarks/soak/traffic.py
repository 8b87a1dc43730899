"""The sender: relays and documents at a steady pace, sent again until acknowledged, as hospital systems do."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.load import template
from benchmarks.soak.checker import Checker
from benchmarks.soak.history import Message
from benchmarks.soak.waits import Waits
from router.simulators.framing import field as hl7_field
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.maker import Maker
from router.simulators.sender.mllp import MllpSender
from router.simulators.sender.options import Action, CdaSample

ANSWER_SECONDS: Final = 8.0
PAUSE: Final = 0.3
FATES: Final[tuple[tuple[Action, ...], ...]] = (
    ("replace",),
    ("replace", "delete"),
    ("delete",),
    ("replace", "replace"),
    (),
    (),
)
"""What follows the first version of a document."""
PATIENTS: Final = 4
"""Relayed patients of one connection."""
FULL_FOR_GOOD: Final = "boite.pleine"
FULL_FOR_NOW: Final = "boite.saturee"


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is sent. Messages per second and connection; `ceiling`: unfinished destinations, then it waits."""

    relays: int = 4
    relay_rate: float = 2.0
    documents: int = 3
    document_rate: float = 0.6
    file_rate: float = 0.5
    ceiling: int = 400


@dataclass
class _Family:
    """One document through its versions. `left`: actions still to come, each with the second when it is due."""

    sample: CdaSample
    recipients: list[Recipient]
    rank: int = 0
    left: list[tuple[float, Action]] = field(default_factory=list)


class Traffic:
    """`run` sends until `stop`; then it hands over what is begun and returns."""

    def __init__(
        self, checker: Checker, ports: dict[str, int], seed: int, pace: Pace, folder: Path | None = None
    ) -> None:
        """`folder`: watched by the feed of the relays; None: nothing is laid."""
        self.maker = Maker(seed)
        domain = self.maker.recipient().address.partition("@")[2]
        self.full_for_good = self.maker.recipient(f"{FULL_FOR_GOOD}@{domain}")
        self.full_for_now = self.maker.recipient(f"{FULL_FOR_NOW}@{domain}")
        self.resent = 0
        self.waits = Waits()
        self._doctors = [self.maker.recipient() for _ in range(12)]
        self._checker, self._ports, self._pace, self._folder = checker, ports, pace, folder
        self._rng = random.Random(f"traffic {seed}")
        self._stopping = asyncio.Event()
        self._numbers = 0

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`, and until everything handed over is answered."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._pace.relays):
                group.create_task(self._relays(number))
            for _ in range(self._pace.documents):
                group.create_task(self._documents())
            if self._folder is not None:
                group.create_task(self._files(self._folder))

    async def _room(self, rate: float) -> bool:
        """Wait for the next turn; False when it is over."""
        await asyncio.sleep(self._rng.uniform(0.5, 1.5) / rate)
        while len(self._checker.open) > self._pace.ceiling and not self._stopping.is_set():  # noqa: ASYNC110  # a dict
            await asyncio.sleep(0.1)
        return not self._stopping.is_set()

    async def _hand_over(self, sender: MllpSender, message: Message, data: bytes) -> None:
        """Send until there is an answer; a rejection (AR: `not now`) is no answer."""
        self._checker.sent(message)
        self.waits.begin(message.control, "sil" if message.uid else "relais")
        while True:
            sent = await sender.send(data)
            if sent.ack is not None and sent.code != "AR":
                self.waits.end(message.control)
                about = hl7_field(sent.ack, b"MSA", 2)
                if not message.poison or sent.code == "AA":
                    about = about or "nothing"
                self._checker.answered(message.control, sent.code, about or message.control, time.time())
                return
            self.resent += sent.written > 0
            await asyncio.sleep(PAUSE)

    def _sender(self, feed: str) -> MllpSender:
        return MllpSender("127.0.0.1", self._ports[feed], timeout=ANSWER_SECONDS)

    # ------------------------------------------------------------------------------------------- relays

    async def _relays(self, number: int) -> None:
        """One connection: some patients of its own, one message after the other."""
        ranks = [0] * PATIENTS
        make = template(1_000, patients=10_000)
        async with self._sender("relais") as sender:
            while await self._room(self._pace.relay_rate):
                which = self._rng.randrange(PATIENTS)
                patient = number * PATIENTS + which
                self._numbers += 1
                control = f"R{self._numbers:08d}"
                message = Message(control, f"P{patient}", ranks[which])
                ranks[which] += 1
                await self._hand_over(sender, message, make(patient, control))

    async def _files(self, folder: Path) -> None:
        """One file after the other, each once the one before is answered."""
        make, rank = template(1_000, patients=10_000), 0
        while await self._room(self._pace.file_rate):
            control = f"F{rank:08d}"
            message = Message(control, "folder", rank)
            rank += 1
            self._checker.sent(message)
            self.waits.begin(control, "folder")
            draft = folder / f".{control}"
            draft.write_bytes(make(9_999, control))
            draft.rename(folder / f"{control}.hl7")
            while not (answers := [one for one in folder.glob(f"*/{control}*.ack") if one.name[0] != "."]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            self.waits.end(control)
            ack = answers[0].read_bytes()
            self._checker.answered(control, hl7_field(ack, b"MSA", 1), hl7_field(ack, b"MSA", 2), time.time())

    # ---------------------------------------------------------------------------------------- documents

    async def _documents(self) -> None:
        """One connection: new documents, and what is due of those it has begun."""
        begun: list[_Family] = []
        async with self._sender("sil") as sender:
            while await self._room(self._pace.document_rate):
                now = time.monotonic()
                due = next((one for one in begun if one.left and one.left[0][0] <= now), None)
                if due is not None:
                    _, action = due.left.pop(0)
                    await self._next(sender, due, action)
                    if not due.left:
                        begun.remove(due)
                elif self._rng.random() < 0.04:
                    await self._poison(sender)
                else:
                    begun.append(await self._first(sender, now))
            for family in begun:
                for _, action in family.left:
                    await self._next(sender, family, action)

    async def _first(self, sender: MllpSender, now: float) -> _Family:
        family = _Family(self.maker.document("biology", self.maker.patient()), self._recipients())
        at = now
        for action in self._rng.choice(FATES):
            at += self._rng.choice((0.0, self._rng.uniform(0.0, 3.0), self._rng.uniform(3.0, 25.0)))
            family.left.append((at, action))
        await self._version(sender, family, "initial")
        return family

    async def _next(self, sender: MllpSender, family: _Family, action: Action) -> None:
        family.rank += 1
        if action == "replace":
            family.sample = self.maker.replacement(family.sample)
        await self._version(sender, family, action)

    async def _version(self, sender: MllpSender, family: _Family, action: Action) -> None:
        data = self.maker.message(family.sample, action=action, recipients=family.recipients)
        message = Message(
            hl7_field(data, b"MSH", 10),
            family.sample.set_id,
            family.rank,
            family.sample.uid,
            action,
            tuple(one.address for one in family.recipients),
        )
        await self._hand_over(sender, message, data)

    def _recipients(self) -> list[Recipient]:
        draw = self._rng.random()
        some = self._rng.sample(self._doctors, 1 if draw < 0.6 else 2)
        if draw < 0.04:
            return [*some, self.full_for_good]
        return [*some, self.full_for_now] if draw < 0.10 else some

    async def _poison(self, sender: MllpSender) -> None:
        """What can't be read: a document cut on its way, or a message without its patient."""
        sample = self.maker.document("biology", self.maker.patient())
        if self._rng.random() < 0.5:
            data = self.maker.message(sample, payload=["PENsaW5pY2FsRG9jdW1lbnQ+A"])
        else:
            data = self.maker.message(sample, drop=["PID"])
        message = Message(hl7_field(data, b"MSH", 10), sample.set_id, 0, sample.uid, poison=True)
        await self._hand_over(sender, message, data)
