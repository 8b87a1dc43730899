"""The operator's SMTP side: RFC 5321 with SIZE, PIPELINING, 8BITMIME, STARTTLS, DSN, AUTH PLAIN and EXTERNAL."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from router.simulators.dmp.certificate import load, structure
from router.simulators.mssante.config import Envelope, MssanteConfig
from router.simulators.mssante.reports import HOST
from router.simulators.mssante.wire import Closed, Wire

_PATH: Final = re.compile(r"<([^<>]*)>(?:\s+(.*))?$")
_XTEXT: Final = re.compile(r"[!-*,-<>-~]*(?:\+[0-9A-F]{2}[!-*,-<>-~]*)*")
_NOTIFY: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply: code, enhanced status (RFC 3463) and text."""

    code: int
    enhanced: str
    text: str

    def line(self) -> bytes:
        status = f"{self.enhanced} " if self.enhanced else ""
        return f"{self.code} {status}{self.text}\r\n".encode()


class Operator(Protocol):
    """What decides on mail: the simulator."""

    config: MssanteConfig

    def greeting(self) -> Reply | None:
        """A reply other than 220, after which the connection ends."""
        ...

    async def recipient(self, address: str) -> Reply | None:
        """A refusal of this recipient, after the delays that are planned."""
        ...

    async def accept(self, envelopes: list[Envelope], raw: bytes) -> Reply | None:
        """Take a mail over, and the reply to its final dot; None cuts the connection instead."""
        ...


OK: Final = Reply(250, "2.0.0", "OK")
_SEQUENCE: Final = Reply(503, "5.5.1", "Bad sequence of commands")


@dataclass(slots=True)
class _Transaction:
    sender: str | None = None
    envid: str = ""
    ret: str = ""
    size: int = 0
    body: str = ""
    recipients: list[Envelope] = field(default_factory=list)


