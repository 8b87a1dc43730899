"""Conversations with the operator's submission server (RFC 5321, DSN of RFC 3461): one recipient each.

Connections are kept and shared; a kept one that the server has closed meanwhile is replaced once, silently, as long
as nothing was sent. `DATA` is written by us in two moves, so that a cut before the body is known from a cut after it.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiosmtplib
from aiosmtplib import errors

from router.contracts.spoken import Answer, saying
from router.errors import Overtaken, Refused, RouterError, Unavailable
from router.sinks.mssante.codes import TOO_BIG, enhanced_of
from router.sinks.mssante.discovery import Discovery, Fixed, Way, Ways
from router.sinks.mssante.mail import Written
from router.sinks.mssante.settings import LoginConfig, MssanteConfig
from router.sinks.mssante.smtp_body import write_body
from router.sinks.mssante.tls import client_context
from router.sinks.mssante.verdict import Phase, of_reply, smtp_phase

_QUEUE_ID: Final = re.compile(r"(?:queued as|id=|queue id)[ :]*<?([A-Za-z0-9._-]{4,64})", re.IGNORECASE)
DSN, SIZE = "dsn", "size"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who, to whom, and which reports. `notify_success`: the sender asked for the proof of reception (mssante §8.1)."""

    sender: str
    recipient: str = field(repr=False)
    envid: str
    notify_success: bool
    facts: Mapping[str, str] = field(default_factory=dict)
    """For the traces: which transaction it is, and the patient's pseudonym."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took the mail. `dsn`: it will report as asked, because it offers DSN."""

    reply: str
    queue_id: str
    dsn: bool


class Submission:
    """A bounded set of connections to one server. Lives on one event loop."""

    def __init__(self, config: MssanteConfig, *, monotonic: Callable[[], float]) -> None:
        self._config = config
        srv = config.decouverte_srv
        self._source = (
            Discovery(srv, "submission", config.mode, config.host) if srv else Fixed(config.host, config.port)
        )
        self._monotonic = monotonic
        self._free = asyncio.Semaphore(config.connections)
        self._used = 0
        self._idle: list[tuple[aiosmtplib.SMTP, float, str]] = []
        """Those that nobody uses: since when, and who is logged in."""

    async def send(self, envelope: Envelope, mail: Written, recheck: Callable[[], None]) -> Accepted:
        """Submit one mail, given in pieces.

        Raises the faults of `verdict`, and `Refused` `MSS-523` for more than the server takes.

        recheck: called before `DATA`; what it raises ends the conversation before anything of the mail is sent.
        """
        async with self._turn():
            client, kept = await self._client(envelope.sender)
            try:
                return await self._conversation(client, envelope, mail, recheck)
            except Unavailable as fault:
                if not kept or fault.place != Phase.MAIL:
                    raise
            client = await self._connect(envelope.sender)
            return await self._conversation(client, envelope, mail, recheck)

    async def probe(self, sender: str) -> None:
        """Connect, log in and say NOOP: fails as a submission would while the server is away."""
        async with self._turn():
            client = await self._connect(sender)
            async with self._returned(client, sender):
                with smtp_phase(Phase.CONNECT):
                    await client.noop()

    async def close(self) -> None:
        """Say goodbye on every idle connection; safe to call twice."""
        while self._idle:
            await _quit(self._idle.pop()[0])

    # ------------------------------------------------------------------------------------------ conversation

    async def _conversation(
        self, client: aiosmtplib.SMTP, envelope: Envelope, mail: Written, recheck: Callable[[], None]
    ) -> Accepted:
        async with self._returned(client, envelope.sender):
            with self._said(envelope.sender, Phase.MAIL, f"ENVID={envelope.envid}") as said, smtp_phase(Phase.MAIL):
                said.answer = await self._mail_from(client, envelope, mail.size)
            await self._rcpt_to(client, envelope)
            recheck()
            with self._said(envelope.sender, Phase.DATA, facts=envelope.facts) as said:
                return await self._data(client, mail, said)

    async def _mail_from(self, client: aiosmtplib.SMTP, envelope: Envelope, size: int) -> str:
        options = []
        if client.supports_extension(SIZE):
            limit = _limit(client)
            if limit and size > limit:
                raise Refused(f"MSS-{TOO_BIG}", Phase.MAIL, "message plus gros que la limite annoncée par le serveur")
            options.append(f"SIZE={size}")
        if client.supports_extension(DSN):
            options += ["RET=HDRS", f"ENVID={envelope.envid}"]
        return _codes(await client.mail(envelope.sender, options=options))

    async def _rcpt_to(self, client: aiosmtplib.SMTP, envelope: Envelope) -> None:
        notify = "SUCCESS,FAILURE,DELAY" if envelope.notify_success else "FAILURE,DELAY"
        asked = [f"NOTIFY={notify}", f"ORCPT=rfc822;{xtext(envelope.recipient)}"]
        with self._said(envelope.sender, Phase.RCPT) as said, smtp_phase(Phase.RCPT):
            options = asked if client.supports_extension(DSN) else []
            said.answer = _codes(await client.rcpt(envelope.recipient, options=options))

    async def _data(self, client: aiosmtplib.SMTP, mail: Written, said: Answer) -> Accepted:
        with smtp_phase(Phase.DATA):
            answer = await client.execute_command(b"DATA")
        if answer.code != 354:
            raise of_reply(answer.code, answer.message, Phase.DATA)
        said.answer = _codes(answer)
        with smtp_phase(Phase.BODY):
            answer = await write_body(client, mail, self._config.data_timeout)
        if answer.code != 250:
            raise of_reply(answer.code, answer.message, Phase.BODY)
        found = _QUEUE_ID.search(answer.message)
        reply = said.answer = _codes(answer)
        return Accepted(reply, found[1] if found else "", client.supports_extension(DSN))

    # ------------------------------------------------------------------------------------------- connections

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the connections that may be in use at once."""
        async with self._free:
            self._used += 1
            try:
                yield
            finally:
                self._used -= 1

    async def _client(self, sender: str) -> tuple[aiosmtplib.SMTP, bool]:
        """A connection on which this mailbox is logged in, and whether it had been kept."""
        who = self._who(sender)
        while kept := next((one for one in reversed(self._idle) if one[2] == who), None):
            self._idle.remove(kept)
            client, since, _ = kept
            if client.is_connected and self._monotonic() - since <= self._config.idle_seconds:
                return client, True
            await _quit(client)
        while self._idle and len(self._idle) + self._used > self._config.connections:  # another mailbox's makes room
            await _quit(self._idle.pop(0)[0])
        return await self._connect(sender), False

    def _who(self, sender: str) -> str:
        """Who is logged in on a connection that this mailbox opened; '' where the mailbox has no part in it."""
        login = self._config.login
        return "" if login.user or login.auth in ("externe", "aucune") else sender

    async def _connect(self, sender: str) -> aiosmtplib.SMTP:
        """A new connection on which this mailbox is logged in, to the first server that can be reached."""
        ways = Ways(self._source, await asyncio.to_thread(self._source.places))
        for way in ways:
            with ways.tried():
                return await self._open(way, sender)
        raise ways.fault

    async def _open(self, way: Way, sender: str) -> aiosmtplib.SMTP:
        config = self._config
        client = aiosmtplib.SMTP(
            hostname=way.name,
            local_hostname=config.helo or sender.rpartition("@")[2],
            timeout=config.timeout,
            use_tls=config.mode == "tls",
            start_tls=config.mode == "starttls",
            tls_context=client_context(config.tls) if config.mode != "plain" else None,
        )
        with self._said(sender, Phase.CONNECT) as said, smtp_phase(Phase.CONNECT):
            if way.name == way.host:
                await client.connect(port=way.port)
            else:
                address = (way.host, way.port)
                await client.connect(sock=await asyncio.to_thread(socket.create_connection, address, config.timeout))
            said.answer = _codes(await client.ehlo())
        try:
            with self._said(sender, Phase.LOGIN, config.login.auth), smtp_phase(Phase.LOGIN):
                await _login(client, config.login, sender)
        except BaseException:
            client.close()
            raise
        return client

    def _said(
        self, sender: str, phase: Phase, request: str = "", facts: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Answer]:
        """One command, for the traces."""
        return saying("smtp", f"{self._config.host}:{self._config.port}", sender, str(phase), request, facts)

    @asynccontextmanager
    async def _returned(self, client: aiosmtplib.SMTP, sender: str) -> AsyncIterator[None]:
        """Keep the connection after a success or a refusal; drop it after anything else."""
        try:
            yield
        except RouterError as fault:
            await self._release(client, sender, fault)
            raise
        except BaseException:
            client.close()
            raise
        self._keep(client, sender)

    async def _release(self, client: aiosmtplib.SMTP, sender: str, fault: RouterError) -> None:
        if not isinstance(fault, Refused | Overtaken) and not (isinstance(fault, Unavailable) and not fault.circuit):
            client.close()
            return
        try:
            await client.rset()
        except (errors.SMTPException, OSError):
            client.close()
        else:
            self._keep(client, sender)

    def _keep(self, client: aiosmtplib.SMTP, sender: str) -> None:
        if client.is_connected:
            self._idle.append((client, self._monotonic(), self._who(sender)))


def _codes(answer: aiosmtplib.SMTPResponse) -> str:
    """`250 2.1.0`: the server's words may quote an address."""
    return f"{answer.code} {enhanced_of(answer.message)}".strip()


