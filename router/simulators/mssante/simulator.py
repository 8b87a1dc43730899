"""The simulated operator: takes mail over by SMTP, delivers, reports, answers read requests, and lets IMAP read."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import hashlib
import ssl
import time
from types import TracebackType
from typing import Any, Final, Literal, Self

from router.simulators.control import control_server
from router.simulators.listener import Listener
from router.simulators.mssante import reports
from router.simulators.mssante.config import Envelope, Mail, MssanteConfig, Reading
from router.simulators.mssante.imap import serve_imap
from router.simulators.mssante.inspect import broken_sender, inspect
from router.simulators.mssante.mailboxes import Post
from router.simulators.mssante.reports import Dsn
from router.simulators.mssante.smtp import OK, Reply, serve_smtp
from router.simulators.script import Script, pseudonym

_HUMAN: Final = frozenset({"displayed", "deleted", "denied", "dispatched"})


_COMMANDS: Final = (
    "refuse",
    "refuse_data",
    "greet",
    "delay",
    "cut",
    "bounce",
    "read",
    "answer",
    "outage",
    "restore",
    "reset",
)


class MssanteSimulator:
    """`async with MssanteSimulator(config) as operator:` listens on `smtp_port` and `imap_port`.

    `mails` and `mailbox` tell what arrived; `refuse`, `refuse_data`, `greet`, `delay`, `cut`, `outage`, `bounce`,
    `read`, `answer` make trouble and reports. The control port offers the same as JSON commands.
    """

    def __init__(self, config: MssanteConfig | None = None) -> None:
        self.config = config or MssanteConfig()
        self.post = Post(self.config.folder, self.config.uid_validity)
        self.mails: list[Mail] = []
        self._script: Script[str] = Script()
        self._reading: dict[str, tuple[Reading, str]] = {
            address.lower(): (how, "") for address, how in self.config.read.items()
        }
        self._tasks: set[asyncio.Task[None]] = set()
        context = self._context()
        self._smtp = Listener(
            functools.partial(serve_smtp, self, context), self.config.host, self.config.smtp_port, None
        )
        implicit = context if self.config.imap_tls else None
        started = None if self.config.imap_tls else context
        self._imap = Listener(
            functools.partial(serve_imap, self.config, self.post, started),
            self.config.host,
            self.config.imap_port,
            implicit,
        )
        self._control = (
            control_server(self._commands(), self.config.control_port) if self.config.control_port is not None else None
        )

    # ------------------------------------------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when a port is taken."""
        await self._smtp.start()
        await self._imap.start()
        if self._control is not None:
            await self._control.start()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._smtp.stop()
        await self._imap.stop()
        if self._control is not None:
            await self._control.stop()

    @property
    def smtp_port(self) -> int:
        return self._smtp.port

    @property
    def imap_port(self) -> int:
        return self._imap.port

    @property
    def control_port(self) -> int:
        return self._control.port if self._control is not None else 0

    def mailbox(self, address: str, folder: str = "INBOX") -> list[bytes]:
        """The mails in a folder of an address, oldest first."""
        found = self.post.mailbox(address).get(folder)
        return [message.raw for message in found.messages.values()] if found is not None else []

    def _context(self) -> ssl.SSLContext | None:
        if self.config.certificates is None:
            return None
        return self.config.certificates.server_context(client_required=self.config.client_certificate)

    # ----------------------------------------------------------------------------------------------- trouble

    def refuse(
        self, address: str, code: int = 550, enhanced: str = "", text: str = "refused", count: int | None = None
    ) -> None:
        """Answer RCPT of an address (or of all: "*") so, `count` times (None: until reset).

        Mailbox full: 452 4.2.2 or 552 5.2.2; unknown: 550 5.1.1; greylisting: 450 4.7.1 with `count=1`.
        """
        self._script.plan("rcpt", count=count, matches=_at(address), code=code, enhanced=enhanced, text=text)

    def refuse_data(
        self, address: str, code: int = 554, enhanced: str = "", text: str = "refused", count: int | None = 1
    ) -> None:
        """Answer the final dot of a mail to an address so: it isn't taken over."""
        self._script.plan("dot", count=count, matches=_at(address), code=code, enhanced=enhanced, text=text)

    def greet(self, code: int = 421, text: str = "Service not available", count: int | None = 1) -> None:
        """Greet the next connections so, and end them."""
        self._script.plan("greet", count=count, code=code, text=text)

    def delay(
        self, seconds: float, address: str = "*", at: Literal["rcpt", "dot"] = "dot", count: int | None = None
    ) -> None:
        """Answer RCPT or the final dot that much later."""
        self._script.plan(f"delay-{at}", count=count, matches=_at(address), seconds=seconds)

    def cut(self, when: Literal["before", "after"], address: str = "*", count: int | None = 1) -> None:
        """Cut the connection at the final dot: before the mail is taken over, or after it without the 250."""
        self._script.plan(f"cut-{when}", count=count, matches=_at(address))

    async def outage(self, seconds: float | None = None) -> None:
        """Refuse connections, SMTP and IMAP, for some seconds or until `restore`."""
        await self._smtp.stop()
        await self._imap.stop()
        if seconds is not None:
            self._later(seconds, self.restore)

    async def restore(self) -> None:
        for listener in (self._smtp, self._imap):
            if not listener.listening:
                await listener.start()

    def bounce(
        self,
        address: str,
        action: Literal["failed", "delayed", "relayed", "expanded", "none"] = "failed",
        status: str = "5.1.1",
        diagnostic: str = "550 5.1.1 mailbox unavailable",
        count: int | None = 1,
        delivered: bool = False,
    ) -> None:
        """Report so on the next mails to an address, though they were accepted; `none` reports nothing at all.

        `delivered` puts the mail in the mailbox all the same (a success report follows a delay or a failure).
        """
        self._script.plan(
            "bounce",
            count=count,
            matches=_at(address),
            action=action,
            status=status,
            diagnostic=diagnostic,
            delivered=float(delivered),
        )

    def read(self, address: str, reading: Reading = "displayed", error: str = "") -> None:
        """From now on this mailbox answers read requests by itself; `error` is 900 to 906 for business software."""
        self._reading[address.lower()] = (reading, error)

    def answer(self, message_id: str, reading: Reading = "displayed", error: str = "") -> int:
        """Answer the mails with this Message-ID now, asked or not; how many answers were sent (needs `keep: all`)."""
        found = [mail for mail in self.mails if mail.message_id == message_id and mail.delivered and mail.raw]
        for mail in found:
            self._answer(mail.envelope, mail.raw, reading, error)
        return len(found)

    async def reset(self, *, everything: bool = False) -> None:
        """End all trouble; with `everything` also empty the mailboxes and the list of mails."""
        self._script.reset()
        self._reading = {address.lower(): (how, "") for address, how in self.config.read.items()}
        await self.restore()
        if everything:
            self.mails.clear()
            self.post.mailboxes.clear()

    # ------------------------------------------------------------------------------------------ taking over

    def greeting(self) -> Reply | None:
        planned = self._script.take("", "greet")
        return Reply(int(planned.arguments["code"]), "", str(planned.arguments["text"])) if planned else None

    async def recipient(self, address: str) -> Reply | None:
        """What RCPT of this address is told, None for 250."""
        await self._wait("delay-rcpt", address)
        return _planned(self._script, address, "rcpt")

    async def accept(self, envelopes: list[Envelope], raw: bytes) -> Reply | None:
        """Take a mail over for its recipients, all or none; None cuts the connection."""
        first = envelopes[0].recipient
        await self._wait("delay-dot", first)
        refused = _planned(self._script, first, "dot")
        if refused is not None:
            return refused
        if self.config.keep != "envelope" and (broken := broken_sender(raw, envelopes[0].sender)):
            return Reply(550, "5.7.1", broken)
        if self._script.take(first, "cut-before") is not None:
            return None
        cut = self._script.take(first, "cut-after") is not None
        at = time.time()
        for envelope in envelopes:
            self._take(envelope, raw, at, confirmed=not cut)
        return None if cut else Reply(OK.code, OK.enhanced, f"OK queued as {len(self.mails):08X}")

    async def _wait(self, kind: str, address: str) -> None:
        planned = self._script.take(address, kind)
        if planned is not None:
            await asyncio.sleep(float(planned.arguments["seconds"]))

    def _take(self, envelope: Envelope, raw: bytes, at: float, *, confirmed: bool) -> None:
        planned = self._script.take(envelope.recipient, "bounce")
        told = planned.arguments if planned else {}
        delivered = planned is None or told["action"] != "failed" or bool(told["delivered"])
        self.mails.append(self._mail(envelope, raw, at, delivered=delivered, confirmed=confirmed))
        if delivered and (self.config.keep == "all" or envelope.recipient in self.config.accounts):
            head = f"Return-Path: <{envelope.sender}>\r\nDelivered-To: {envelope.recipient}\r\n"
            self.post.deliver(envelope.recipient, head.encode() + raw)
        if planned is not None and told["action"] != "none":
            report = Dsn(str(told["action"]), str(told["status"]), str(told["diagnostic"]))
            self._report(envelope, raw, at, report)
        if planned is None or (told["delivered"] and told["action"] != "none"):
            self._report(envelope, raw, at, Dsn("delivered", "2.0.0"))
        reading = self._reading.get(envelope.recipient.lower())
        if delivered and reading and reports.header(raw, "Disposition-Notification-To"):
            self._answer(envelope, raw, *reading)

    def _mail(self, envelope: Envelope, raw: bytes, at: float, *, delivered: bool, confirmed: bool) -> Mail:
        keep = self.config.keep
        return Mail(
            sequence=len(self.mails) + 1,
            at=at,
            envelope=envelope,
            raw=raw if keep == "all" else b"",
            size=len(raw),
            message_id=reports.header(raw, "Message-ID"),
            digest=hashlib.sha256(raw).hexdigest(),
            delivered=delivered,
            confirmed=confirmed,
            inspected=inspect(raw, envelope.sender, envelope.recipient) if keep == "findings" else None,
        )

    # ---------------------------------------------------------------------------------------------- reports

    def _report(self, envelope: Envelope, raw: bytes, at: float, report: Dsn) -> None:
        wanted = {"failed": "FAILURE", "delayed": "DELAY"}.get(report.action, "SUCCESS")
        asked = envelope.notify or ("FAILURE",)
        if not envelope.sender or wanted not in asked:
            return
        made = reports.dsn(
            report,
            sender=envelope.sender,
            recipient=envelope.recipient,
            raw=raw,
            envid=envelope.envid,
            orcpt=envelope.orcpt,
            ret=envelope.ret,
            arrival=dt.datetime.fromtimestamp(at, dt.UTC),
        )
        self._return(envelope.sender, made)

    def _answer(self, envelope: Envelope, raw: bytes, reading: Reading, error: str) -> None:
        made = reports.mdn(reading, reader=envelope.recipient, raw=raw, error="" if reading in _HUMAN else error)
        self._return(envelope.sender, made)

    def _return(self, address: str, raw: bytes) -> None:
        async def deliver() -> None:
            self.post.deliver(address, raw)

        if self.config.report_delay:
            self._later(self.config.report_delay, deliver)
        else:
            self.post.deliver(address, raw)

    def _later(self, seconds: float, action: Any) -> None:
        async def run() -> None:
            await asyncio.sleep(seconds)
            await action()

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------------------------------------- control

    def _commands(self) -> dict[str, Any]:
        return {
            "mails": lambda since=0: [one.shown() for one in self.mails[since:]],
            "mailboxes": self._counts,
            "ports": lambda: {"smtp": self.smtp_port, "imap": self.imap_port},
            **{name: getattr(self, name) for name in _COMMANDS},
        }

    def _counts(self) -> dict[str, int]:
        """How many mails each INBOX holds; a patient's address is a pseudonym."""
        out = {}
        for address, mailbox in self.post.mailboxes.items():
            patient = address.endswith("@patient.mssante.fr")
            out[f"patient:{pseudonym(address)}" if patient else address] = len(mailbox.folders["INBOX"].messages)
        return out


def _at(address: str) -> Any:
    return lambda recipient: address == "*" or recipient.lower() == address.lower()


def _planned(script: Script[str], address: str, kind: str) -> Reply | None:
    planned = script.take(address, kind)
    if planned is None:
        return None
    told = planned.arguments
    return Reply(int(told["code"]), str(told["enhanced"]), str(told["text"]))
