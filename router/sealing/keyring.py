"""The data keys of a site: one a day, wrapped by the master key, in the site's database.

A data key is never changed and never removed. Rotation adds a wrap under the new master key to each of them, then
`retire` removes those of the old one; what was sealed stays as it is.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, delete, func, select, text

from router.contracts import Alert, Clock, no_alert
from router.database import Database
from router.errors import OperatorFault, RouterError, Unavailable
from router.language import filled
from router.sealing.envelope import ID_BYTES, KEY_BYTES
from router.sealing.master import Master, Masters
from router.sealing.tables import KEYS, METADATA, RETIRED, VERSION, WRAPS

DAY: Final = 86_400.0
_TRY_AGAIN: Final = 60.0
"""Seconds between two tries to make the data key of a new day."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """`id`: 16 hex digits;  `created`: Unix seconds."""

    id: str
    created: float
    key: bytes = field(repr=False)

    @property
    def id_bytes(self) -> bytes:
        return bytes.fromhex(self.id)


@dataclass(frozen=True, slots=True)
class State:
    """What `keys status` shows. Times are Unix seconds.

    by_master:  master -> data keys that have a wrap of it;  retired: masters that wrap no more
    unreadable: data keys that no master key of the site file opens, with the time of the oldest and the newest
    """

    keys: int
    newest: float | None
    writes: str
    reads: Sequence[str]
    by_master: Mapping[str, int]
    retired: Sequence[str]
    unreadable: int
    lost: tuple[float, float] | None
    lacking: int
    """Data keys that the master key which writes does not wrap yet: `keys rotate` does it."""


class Keyring:
    """Any thread. What it has opened once stays in memory: a database or a KMS that is away stops no reader of it."""

    def __init__(self, url: str, masters: Callable[[], Masters], clock: Clock, alert: Alert = no_alert) -> None:
        """masters: those of the site file, read again when the keyring needs one that it does not have.

        Raises `OperatorFault` for a master key that is missing, is no key, or can't open the newest data key.
        """
        self._masters = masters
        self._clock, self._alert = clock, alert
        self._lock = threading.Lock()
        self._known: dict[str, bytes] = {}
        self._current: DataKey | None = None
        self._tried = float("-inf")
        masters()
        self._database = Database("keyring", url, METADATA, VERSION, {})

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------------------------------------- the data keys

    def verify(self) -> None:
        """Raises `OperatorFault` (`SEALING-WRONG-MASTER`) when a data key would stay closed, else what is in the way.

        So a router never starts that could write what it can't read, or could read a half of what it wrote.
        """
        self.opens()
        self.current()

    def opens(self) -> None:
        """The same, and makes no data key: for who only looks."""
        state = self.state()
        if state.unreadable:
            raise OperatorFault("SEALING-WRONG-MASTER", "encryption", self._lost(state))
        with self._database.read() as connection:
            newest = connection.execute(select(KEYS.c.id).order_by(KEYS.c.created.desc())).scalar()
        if newest is not None:
            self.key(bytes.fromhex(newest))

    def current(self) -> DataKey:
        """The key to seal with now. At the beginning of a day the first that asks makes it, for all processes.

        Raises `Unavailable`, `OperatorFault` when there is none at all; while the new day's can't be made, that of the
        day before serves on.
        """
        now, held = self._clock.now(), self._current
        if held is not None and now // DAY == held.created // DAY:
            return held
        with self._lock:
            held = self._current
            if held is not None and (now // DAY == held.created // DAY or now - self._tried < _TRY_AGAIN):
                return held
            self._tried = now
            try:
                self._current = self._of_today(now)
            except RouterError as fault:
                if held is None:
                    raise
                self._alert("data-key", {"code": fault.code, "place": fault.place, "text": fault.text})
                return held
            self._known[self._current.id] = self._current.key
            return self._current

    def key(self, key_id: bytes) -> bytes:
        """The data key of a sealed item. Raises `OperatorFault` (`SEALING-NO-KEY`, `SEALING-WRONG-MASTER`)."""
        name = key_id.hex()
        found = self._known.get(name)
        if found is None:
            with self._database.read() as connection:
                found = self._opened(connection, name, self._masters())
            self._known[name] = found
        return found

    # ------------------------------------------------------------------------------------------- the master keys

    def state(self) -> State:
        masters = self._masters()
        with self._database.read() as connection:
            keys: dict[str, float] = {row.id: row.created for row in connection.execute(select(KEYS))}
            pairs = connection.execute(select(WRAPS.c.key_id, WRAPS.c.master)).fetchall()
            retired = list(connection.execute(select(RETIRED.c.master).order_by(RETIRED.c.at)).scalars())
        wraps: dict[str, set[str]] = {name: set() for name in keys}
        for key_id, name in pairs:
            wraps.setdefault(key_id, set()).add(name)
        names = sorted({name for _, name in pairs})
        closed = [keys[key] for key in keys if not wraps[key] & masters.reads.keys()]
        return State(
            keys=len(keys),
            newest=max(keys.values(), default=None),
            writes=masters.writes.id,
            reads=sorted(masters.reads),
            by_master={name: sum(name in held for held in wraps.values()) for name in names},
            retired=retired,
            unreadable=len(closed),
            lost=(min(closed), max(closed)) if closed else None,
            lacking=sum(masters.writes.id not in wraps[key] for key in keys),
        )

    def rotate(self) -> int:
        """Wrap every data key under the master key that writes; returns for how many it was needed. May run again.

        Raises `OperatorFault` for a master key that was retired, and when a data key can't be opened: none is changed.
        """
        masters = self._masters()
        with self._alone() as connection:
            self._not_retired(connection, masters)
            done = select(WRAPS.c.key_id).where(WRAPS.c.master == masters.writes.id)
            lacking = list(connection.execute(select(KEYS.c.id).where(KEYS.c.id.not_in(done))).scalars())
            for name in lacking:
                self._wrap(connection, masters.writes, name, self._opened(connection, name, masters))
        return len(lacking)

    def retire(self) -> Sequence[str]:
        """Remove the wraps of every other master key than the one that writes; returns their names.

        They wrap no more: a process that still has one of them to write with takes the new one, or keeps its data key.
        Raises `OperatorFault` (`SEALING-NOT-ROTATED`) while a data key lacks the new wrap.
        """
        masters = self._masters()
        with self._alone() as connection:
            done = select(WRAPS.c.key_id).where(WRAPS.c.master == masters.writes.id)
            if connection.execute(select(func.count()).where(KEYS.c.id.not_in(done))).scalar():
                raise OperatorFault("SEALING-NOT-ROTATED", "encryption", "run `segur-router keys rotate` first")
            others = WRAPS.c.master != masters.writes.id
            names = list(connection.execute(select(WRAPS.c.master).where(others).distinct()).scalars())
            connection.execute(delete(WRAPS).where(others))
            for name in names:
                connection.execute(RETIRED.insert().values(master=name, at=self._clock.now()))
        return sorted(names)

    # ------------------------------------------------------------------------------------------- inside

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction of which there is one at a time: no key is made twice a day, or while masters are retired."""
        with self._database.write() as connection:
            if self._database.dialect == "postgresql":  # an SQLite file has one writer anyway
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('segur-router keyring'))"))
            yield connection

    def _of_today(self, now: float) -> DataKey:
        masters = self._masters()
        with self._alone() as connection:
            self._not_retired(connection, masters)
            query = (
                select(KEYS)
                .join(WRAPS, WRAPS.c.key_id == KEYS.c.id)
                .where(WRAPS.c.master == masters.writes.id, KEYS.c.created >= now // DAY * DAY, KEYS.c.created <= now)
                .order_by(KEYS.c.created.desc())
            )
            if (row := connection.execute(query).first()) is not None:
                return DataKey(row.id, row.created, self._opened(connection, row.id, masters))
            name, key = secrets.token_hex(ID_BYTES), secrets.token_bytes(KEY_BYTES)
            connection.execute(KEYS.insert().values(id=name, created=now))
            self._wrap(connection, masters.writes, name, key)
            self._wrap_for_others(connection, masters, name, key)
        return DataKey(name, now, key)

    def _wrap_for_others(self, connection: Connection, masters: Masters, name: str, key: bytes) -> None:
        """Also under the earlier master keys, until they are retired: a process that has no other reads on."""
        retired = set(connection.execute(select(RETIRED.c.master)).scalars())
        for other in masters.reads.keys() - retired - {masters.writes.id}:
            with suppress(Unavailable):
                self._wrap(connection, masters.reads[other], name, key)

    def _wrap(self, connection: Connection, master: Master, name: str, key: bytes) -> None:
        """What was wrapped is opened again before anything relies on it."""
        wrapped = master.wrap(name, key)
        if master.unwrap(name, wrapped) != key:
            raise OperatorFault("SEALING-MASTER", master.id, "the master key does not open what it has wrapped")
        connection.execute(WRAPS.insert().values(key_id=name, master=master.id, wrapped=wrapped, at=self._clock.now()))

    def _opened(self, connection: Connection, name: str, masters: Masters) -> bytes:
        if (held := self._known.get(name)) is not None:
            return held
        rows = connection.execute(select(WRAPS.c.master, WRAPS.c.wrapped).where(WRAPS.c.key_id == name)).fetchall()
        if not rows:
            text = "no data key of this name: `keyring` of this site is lost, or belongs to another site"
            raise OperatorFault("SEALING-NO-KEY", name, text)
        away: Unavailable | None = None
        for master, wrapped in rows:
            if (one := masters.reads.get(master)) is None:
                continue
            try:
                return one.unwrap(name, wrapped)
            except Unavailable as fault:
                away = fault
        if away is not None:
            raise away
        raise OperatorFault("SEALING-WRONG-MASTER", "encryption", self._lost(self.state()))

    def _not_retired(self, connection: Connection, masters: Masters) -> None:
        if connection.execute(select(RETIRED).where(RETIRED.c.master == masters.writes.id)).first() is not None:
            text = "this master key was retired: name its successor in `encryption.master_key`"
            raise OperatorFault("SEALING-RETIRED", masters.writes.id, text)

    def _lost(self, state: State) -> str:
        """What can't be read any more, and what still works."""
        first, last = state.lost or (0.0, 0.0)
        return filled(
            "no master key here opens {count} of {keys} data keys: what was sealed with those made from {first} to "
            "{last} can't be read (messages on the bus, contents of the archive); journal, receipts' digests and what "
            "is sealed from now on under a new key are not concerned. Name the missing master key in "
            "`encryption.earlier`",
            count=state.unreadable,
            keys=state.keys,
            first=_day(first),
            last=_day(last),
        )


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