class SmtpSession:
    """One connection of a client."""

    def __init__(self, wire: Wire, operator: Operator, context: ssl.SSLContext | None) -> None:
        self._wire = wire
        self._operator = operator
        self._config = operator.config
        self._context = context
        self._greeted = False
        self._login = ""
        self._mail = _Transaction()
        self._done = False
        self._commands: dict[str, Callable[[str], Awaitable[Reply | None]]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail_from,
            "RCPT": self._rcpt_to,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }

    async def run(self) -> None:
        """Talk until the client quits, leaves, or is cut."""
        refused = self._operator.greeting()
        await self._send(refused or Reply(220, "", f"{HOST} ESMTP"))
        while not self._done and refused is None:
            verb, _, rest = (await self._wire.line()).decode("utf-8", "replace").partition(" ")
            command = self._commands.get(verb.upper())
            reply = await command(rest.strip()) if command else Reply(500, "5.5.2", "Command not recognized")
            if reply is not None:
                await self._send(reply)

    async def _send(self, reply: Reply) -> None:
        await self._wire.send(reply.line())

    # ---------------------------------------------------------------------------------------------- opening

    async def _ehlo(self, _: str) -> None:
        self._greeted, self._mail = True, _Transaction()
        offers = [HOST, f"SIZE {self._config.size_limit}", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self._context is not None and not self._wire.secure:
            offers.append("STARTTLS")
        if self._config.dsn:
            offers.append("DSN")
        if self._config.auth != "none" and (self._wire.secure or self._context is None):
            offers.append(f"AUTH {self._config.auth.upper()}")
        lines = [f"250-{offer}\r\n" for offer in offers[:-1]] + [f"250 {offers[-1]}\r\n"]
        await self._wire.send("".join(lines).encode())

    async def _helo(self, _: str) -> Reply:
        self._greeted, self._mail = True, _Transaction()
        return Reply(250, "", HOST)

    async def _starttls(self, _: str) -> Reply | None:
        if self._context is None or self._wire.secure:
            return _SEQUENCE
        await self._send(Reply(220, "2.0.0", "Ready to start TLS"))
        await self._wire.start_tls(self._context)
        self._greeted, self._login, self._mail = False, "", _Transaction()
        return None

    async def _auth(self, argument: str) -> Reply:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() != self._config.auth.upper() or self._config.auth == "none":
            return Reply(504, "5.5.4", "Mechanism not supported")
        if not initial:
            await self._wire.send(b"334 \r\n")
            initial = (await self._wire.line()).decode("ascii", "replace")
        try:
            given = "" if initial == "=" else base64.b64decode(initial, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return Reply(501, "5.5.2", "Cannot decode")
        self._login = login(self._config, mechanism, given, self._wire.certificate())
        return Reply(235, "2.7.0", "Authenticated") if self._login else Reply(535, "5.7.8", "Refused")

    # -------------------------------------------------------------------------------------------- envelope

    async def _mail_from(self, argument: str) -> Reply:
        refusal = self._not_ready()
        if refusal is not None:
            return refusal
        match = _PATH.match(argument[5:].strip()) if argument.upper().startswith("FROM:") else None
        if match is None:
            return Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
        mail = _Transaction(sender=match[1])
        wrong = self._mail_parameters(mail, match[2] or "")
        if wrong is not None:
            return wrong
        if mail.sender and not self._may_send(mail.sender):
            return Reply(553, "5.7.1", "Sender address not owned by this login")
        if mail.size > self._config.size_limit:
            return Reply(552, "5.3.4", "Message too big for system")
        self._mail = mail
        return OK

    def _not_ready(self) -> Reply | None:
        if not self._greeted:
            return _SEQUENCE
        if self._config.starttls_required and self._context is not None and not self._wire.secure:
            return Reply(530, "5.7.0", "Must issue a STARTTLS command first")
        if self._config.auth != "none" and not self._login:
            return Reply(530, "5.7.0", "Authentication required")
        return _SEQUENCE if self._mail.sender is not None else None

    def _may_send(self, sender: str) -> bool:
        if self._config.accounts and sender.lower() not in {one.lower() for one in self._config.accounts}:
            return False
        return self._config.auth != "plain" or sender.lower() == self._login.lower()

    def _mail_parameters(self, mail: _Transaction, text: str) -> Reply | None:
        for word in text.split():
            name, _, value = word.partition("=")
            name = name.upper()
            if name == "SIZE" and value.isdigit():
                mail.size = int(value)
            elif name == "BODY" and value.upper() in {"7BIT", "8BITMIME"}:
                mail.body = value.upper()
            elif name == "RET" and self._config.dsn and value.upper() in {"FULL", "HDRS"}:
                mail.ret = value.upper()
            elif name == "ENVID" and self._config.dsn and 0 < len(value) <= 100 and _XTEXT.fullmatch(value):
                mail.envid = unxtext(value)
            elif name == "AUTH" and self._config.auth != "none":
                pass
            else:
                return Reply(555, "5.5.4", "Parameter not recognized")
        return None

    async def _rcpt_to(self, argument: str) -> Reply:
        if self._mail.sender is None:
            return _SEQUENCE
        match = _PATH.match(argument[3:].strip()) if argument.upper().startswith("TO:") else None
        if match is None or "@" not in match[1]:
            return Reply(501, "5.1.3", "Syntax: RCPT TO:<address>")
        envelope = self._recipient_parameters(match[1], match[2] or "")
        if isinstance(envelope, Reply):
            return envelope
        if match[1].rpartition("@")[2].lower() not in self._config.domains:
            return Reply(550, "5.7.1", "Domain outside the espace de confiance")
        refusal = await self._operator.recipient(match[1])
        if refusal is not None:
            return refusal
        self._mail.recipients.append(envelope)
        return Reply(250, "2.1.5", "OK")

    def _recipient_parameters(self, address: str, text: str) -> Envelope | Reply:
        notify: tuple[str, ...] = ()
        orcpt = ""
        for word in text.split():
            name, _, value = word.partition("=")
            if name.upper() == "NOTIFY" and self._config.dsn:
                notify = tuple(value.upper().split(","))
                if notify != ("NEVER",) and not set(notify) <= _NOTIFY:
                    return Reply(501, "5.5.4", "Bad NOTIFY")
            elif name.upper() == "ORCPT" and self._config.dsn:
                kind, _, original = value.partition(";")
                if not kind or not original or not _XTEXT.fullmatch(original):
                    return Reply(501, "5.5.4", "Bad ORCPT")
                orcpt = f"{kind};{unxtext(original)}"
            else:
                return Reply(555, "5.5.4", "Parameter not recognized")
        mail = self._mail
        return Envelope(
            mail.sender or "", address, mail.envid, mail.ret, notify, orcpt, mail.size, mail.body, self._login
        )

    # ------------------------------------------------------------------------------------------------- data

    async def _data(self, _: str) -> Reply | None:
        if not self._mail.recipients:
            return Reply(554, "5.5.1", "No valid recipients") if self._mail.sender is not None else _SEQUENCE
        await self._wire.send(b"354 End data with <CR><LF>.<CR><LF>\r\n")
        raw = await self._wire.data(self._config.size_limit)
        envelopes, self._mail = self._mail.recipients, _Transaction()
        if raw is None:
            return Reply(552, "5.3.4", "Message too big for system")
        reply = await self._operator.accept(envelopes, raw)
        if reply is None:
            self._wire.cut()
            raise Closed
        return reply

    async def _rset(self, _: str) -> Reply:
        self._mail = _Transaction()
        return OK

    async def _noop(self, _: str) -> Reply:
        return OK

    async def _quit(self, _: str) -> Reply:
        self._done = True
        return Reply(221, "2.0.0", "Bye")


def login(config: MssanteConfig, mechanism: str, given: str, certificate: bytes | None) -> str:
    """The account a SASL response opens, "" when it opens none.

    PLAIN: `authzid NUL authcid NUL password`. EXTERNAL: the client's certificate, and the account it asks for (the
    first that is its own when it asks for none).
    """
    if mechanism.upper() == "EXTERNAL":
        if certificate is None:
            return ""
        unit = structure(load(certificate))
        own = [address for address in config.accounts if config.owners.get(address, unit) == unit]
        return given if given in own else next(iter(own), "") if not given else ""
    parts = given.split("\0")
    known = len(parts) == 3 and parts[1] in config.accounts and config.accounts[parts[1]] == parts[2]
    return parts[1] if known else ""


def unxtext(text: str) -> str:
    """Decode xtext (RFC 3461 §4)."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


async def serve_smtp(
    operator: Operator, context: ssl.SSLContext | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection; nothing a client does escapes."""
    wire = Wire(reader, writer)
    try:
        await SmtpSession(wire, operator, context).run()
    except Closed:
        pass
    finally:
        await wire.close()
