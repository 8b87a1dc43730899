"""The archive of a site: what was kept of a delivery, read back, verified, purged."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from isal import igzip, isal_zlib
from pydantic import TypeAdapter
from sqlalchemy import Row, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.archive.contents import DAY, Contents
from router.archive.item import Item, Record
from router.archive.settings import ArchiveConfig
from router.archive.tables import ITEMS, METADATA, RECEIPTS, VERSION
from router.audit.event import AuditEvent
from router.contracts import Clock
from router.contracts.keeping import Kept, Kind
from router.database import Database, Many
from router.errors import Malformed, OperatorFault
from router.exchange import Receipt, ReceiptKind
from router.sealing import envelope
from router.sealing.sealer import Sealer

_RECEIPT: Final = TypeAdapter(Receipt)
_AT_ONCE: Final = 500
_RECENT: Final = 1000
_LEVEL: Final = 1
_GZIP: Final = 31
"""`wbits` of zlib for a gzip member."""
_BLOCK: Final = 1 << 20
_AS_IT_IS: Final = frozenset({Kind.MAIL, Kind.SOAP_REQUEST})
"""Documents in base64, or compressed already: to pack them costs more than the rest, and saves a quarter at most."""
_COLUMNS: Final = [ITEMS.c[name] for name in Item.__slots__ if name != "stored"] + [ITEMS.c.place]


@dataclass(frozen=True, slots=True)
class Purged:
    """`bytes`: of contents; `contents`, `proofs`: lines that lost their content, and lines and receipts removed."""

    bytes: int
    contents: int
    proofs: int


@dataclass(frozen=True, slots=True)
class Size:
    """`stored`: items that still have a content; `bytes`: of these before they were packed; `oldest`: Unix seconds."""

    items: int
    stored: int
    bytes: int
    receipts: int
    oldest: float | None


class Archive:
    """`item.Reading`, and what the commands and the upkeep need. Any thread, but `write`: one."""

    def __init__(
        self, url: str, folder: Path, sealer: Sealer, config: ArchiveConfig, clock: Clock, audit: Record
    ) -> None:
        """`audit` writes the line without which nothing is read. Raises `OperatorFault`; the database may be away."""
        self._database = Database("archive", url, METADATA, VERSION, {})
        self._new_items, self._new_receipts = self._new(ITEMS, "id"), self._new(RECEIPTS, "digest")
        self._recent: dict[str, None] = {}
        """Items that were kept last: an attempt that is repeated writes nothing. After a restart the line stays the
        first one, and what is appended behind goes with its day."""
        self._contents = Contents(folder)
        self._sealer, self._config, self._clock, self._audit = sealer, config, clock, audit

    def close(self) -> None:
        self._contents.close()
        self._database.close()

    # ------------------------------------------------------------------------------------------- looking

    def items(self, delivery_id: str) -> Sequence[Item]:
        """See `item.Reading`."""
        return [_item(row, self._clock.now()) for row in self._rows(ITEMS.c.delivery_id == delivery_id)]

    def item(self, item_id: str) -> Item | None:
        """See `item.Reading`."""
        return next((_item(row, self._clock.now()) for row in self._rows(ITEMS.c.id == item_id)), None)

    def read(self, item: Item, asked: AuditEvent) -> bytes:
        """See `item.Reading`."""
        self._audit(replace(asked, kind="archive", object=item.id))
        return self._opened(item.id)

    def receipts(self, delivery_id: str) -> Sequence[Receipt]:
        """The receipts that ended a delivery, and its reports, in the order of time."""
        query = select(RECEIPTS.c.body).where(RECEIPTS.c.delivery_id == delivery_id).order_by(RECEIPTS.c.at)
        with self._database.read() as connection:
            return [_RECEIPT.validate_json(body) for body in connection.execute(query).scalars()]

    def verify(self, since: float = 0.0) -> Iterator[tuple[Item, str]]:
        """Read every content kept since then, and yield those that are not what was kept, with the fault's code."""
        after, now = "", self._clock.now()
        while True:
            where = (ITEMS.c.id > after) & (ITEMS.c.place != "") & (ITEMS.c.content_until >= now)
            query = select(*_COLUMNS).where(where, ITEMS.c.at >= since).order_by(ITEMS.c.id).limit(_AT_ONCE)
            with self._database.read() as connection:
                rows = connection.execute(query).fetchall()
            for row in rows:
                try:
                    self._opened(row.id)
                except OperatorFault as fault:
                    yield _item(row, now), fault.code
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1].id

    def size(self) -> Size:
        query = select(
            func.count(),
            func.count().filter(ITEMS.c.place != ""),
            func.coalesce(func.sum(ITEMS.c.size), 0),
            func.min(ITEMS.c.at),
        )
        with self._database.read() as connection:
            items, stored, held, oldest = connection.execute(query.select_from(ITEMS)).one()
            receipts = connection.execute(select(func.count()).select_from(RECEIPTS)).scalar() or 0
        return Size(items, stored, int(held), receipts, oldest)

    # ------------------------------------------------------------------------------------------- keeping

    def write(self, things: Sequence[tuple[Kept, str]]) -> None:
        """Keep these, each with its digest; durable on return. Those that are kept already add nothing.

        Raises `Unavailable`, `OperatorFault`, OSError: then nothing of them is kept.
        """
        now = self._clock.now()
        wanted = {item_id(what, digest): (what, digest) for what, digest in things}
        try:
            rows = [self._kept(name, *wanted[name], now) for name in sorted(wanted.keys() - self._recent.keys())]
            if not rows:
                return
            self._contents.forget_old(now)
            self._contents.sync()
        except OSError:
            self._contents.abandon()
            raise
        with self._database.write() as connection:
            self._new_items(connection, rows)
        self._recent |= dict.fromkeys(row["id"] for row in rows)
        for name in list(self._recent)[:-_RECENT]:
            del self._recent[name]

    def write_receipts(self, receipts: Sequence[Receipt]) -> None:
        """Keep those that end a delivery, and the reports. Raises `Unavailable`."""
        rows = {}
        for receipt in receipts:
            if receipt.kind is ReceiptKind.ATTEMPT or not receipt.delivery_id:
                continue
            body = _RECEIPT.dump_json(receipt, exclude_defaults=True)
            digest = hashlib.sha256(body).hexdigest()
            until = receipt.at + self._config.proof_seconds
            values = (digest, receipt.delivery_id, receipt.at, until, body.decode())
            rows[digest] = dict(zip(RECEIPTS.c.keys(), values, strict=True))
        if rows:
            with self._database.write() as connection:
                self._new_receipts(connection, [rows[name] for name in sorted(rows)])

    def purge(self) -> Purged:
        """Remove what has expired: folders of contents first, then lines in small transactions."""
        now = self._clock.now()
        freed = self._contents.purge(now)
        over = select(ITEMS.c.id).where(ITEMS.c.place != "", ITEMS.c.content_until < now - DAY).limit(_AT_ONCE)
        contents = self._each(lambda: update(ITEMS).where(ITEMS.c.id.in_(over)).values(place=""))
        proofs = 0
        for table, key in ((ITEMS, ITEMS.c.id), (RECEIPTS, RECEIPTS.c.digest)):
            old = select(key).where(table.c.proof_until < now).limit(_AT_ONCE)
            proofs += self._each(lambda table=table, key=key, old=old: delete(table).where(key.in_(old)))
        return Purged(freed, contents, proofs)

    # ------------------------------------------------------------------------------------------- inside

    def _kept(self, name: str, what: Kept, digest: str, now: float) -> dict[str, Any]:
        seconds = self._config.content_seconds(what.kind)
        place, offset, length, coding = "", 0, 0, "" if what.kind in _AS_IT_IS else "gzip"
        if seconds:
            bound = _bound(name, what.delivery_id, what.event_id, what.kind, what.name, digest, coding)
            blocks = _packed(what.parts) if coding else _blocks(what.parts)
            sealed = self._sealer.stream(blocks, bound) if what.size > _BLOCK else [self._sealed(blocks, bound)]
            place, offset, length = self._contents.append(now + seconds, sealed)
        return {
            "id": name,
            "delivery_id": what.delivery_id,
            "event_id": what.event_id,
            "kind": str(what.kind),
            "name": what.name,
            "at": now,
            "size": what.size,
            "sha256": digest,
            "content_until": now + seconds,
            "proof_until": now + max(self._config.proof_seconds, seconds),
            "place": place,
            "offset": offset,
            "length": length,
            "coding": coding,
        }

    def _sealed(self, blocks: Iterable[bytes], bound: bytes) -> bytes:
        """A small one at once: half the time of a stream of one piece."""
        return self._sealer.seal(b"".join(blocks), bound)

    def _opened(self, name: str) -> bytes:
        with self._database.read() as connection:
            row = connection.execute(select(ITEMS).where(ITEMS.c.id == name)).first()
        if row is None or not row.place or row.content_until < self._clock.now():
            raise OperatorFault("ARCHIVE-REMOVED", name, "the content was removed after its time; its proof stays")
        bound = _bound(row.id, row.delivery_id, row.event_id, row.kind, row.name, row.sha256, row.coding)
        try:
            sealed = self._contents.read(row.place, row.offset, row.length)
            data = self._sealer.unseal(sealed, bound)
            if row.coding:
                data = bytes(igzip.decompress(data))  # type: ignore[no-untyped-call]
        except FileNotFoundError:
            raise OperatorFault("ARCHIVE-LOST", name, "the file of this content is gone: see the backup") from None
        except (Malformed, zlib.error, EOFError, OSError):
            raise _damaged(name) from None
        if len(data) != row.size or hashlib.sha256(data).hexdigest() != row.sha256:
            raise _damaged(name)
        return data

    def _rows(self, where: Any) -> Sequence[Row[Any]]:
        query = select(*_COLUMNS).where(where, ITEMS.c.proof_until > self._clock.now()).order_by(ITEMS.c.at, ITEMS.c.id)
        with self._database.read() as connection:
            return connection.execute(query).fetchall()

    def _new(self, table: Table, key: str) -> Many:
        """One statement, compiled once."""
        words: Any = postgresql if self._database.dialect == "postgresql" else sqlite
        return self._database.many(words.insert(table).on_conflict_do_nothing(index_elements=[key]), table.c.keys())

    def _each(self, statement: Any) -> int:
        """Run it until it changes nothing more; returns how many rows it changed."""
        changed = 0
        while True:
            with self._database.write() as connection:
                count = connection.execute(statement()).rowcount
            changed += count
            if count < _AT_ONCE:
                return changed


