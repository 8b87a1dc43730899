"""Reads the simulators' books, and in the end the public command line, into facts for the checker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.soak.checker import DELETE, STORE, Checker, Place
from benchmarks.soak.history import LETTERS, Called, Fact, Letter, Mailed, Relayed, Told
from router.simulators.framing import field as hl7_field
from router.simulators.hl7_peer import Hl7Peer, Received
from router.simulators.serve import World

EXPLAINED: Final = 60
"""At most so many messages are asked about at the end."""


class Observations:
    """`look` feeds the checker whatever the neighbours received since the last time."""

    def __init__(self, checker: Checker, world: World, receiver: Hl7Peer) -> None:
        self._checker, self._world, self._receiver = checker, world, receiver
        self._seen = {"relays": 0, "calls": 0, "mails": 0, "answers": 0}

    def look(self) -> int:
        """How many facts were new."""
        new: list[Fact] = [
            *(Relayed(one.at, one.control_id) for one in self._new("relays", self._receiver.received)),
            *(fact for one in self._new("calls", self._world.dmp.received) for fact in _calls(one)),
            *(_mail(one) for one in self._new("mails", self._world.mssante.mails)),
            *(_told(one) for one in self._new("answers", self._world.sender.received)),
        ]
        for fact in new:
            self._checker.fact(fact)
        return len(new)

    def _new(self, name: str, book: list[Any]) -> list[Any]:
        found = book[self._seen[name] :]
        self._seen[name] = len(book)
        return found

    def approved(self) -> list[str]:
        """Documents that the DMP shows."""
        return [uid for uid, one in self._world.dmp.documents.items() if one.status.endswith(":Approved")]


def _calls(call: Any) -> list[Fact]:
    if call.transaction not in (STORE, DELETE):
        return []
    return [Called(call.at, call.transaction, uid, call.set_id, call.ok) for uid in call.documents]


def _mail(mail: Any) -> Fact:
    """One without a document is the notice of a deletion to somebody who was never sent what is deleted."""
    uid, action = next(iter((*mail.documents, *mail.named)), ""), LETTERS.get(mail.action, "")
    return Mailed(mail.at, uid, action if mail.documents else "delete", mail.envelope.recipient, mail.message_id)


def _told(one: Received) -> Fact:
    lines = [line for line in one.raw.split(b"\r") if line.startswith(b"OBX|2|")]
    recipient = lines[0].split(b"|")[5].split(b"^")[3].decode() if lines else ""
    error = hl7_field(one.raw, b"ERR", 5).partition("^")[0]
    yes = hl7_field(one.raw, b"OBX", 5).startswith("Y")
    return Told(one.at, one.original, one.trigger.split("^")[1], yes, recipient, error, one.control_id)


# ------------------------------------------------------------------------------------------- the command line


async def dead_letters(site: Path, questions: list[Place]) -> list[Letter]:
    """All dead letters, by `segur-router dlq`; those that must explain `questions` know their message.

    A letter is tied to its message through the event id that `explain --json` gives.
    """
    letters: list[Letter] = []
    for group in json.loads(await asked(site, "dlq", "ls", "--json") or "[]"):
        for one in json.loads(await asked(site, "dlq", "show", group["cause"], "--json") or "[]"):
            letters.append(Letter(one["sink"], one["label"], one["code"], one["event_id"]))
    controls = {}
    for control in list(dict.fromkeys(control for control, _ in questions))[:EXPLAINED]:
        for story in json.loads(await asked(site, "explain", control, "--json") or "[]"):
            controls[story["event"]["event_id"]] = control
    return [replace(one, control=controls.get(one.event_id, "")) for one in letters]


async def stories(site: Path, controls: Iterable[str]) -> dict[str, str]:
    """What `explain` says of these messages."""
    wanted = [control for control in dict.fromkeys(controls) if control != "?"]
    return {control: await asked(site, "explain", control) for control in wanted[:EXPLAINED]}


async def asked(site: Path, *words: str) -> str:
    """What a command of `segur-router` says on its standard output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router.cli.main", *words, "--site", str(site),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()
