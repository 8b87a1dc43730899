"""Strangers beside the good senders: slow bodies, half frames, poison mails, forged reports, hostile files.

They act from other loopback addresses, straight at the router's own ports, so that no proxy makes them look like the
good sender. Nothing of what they send may be accepted, change an answer, or delay anybody: `checker.py` judges.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.place import MAILBOX
from benchmarks.soak.checker import Checker
from router.simulators.mssante import Mail, MssanteSimulator
from router.sinks.mssante.mail import message_id
from tests.feedback import test_feedback_limits as limits
from tests.feedback.feedback_samples import dsn, mdn
from tests.feedback.test_feedback_reports import KO
from tests.feedback.test_feedback_trust import DISPLAYED
from tests.runtime.hostile_peers import half_closes, half_frames, slow_bodies, trickles
from tests.sinks.mssante_samples import MAILBOX as SAMPLE_MAILBOX

MARK: Final = b"X-Hostile: "
"""Header of every hostile mail, for the judgement alone."""
SECRET: Final = b"-----BEGIN PRIVATE KEY-----\nonly for its owner\n"
STRANGER: Final = "inconnu@ailleurs.fr"
ROUND_SECONDS: Final = 8.0
FIELDS: Final = 100_000
POISON_SECONDS, FORGED_SECONDS, FILES_SECONDS = 2.0, 0.7, 1.5
LATE_SECONDS: Final = 30.0
"""After a mail, its true report has been in the inbox for long."""
MOST: Final = {"poison mails": 150, "forged reports": 800, "hostile files": 3000}
"""The operator keeps every mail in memory, the router every refused file: a long soak stops here."""


@dataclass
class Hostile:
    """`start` lets the strangers loose, `stop` ends them. `done`: how often each thing was done."""

    ports: dict[str, int]
    """The router's own: `relais`, `sil`, `http`."""
    folder: Path
    """Watched by the feed `relais`."""
    operator: MssanteSimulator
    checker: Checker
    seed: int
    done: Counter[str] = field(default_factory=Counter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        relay = {"sil": self.ports["relais"], "ris": self.ports["relais"], "http": self.ports["http"]}
        national = {"sil": self.ports["sil"], "ris": self.ports["sil"]}
        attacks: list[tuple[str, Callable[[str], object]]] = [
            ("half frames", functools.partial(half_frames, relay)),
            ("half frames", functools.partial(half_frames, national)),
            ("slow bodies", functools.partial(slow_bodies, relay, feed="relais")),
            ("odd ends of frames", functools.partial(half_closes, national, readable=False)),
            ("endless fields", functools.partial(trickles, relay)),
        ]
        for number, (name, attack) in enumerate(attacks):
            self._tasks.append(asyncio.create_task(self._rounds(name, attack, f"127.0.0.{7 + number}")))
        steps = {"poison mails": self._poison, "forged reports": self._forge, "hostile files": self._lay}
        for name, act in steps.items():
            self._tasks.append(asyncio.create_task(self._steps(name, act)))

    async def stop(self) -> None:
        """Raises what an attacker fell over."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for one in ended:
            if isinstance(one, Exception):
                raise one

    async def _rounds(self, name: str, attack: Callable[[str], object], source: str) -> None:
        """For ever: so long, then all connections end and it begins again. Counted unless the router was away."""
        while True:
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await attack(source)  # type: ignore[misc]
            except TimeoutError:
                self.done[name] += 1
            except OSError:
                pass
            await asyncio.sleep(1)

    async def _steps(self, name: str, act: Callable[[random.Random], Iterator[float]]) -> None:
        for pause in act(random.Random(f"{name} {self.seed}")):
            if self.done[name] >= MOST[name]:
                return
            await asyncio.sleep(pause)

    # -------------------------------------------------------------------------------------------- mails

    def _put(self, name: str, raw: bytes) -> None:
        """The mark stands first: a field of the stranger's own that the router does not know."""
        self.done[name] += 1
        self.operator.post.deliver(MAILBOX, MARK + name.encode() + b"\r\n" + raw)

    def _poison(self, _rng: random.Random) -> Iterator[float]:
        """Each way to make a reader work, again and again; those of the header fields with 100,000 of them."""
        fields = (limits.fields_of_the_mail, limits.fields_in_the_report)
        for make in itertools.cycle(limits.HOSTILE):
            size = 8 * FIELDS if make in fields else FIELDS
            self._put("poison mails", make(size).encode())
            yield POISON_SECONDS

    def _forge(self, rng: random.Random) -> Iterator[float]:
        """Reports on mails that did leave, by somebody who knows their Message-ID and recipient."""
        for make in itertools.cycle((*FORGERIES, contradiction)):
            late = LATE_SECONDS if make is contradiction else 0
            mails = [one for one in self.operator.mails[-200:] if one.at + late <= time.time()][-40:]
            if mails:
                self._put("forged reports", make(rng.choice(mails)))
            yield FORGED_SECONDS

    # -------------------------------------------------------------------------------------------- files

    def _lay(self, rng: random.Random) -> Iterator[float]:
        """Pipes, folders, links to a secret, long names, what is no message, under names of messages."""
        secret = self.folder.parent / "secret"
        secret.write_bytes(SECRET)
        secret.chmod(0o600)
        for number in itertools.count():
            name = f"h{number:06d}"
            laid = [self.folder / f"{name}{kind}.hl7" for kind in ("pipe", "folder", "link", "hard")]
            os.mkfifo(laid[0])
            laid[1].mkdir()
            laid[2].symlink_to(secret)
            os.link(secret, laid[3])
            beside = self.folder / f"{name}text.hl7.headers"
            beside.symlink_to(secret)
            for text, content in (
                (f"{name}text.hl7", SECRET.replace(b"PRIVATE", b"PUBLIC")),
                (name + "n" * (250 - len(name)) + ".hl7", b"MSH|^~\\&|"),
                (f"{name}bytes.er7", rng.randbytes(200_000)),
                (f"{name}\x1b[31m.hl7", b"\x0bMSH\x1c\r" * 3),
            ):
                _whole(self.folder / text, content)
            self.done["hostile files"] += len(laid) + 5
            yield FILES_SECONDS
            for path in (laid[0], laid[2], laid[3], beside):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                laid[1].rmdir()

    # ------------------------------------------------------------------------------------------ the end

    async def read_out(self, patience: float = 90.0) -> None:
        """Wait until the router has put every mail of the inbox somewhere, then judge where, and what it copied."""
        end = time.monotonic() + patience
        while self.operator.mailbox(MAILBOX) and time.monotonic() < end:  # noqa: ASYNC110  # the operator's own book
            await asyncio.sleep(0.25)
        self.checker.unread(len(self.operator.mailbox(MAILBOX)))
        believed = [raw.partition(b"\r\n")[0] for raw in self.operator.mailbox(MAILBOX, "Traités") if _hostile(raw)]
        self.checker.believed([one.removeprefix(MARK).decode() for one in believed])
        copies = [path for path in self.folder.rglob("*") if _copy(path)]
        self.checker.copied(len(copies))


def _hostile(raw: bytes) -> bool:
    return raw.startswith(MARK)


def _copy(path: Path) -> bool:
    """Whether this is a file of its own with the secret in it."""
    return path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 and SECRET in path.read_bytes()


def _whole(path: Path, content: bytes) -> None:
    """A file that appears at once."""
    draft = path.with_name(f".{path.name[:100]}.draft")
    draft.write_bytes(content)
    draft.rename(path)


# ------------------------------------------------------------------------------------------ forged reports


def _report_on(mail: Mail, **changes: object) -> bytes:
    """A DSN of a failure, in a server's form, with the identifiers of this mail."""
    changes = {"recipient": mail.envelope.recipient, "status": "5.1.1", "diagnostic": "smtp; 550 5.1.1 x"} | changes
    envid = str(changes.pop("identity", _identity(mail)))
    raw = dsn(envid, "failed", **changes)  # type: ignore[arg-type]
    return raw.replace(message_id(envid[:32], SAMPLE_MAILBOX).encode(), mail.message_id.encode())


def _read_by(mail: Mail, disposition: str, **who: str) -> bytes:
    """A read receipt; `reader` is the recipient unless another one is given."""
    return mdn("0" * 32, disposition, about=mail.message_id, **({"reader": mail.envelope.recipient} | who))  # type: ignore[arg-type]


def _colleague(mail: Mail) -> str:
    """A neighbour of the recipient in the espace de confiance."""
    return "secretariat@" + mail.envelope.recipient.partition("@")[2]


def _identity(mail: Mail) -> str:
    """The delivery's identifier, which everybody can see in the Message-ID."""
    return mail.message_id.strip("<>").partition("@")[0].replace("-", "")


def contradiction(mail: Mail) -> bytes:
    """All that can be known from outside is right: the true report, which was there before, is the stronger proof."""
    return _report_on(mail, envid=False)


FORGERIES: Final[tuple[Callable[[Mail], bytes], ...]] = (
    lambda mail: _report_on(mail, return_path=f"<{STRANGER}>"),
    lambda mail: _report_on(mail, return_path=None, envid=False),
    lambda mail: _report_on(mail, recipient=STRANGER),
    lambda mail: _report_on(mail, identity=_identity(mail) + "0" * 32),
    lambda mail: _report_on(mail, identity=_identity(mail) * 2, return_path=None),
    lambda mail: _read_by(mail, f"{KO}/error", error="904^x", reader=STRANGER, sender=STRANGER),
    lambda mail: _read_by(mail, f"{KO}/error", error="904^x", reader=_colleague(mail), sender=_colleague(mail)),
    lambda mail: _read_by(mail, f"{KO}/error", error="904^x", sender=_colleague(mail)),
    lambda mail: _read_by(mail, DISPLAYED, sender="Adam Hoda"),
    lambda mail: _read_by(mail, DISPLAYED.replace("displayed", "deleted"), sender=_colleague(mail)),
)
"""None is the recipient's or our operator's; each breaks another condition of decisions D15."""