def item_id(what: Kept, digest: str) -> str:
    """The same bytes of the same delivery are the same item, however often they are sent."""
    text = "|".join((what.delivery_id, what.kind, what.name, digest))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _bound(*facts: str) -> bytes:
    """What an item is, as associated data of its content: a line that was changed opens nothing."""
    return envelope.context("archive", *map(str, facts))


def _blocks(parts: Sequence[bytes | memoryview]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes) and len(part) <= _BLOCK:
            yield part
            continue
        view = memoryview(part)
        for at in range(0, len(part), _BLOCK):
            yield bytes(view[at : at + _BLOCK])


def _packed(parts: Sequence[bytes | memoryview]) -> Iterator[bytes]:
    """One gzip member of the parts, block by block."""
    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
    for block in _blocks(parts):
        yield packer.compress(block)
    yield packer.flush()


def _damaged(name: str) -> OperatorFault:
    return OperatorFault(
        "ARCHIVE-DAMAGED", name, "what stands on the disk is not what was kept: changed, cut or exchanged"
    )


def _item(row: Row[Any], now: float) -> Item:
    values = {name: getattr(row, name) for name in Item.__slots__ if name != "stored"}
    values["kind"] = Kind(values["kind"])
    return Item(**values, stored=bool(row.place) and row.content_until >= now)
