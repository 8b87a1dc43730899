"""The selected folder of an IMAP session: its messages as the client was told of them (RFC 3501 §6.4)."""

from __future__ import annotations

from router.simulators.mssante import imap_query as query
from router.simulators.mssante.imap_syntax import Bad, No, Token, numbers, word
from router.simulators.mssante.mailboxes import Folder, Mailbox, Message
from router.simulators.mssante.wire import Wire


class Selected:
    """A folder that is open. `view` are the UIDs the client knows, in sequence order."""

    def __init__(self, wire: Wire, mailbox: Mailbox, folder: Folder, *, read_only: bool) -> None:
        self._wire = wire
        self._mailbox = mailbox
        self.folder = folder
        self.read_only = read_only
        self.view = sorted(folder.messages)

    async def run(self, name: str, arguments: list[Token], *, by_uid: bool) -> str:
        folder = self.folder
        view = [(rank, folder.messages[uid]) for rank, uid in enumerate(self.view, 1) if uid in folder.messages]
        if name == "SEARCH":
            found = [message.uid if by_uid else rank for rank, message in query.search(arguments, view)]
            await self._wire.send(("* SEARCH" + "".join(f" {one}" for one in found) + "\r\n").encode())
            return "OK done"
        key = {(message.uid if by_uid else rank): (rank, message) for rank, message in view}
        chosen = [key[number] for number in numbers(word(arguments, 0), sorted(key))]
        if name == "FETCH":
            return await self._fetch(chosen, arguments[1:], by_uid=by_uid)
        if self.read_only and name != "COPY":
            raise No("[READ-ONLY] mailbox is read-only")
        if name == "STORE":
            return await self._store(chosen, arguments[1:], by_uid=by_uid)
        return await self._copy([message for _, message in chosen], word(arguments, 1), move=name == "MOVE")

    async def _fetch(self, chosen: list[tuple[int, Message]], arguments: list[Token], *, by_uid: bool) -> str:
        items = query.fetch_items(arguments, by_uid=by_uid)
        for rank, message in chosen:
            if any(item.marks_seen for item in items) and not self.read_only:
                message.flags.add(r"\Seen")
            answer = b" ".join(item.answer(message) for item in items)
            await self._wire.send(b"* %d FETCH (" % rank + answer + b")\r\n")
        return "OK done"

    async def _store(self, chosen: list[tuple[int, Message]], arguments: list[Token], *, by_uid: bool) -> str:
        how, given = word(arguments, 0).upper(), arguments[1] if len(arguments) > 1 else []
        flags = {query.flag(str(one)) for one in (given if isinstance(given, list) else arguments[1:])}
        mode = how.removesuffix(".SILENT")
        if mode not in {"FLAGS", "+FLAGS", "-FLAGS"}:
            raise Bad("store item")
        for rank, message in chosen:
            if mode == "FLAGS":
                message.flags = set(flags)
            elif mode[0] == "+":
                message.flags |= flags
            else:
                message.flags -= flags
            if not how.endswith(".SILENT"):
                uid = f" UID {message.uid}" if by_uid else ""
                shown = " ".join(sorted(message.flags))
                await self._wire.send(f"* {rank} FETCH (FLAGS ({shown}){uid})\r\n".encode())
        return "OK done"

    async def _copy(self, chosen: list[Message], name: str, *, move: bool) -> str:
        target = self._mailbox.get(name)
        if target is None:
            raise No("[TRYCREATE] no such mailbox")
        made = [target.add(message.raw, message.at, message.flags) for message in chosen]
        if not made:
            return "OK done"
        old, new = (",".join(str(one.uid) for one in group) for group in (chosen, made))
        told = f"[COPYUID {target.validity} {old} {new}]"
        if not move:
            return f"OK {told} done"
        await self._wire.send(f"* OK {told} moved\r\n".encode())
        for message in chosen:
            self.folder.remove(message.uid)
        return "OK done"

    def expunge(self, chosen: str = "") -> None:
        """Remove what is flagged deleted, of the UIDs `chosen` only when given (UIDPLUS)."""
        if self.read_only:
            raise No("[READ-ONLY] mailbox is read-only")
        limited = numbers(chosen, sorted(self.folder.messages)) if chosen else None
        for uid in [uid for uid, one in self.folder.messages.items() if r"\Deleted" in one.flags]:
            if limited is None or uid in limited:
                self.folder.remove(uid)

    async def news(self, *, expunged: bool) -> None:
        """Tell what changed since the client was last told."""
        folder = self.folder
        lines: list[str] = []
        if expunged:
            for rank in range(len(self.view), 0, -1):
                if self.view[rank - 1] not in folder.messages:
                    del self.view[rank - 1]
                    lines.append(f"* {rank} EXPUNGE")
        last = self.view[-1] if self.view else 0
        added = [uid for uid in folder.messages if uid > last]
        if added:
            self.view += sorted(added)
            lines.append(f"* {len(self.view)} EXISTS")
        if lines:
            await self._wire.send(("\r\n".join(lines) + "\r\n").encode())