async def _login(client: aiosmtplib.SMTP, login: LoginConfig, sender: str) -> None:
    user = login.user or sender
    if login.auth == "externe":
        await _external(client, login.user)
    elif login.auth == "plain":
        await client.auth_plain(user, login.password.read() if login.password else "")
    elif login.auth == "login":
        await client.auth_login(user, login.password.read() if login.password else "")
    elif login.auth == "xoauth2":
        await client.auth_xoauth2(user, login.token.read() if login.token else "")


async def _external(client: aiosmtplib.SMTP, authzid: str) -> None:
    """SASL EXTERNAL for the account that the configuration names; none is written `=` (RFC 4954 §4).

    No offer, no need.
    """
    if "external" not in client.server_auth_methods:
        return
    answer = await client.execute_command(b"AUTH", b"EXTERNAL", base64.b64encode(authzid.encode()) or b"=")
    if answer.code != 235:
        raise errors.SMTPAuthenticationError(answer.code, answer.message)


def _limit(client: aiosmtplib.SMTP) -> int:
    """The SIZE the server announces; 0 when it gives no number (RFC 1870)."""
    text = client.esmtp_extensions.get(SIZE, "").strip()
    return int(text) if text.isascii() and text.isdigit() else 0


def xtext(text: str) -> str:
    """RFC 3461 §4: what is not `!` to `~`, and `+` and `=`, becomes `+HH`."""
    return "".join(chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}" for byte in text.encode())


async def _quit(client: aiosmtplib.SMTP) -> None:
    if client.is_connected:
        try:
            await client.quit(timeout=5)
        except (errors.SMTPException, OSError):
            client.close()
