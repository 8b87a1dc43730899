"""The operator's IMAP4rev1 side (RFC 3501) with IDLE, MOVE, UIDPLUS, LITERAL+ and SASL-IR: what a poller needs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from router.simulators.mssante.config import MssanteConfig
from router.simulators.mssante.imap_selected import Selected
from router.simulators.mssante.imap_syntax import Bad, No, Token, quote, read_command, word
from router.simulators.mssante.mailboxes import Folder, Mailbox, Post
from router.simulators.mssante.smtp import login
from router.simulators.mssante.wire import Closed, Wire

_BEFORE_LOGIN: Final = frozenset({"CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "LOGIN", "AUTHENTICATE", "ID"})
_ON_MESSAGES: Final = frozenset({"FETCH", "SEARCH", "STORE", "COPY", "MOVE"})
_SELECTED: Final = _ON_MESSAGES | {"UID", "EXPUNGE", "CLOSE", "UNSELECT", "CHECK"}
_QUIET: Final = frozenset({"FETCH", "STORE", "SEARCH"})
"""Commands during which no EXPUNGE may be told (RFC 3501 §7.4.1)."""


class ImapSession:
    """One connection of a client."""

    def __init__(self, wire: Wire, config: MssanteConfig, post: Post, context: ssl.SSLContext | None) -> None:
        self._wire = wire
        self._config = config
        self._post = post
        self._context = context
        self._mailbox: Mailbox | None = None
        self._selected: Selected | None = None
        self._done = False
        self._tag = ""
        self._commands: dict[str, Callable[[list[Token]], Awaitable[str]]] = {
            "CAPABILITY": self._capability,
            "NOOP": self._noop,
            "CHECK": self._noop,
            "ID": self._id,
            "LOGOUT": self._logout,
            "STARTTLS": self._starttls,
            "LOGIN": self._login,
            "AUTHENTICATE": self._authenticate,
            "SELECT": self._select,
            "EXAMINE": self._examine,
            "CREATE": self._create,
            "LIST": self._list,
            "STATUS": self._status,
            "NAMESPACE": self._namespace,
            "UID": self._uid,
            "EXPUNGE": self._expunge,
            "CLOSE": self._close,
            "UNSELECT": self._unselect,
            "IDLE": self._idle,
            **{name: self._by_sequence(name) for name in _ON_MESSAGES},
        }

    async def run(self) -> None:
        """Talk until the client logs out or leaves."""
        await self._wire.send(f"* OK [CAPABILITY {self._capabilities()}] IMAP4rev1\r\n".encode())
        while not self._done:
            try:
                self._tag, name, arguments = await read_command(self._wire)
                answer = await self._command(name, arguments)
            except No as refused:
                answer = f"NO {refused}"
            except Bad as bad:
                answer = f"BAD {bad}"
            await self._wire.send(f"{self._tag} {answer}\r\n".encode())
            if answer.startswith("OK") and name == "STARTTLS" and self._context is not None:
                await self._wire.start_tls(self._context)

    async def _command(self, name: str, arguments: list[Token]) -> str:
        command = self._commands.get(name)
        if command is None:
            raise Bad("unknown command")
        if self._mailbox is None and name not in _BEFORE_LOGIN:
            raise No("log in first")
        if self._selected is None and name in _SELECTED:
            raise No("no mailbox selected")
        answer = await command(arguments)
        if self._selected is not None:
            await self._selected.news(expunged=name not in _QUIET)
        return answer

    # ------------------------------------------------------------------------------------------------ state

    def _capabilities(self) -> str:
        offers = ["IMAP4rev1", "LITERAL+", "IDLE", "MOVE", "UIDPLUS", "UNSELECT", "SASL-IR", "ID", "NAMESPACE"]
        if self._context is not None and not self._wire.secure:
            offers += ["STARTTLS", "LOGINDISABLED"]
        else:
            offers += [f"AUTH={name}" for name in self._config.reading]
        return " ".join(offers)

    async def _capability(self, _: list[Token]) -> str:
        await self._wire.send(f"* CAPABILITY {self._capabilities()}\r\n".encode())
        return "OK done"

    async def _noop(self, _: list[Token]) -> str:
        return "OK done"

    async def _id(self, _: list[Token]) -> str:
        await self._wire.send(b'* ID ("name" "operateur")\r\n')
        return "OK done"

    async def _namespace(self, _: list[Token]) -> str:
        await self._wire.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
        return "OK done"

    async def _logout(self, _: list[Token]) -> str:
        await self._wire.send(b"* BYE\r\n")
        self._done = True
        return "OK bye"

    async def _starttls(self, _: list[Token]) -> str:
        if self._context is None or self._wire.secure:
            raise Bad("no TLS to start")
        return "OK begin"

    def _in_clear(self) -> None:
        if self._context is not None and not self._wire.secure:
            raise No("[PRIVACYREQUIRED] STARTTLS first")

    async def _login(self, arguments: list[Token]) -> str:
        self._in_clear()
        user, password = word(arguments, 0), word(arguments, 1)
        if "PLAIN" not in self._config.reading or self._config.accounts.get(user) != password:
            raise No("[AUTHENTICATIONFAILED] refused")
        self._mailbox = self._post.mailbox(user)
        return f"OK [CAPABILITY {self._capabilities()}] welcome"

    async def _authenticate(self, arguments: list[Token]) -> str:
        self._in_clear()
        mechanism = word(arguments, 0).upper()
        if mechanism not in self._config.reading:
            raise No("mechanism not supported")
        if len(arguments) > 1:
            response = word(arguments, 1)
        else:
            await self._wire.send(b"+ \r\n")
            response = (await self._wire.line()).decode("ascii", "replace")
        try:
            given = "" if response == "=" else base64.b64decode(response, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Bad("base64") from error
        user = login(self._config, mechanism, given, self._wire.certificate())
        if not user:
            raise No("[AUTHENTICATIONFAILED] refused")
        self._mailbox = self._post.mailbox(user)
        return "OK welcome"

    # ---------------------------------------------------------------------------------------------- folders

    def _named(self, name: str) -> Folder:
        folder = self._box().get(name)
        if folder is None:
            raise No("[TRYCREATE] no such mailbox")
        return folder

    def _box(self) -> Mailbox:
        if self._mailbox is None:
            raise No("log in first")
        return self._mailbox

    def _open(self) -> Selected:
        if self._selected is None:
            raise No("no mailbox selected")
        return self._selected

    async def _select(self, arguments: list[Token]) -> str:
        return await self._enter(word(arguments, 0), read_only=False)

    async def _examine(self, arguments: list[Token]) -> str:
        return await self._enter(word(arguments, 0), read_only=True)

    async def _enter(self, name: str, *, read_only: bool) -> str:
        folder = self._named(name)
        self._selected = Selected(self._wire, self._box(), folder, read_only=read_only)
        view = self._selected.view
        flags = r"(\Answered \Flagged \Deleted \Seen \Draft)"
        unseen = next((rank for rank, uid in enumerate(view, 1) if r"\Seen" not in folder.messages[uid].flags), 0)
        lines = [
            f"* {len(view)} EXISTS",
            "* 0 RECENT",
            f"* FLAGS {flags}",
            rf"* OK [PERMANENTFLAGS ({flags[1:-1]} \*)] flags",
            f"* OK [UIDVALIDITY {folder.validity}] validity",
            f"* OK [UIDNEXT {folder.next_uid}] next",
        ]
        if unseen:
            lines.append(f"* OK [UNSEEN {unseen}] first unseen")
        await self._wire.send(("\r\n".join(lines) + "\r\n").encode())
        return f"OK [{'READ-ONLY' if read_only else 'READ-WRITE'}] done"

    async def _create(self, arguments: list[Token]) -> str:
        try:
            self._box().create(word(arguments, 0).rstrip("/"))
        except KeyError as error:
            raise No("[ALREADYEXISTS] exists") from error
        return "OK done"

    async def _list(self, arguments: list[Token]) -> str:
        pattern = word(arguments, 0) + word(arguments, 1)
        form = re.compile("".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern), re.IGNORECASE)
        for name in self._box().folders if pattern else ():
            if form.fullmatch(name):
                await self._wire.send(b'* LIST (\\HasNoChildren) "/" ' + quote(name) + b"\r\n")
        if not pattern:
            await self._wire.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return "OK done"

    async def _status(self, arguments: list[Token]) -> str:
        name, folder = word(arguments, 0), self._named(word(arguments, 0))
        seen = sum(r"\Seen" in message.flags for message in folder.messages.values())
        known = {
            "MESSAGES": len(folder.messages),
            "RECENT": 0,
            "UIDNEXT": folder.next_uid,
            "UIDVALIDITY": folder.validity,
            "UNSEEN": len(folder.messages) - seen,
        }
        asked = arguments[1] if len(arguments) > 1 else []
        items = [str(item).upper() for item in asked] if isinstance(asked, list) else []
        if not items or set(items) - set(known):
            raise Bad("status items")
        values = " ".join(f"{item} {known[item]}" for item in items)
        await self._wire.send(b"* STATUS " + quote(name) + f" ({values})\r\n".encode())
        return "OK done"

    # --------------------------------------------------------------------------------------------- messages

    async def _uid(self, arguments: list[Token]) -> str:
        name = word(arguments, 0).upper()
        if name == "EXPUNGE":
            self._open().expunge(word(arguments, 1))
            return "OK done"
        if name not in _ON_MESSAGES:
            raise Bad("unknown UID command")
        return await self._open().run(name, arguments[1:], by_uid=True)

    def _by_sequence(self, name: str) -> Callable[[list[Token]], Awaitable[str]]:
        async def run(arguments: list[Token]) -> str:
            return await self._open().run(name, arguments, by_uid=False)

        return run

    async def _expunge(self, _: list[Token]) -> str:
        self._open().expunge()
        return "OK done"

    async def _close(self, _: list[Token]) -> str:
        if not self._open().read_only:
            self._open().expunge()
        return await self._unselect([])

    async def _unselect(self, _: list[Token]) -> str:
        self._selected = None
        return "OK done"

    async def _idle(self, _: list[Token]) -> str:
        await self._wire.send(b"+ idling\r\n")
        done = asyncio.ensure_future(self._wire.line())
        try:
            while not done.done():
                selected = self._selected
                if selected is not None:
                    await selected.news(expunged=True)
                changed = selected.folder.changed if selected is not None else asyncio.Event()
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait({done, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            if (await done).upper() != b"DONE":
                raise Bad("DONE expected")
        finally:
            done.cancel()
        return "OK done"


async def serve_imap(
    config: MssanteConfig,
    post: Post,
    context: ssl.SSLContext | None,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Serve one connection; nothing a client does escapes. `context` None when TLS is implicit, or absent."""
    wire = Wire(reader, writer)
    try:
        await ImapSession(wire, config, post, context).run()
    except Closed:
        pass
    finally:
        await wire.close()
