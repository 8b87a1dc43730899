"""What the keyring promises on each database. A subclass gives the fixture `url` (an empty database)."""

from __future__ import annotations

import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection, select, update

from router.database import Database
from router.errors import OperatorFault, RouterError, Unavailable
from router.sealing.keyring import DAY, Keyring
from router.sealing.master import Masters, OwnMaster, master
from router.sealing.sealer import Sealer
from router.sealing.settings import MasterKey
from router.sealing.tables import METADATA, VERSION, WRAPS
from tests.sealing.rings import NEW, OLD, OTHER, Moved, masters, ring

WHAT: Final = b"what it is"
HOOK: Final = """#!{python}
import base64, sys, time
word, data = sys.argv[1], base64.b64decode(sys.stdin.read())
if {sleep}: time.sleep({sleep})
out = bytes(byte ^ 0x5a for byte in data)
print(base64.b64encode(out).decode())
sys.exit({code})
"""


def hook(folder: Path, *, code: int = 0, sleep: float = 0) -> Path:
    """A command as a site would write one for its KMS; it only flips bits."""
    path = folder / "kms"
    path.write_text(HOOK.format(python=sys.executable, code=code, sleep=sleep))
    path.chmod(stat.S_IRWXU)
    return path


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    """The tables, as who owns the database can change them."""
    database = Database("keyring", url, METADATA, VERSION)
    try:
        with database.write() as db:
            yield db
    finally:
        database.close()


class Slow:
    """A master key that a KMS holds: each wrap takes as long as the test says."""

    def __init__(self, inside: OwnMaster, hold: Callable[[], None]) -> None:
        self.id, self._inside, self._hold = inside.id, inside, hold

    def wrap(self, key_id: str, key: bytes) -> bytes:
        self._hold()
        return self._inside.wrap(key_id, key)

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        return self._inside.unwrap(key_id, wrapped)


class KeyringContract:
    """Every promise, one test each."""

    def test_one_data_key_a_day(self, url: str) -> None:
        """Two processes share the day's key; the next day has another, and what was sealed before is still read."""
        clock = Moved()
        with closing(ring(url, clock=clock)) as one, closing(ring(url, clock=clock)) as two:
            assert one.current() == two.current()
            sealed = Sealer(one).seal(b"MSH|", WHAT)
            clock.at += DAY
            assert one.current() == two.current()
            assert one.current().id_bytes != sealed[2:10]
            assert one.state().keys == 2
        with closing(ring(url, clock=clock)) as later:
            assert Sealer(later).unseal(sealed, WHAT) == b"MSH|"

    def test_rotation_step_by_step(self, url: str) -> None:
        """Old and new processes read each other's items at every step; after `retire` the old master opens nothing."""
        clock = Moved()
        old = ring(url, masters(OLD), clock)
        first = Sealer(old).seal(b"first", WHAT)
        new = ring(url, masters(NEW, OLD), clock)  # the site file names both
        new.verify()
        second = Sealer(new).seal(b"second", WHAT)
        with pytest.raises(OperatorFault, match="SEALING-NOT-ROTATED"):
            new.retire()
        assert (new.state().lacking, new.rotate(), new.rotate(), new.state().lacking) == (1, 1, 0, 0)
        assert Sealer(old).unseal(first, WHAT) == Sealer(new).unseal(first, WHAT) == b"first"
        assert new.retire() == [OLD.id]
        assert Sealer(old).seal(b"third", WHAT)[2:10] == first[2:10]  # a process of before goes on with its data key
        clock.at += DAY
        assert Sealer(old).seal(b"fourth", WHAT)[2:10] == first[2:10]  # and makes none under a master that was retired
        alone = ring(url, masters(NEW), clock)
        alone.verify()
        assert [Sealer(alone).unseal(one, WHAT) for one in (first, second)] == [b"first", b"second"]
        with pytest.raises(OperatorFault, match="SEALING-RETIRED"):
            ring(url, masters(OLD, NEW), clock).rotate()
        for one in (old, new, alone):
            one.close()

    def test_a_lost_master_key_says_what_is_lost(self, url: str) -> None:
        """Count, days, what still works, what to do; and nothing starts."""
        clock = Moved()
        with closing(ring(url, masters(OLD), clock)) as keys:
            sealed = Sealer(keys).seal(b"x", WHAT)
        with closing(ring(url, masters(OTHER), clock)) as keys:
            with pytest.raises(OperatorFault) as caught:
                keys.verify()
            assert caught.value.code == "SEALING-WRONG-MASTER"
            for words in ("1 of 1 data keys", "2027-01-15", "journal", "encryption.earlier"):
                assert words in caught.value.text
            with pytest.raises(OperatorFault, match="SEALING-WRONG-MASTER"):
                Sealer(keys).unseal(sealed, WHAT)
            with pytest.raises(OperatorFault, match="SEALING-WRONG-MASTER"):
                keys.rotate()

    def test_a_changed_keyring_is_found(self, url: str) -> None:
        """A wrap that was changed, or that stands under another data key's name."""
        clock = Moved()
        with closing(ring(url, clock=clock)) as keys:
            keys.current()
            clock.at += DAY
            keys.current()
        with changing(url) as db:
            wraps = list(db.execute(select(WRAPS.c.wrapped).order_by(WRAPS.c.at)).scalars())
            db.execute(update(WRAPS).where(WRAPS.c.wrapped == wraps[1]).values(wrapped=wraps[0]))
        with closing(ring(url, clock=clock)) as keys, pytest.raises(OperatorFault, match="SEALING-KEYRING"):
            keys.verify()

    def test_a_command_wraps_and_unwraps(self, url: str, tmp_path: Path) -> None:
        """A KMS or a PKCS#11 module behind a command: its key is never ours, and a rotation to it works."""
        config = MasterKey(command=(str(hook(tmp_path)),), name="kms:1", timeout=60)
        asked = master(config)
        with closing(ring(url, masters(OLD))) as keys:
            sealed = Sealer(keys).seal(b"x", WHAT)
        both = Masters(asked, {asked.id: asked, OLD.id: OLD})
        with closing(ring(url, lambda: both)) as keys:
            assert keys.rotate() == 1
            keys.retire()
        with closing(ring(url, lambda: Masters(asked, {asked.id: asked}))) as keys:
            keys.verify()
            assert Sealer(keys).unseal(sealed, WHAT) == b"x"

    def test_a_kms_that_is_away_stops_nobody_who_has_a_key(self, url: str) -> None:
        """The data key of yesterday serves on, and an alert says so."""
        clock, heard = Moved(), list[str]()

        class Away:
            id = OLD.id
            away = False

            def wrap(self, key_id: str, key: bytes) -> bytes:
                if self.away:
                    raise Unavailable("SEALING-COMMAND", "kms", "away")
                return OLD.wrap(key_id, key)

            unwrap = OLD.unwrap

        asked = Away()
        with closing(ring(url, lambda: Masters(asked, {asked.id: asked}), clock)) as keys:
            keys._alert = lambda what, _facts: heard.append(what)
            before = keys.current()
            asked.away = True
            clock.at += DAY
            assert keys.current() == keys.current() == before
            assert heard == ["data-key"]
            asked.away = False
            clock.at += 61
            assert keys.current() != before

    def test_processes_that_begin_a_day_at_once_make_one_key(self, url: str) -> None:
        """Eight keyrings, each with connections of its own, ask in the same moment."""
        clock = Moved()
        rings = [ring(url, clock=clock) for _ in range(8)]
        together = threading.Barrier(len(rings))

        def asked(keys: Keyring) -> str:
            together.wait(10)
            return keys.current().id

        with ThreadPoolExecutor(len(rings)) as pool:
            assert len(set(pool.map(asked, rings))) == 1
        assert rings[0].state().keys == 1
        for one in rings:
            one.close()

    def test_a_key_that_is_made_while_the_old_master_is_retired_stays_readable(self, url: str) -> None:
        """A process of before is in the middle of a wrap when `retire` runs: its key is opened after all."""
        clock = Moved()
        with closing(ring(url, masters(OLD), clock)) as keys:
            keys.current()
        new = ring(url, masters(NEW, OLD), clock)
        new.rotate()
        clock.at += DAY
        begun, retired = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            retired.wait(0.5)  # on a database with one writer at a time `retire` waits for us

        slow = Slow(OLD, hold)
        before = ring(url, lambda: Masters(slow, {slow.id: slow}), clock)
        faults: list[RouterError] = []

        def retire() -> None:
            try:
                new.retire()
            except RouterError as fault:
                faults.append(fault)
            retired.set()

        with ThreadPoolExecutor(2) as pool:
            made = pool.submit(before.current)
            assert begun.wait(10)
            pool.submit(retire).result(30)
            sealed = made.result(30)
        assert [fault.code for fault in faults] == ["SEALING-NOT-ROTATED"]
        new.rotate()
        assert new.retire() == [OLD.id]
        with closing(ring(url, masters(NEW), clock)) as alone:
            alone.verify()
            assert alone.key(sealed.id_bytes) == sealed.key
        before.close()
        new.close()

    def test_rotation_under_load_loses_nothing(self, url: str) -> None:
        """Three processes seal day after day while keys are rotated and retired twice; all is read afterwards."""
        clock, stop = Moved(), threading.Event()
        which = [masters(OLD)]
        rings = [ring(url, lambda: which[0](), clock) for _ in range(3)]  # noqa: PLW0108  # it changes
        sealed: list[bytes] = []

        def seal(keys: Keyring) -> None:
            sealer = Sealer(keys)
            while not stop.is_set():
                sealed.append(sealer.seal(b"x", WHAT))
                assert sealer.unseal(sealed[-1], WHAT) == b"x"

        def days(count: int) -> None:
            for _ in range(count):
                clock.at += DAY
                rings[0].current()

        rings[0].current()
        with ThreadPoolExecutor(3) as pool:
            work = [pool.submit(seal, keys) for keys in rings]
            days(3)
            for writes, reads in ((NEW, OLD), (OTHER, NEW)):
                which[0] = masters(writes, reads)
                rotator = ring(url, which[0], clock)
                rotator.rotate()
                days(3)
                rotator.rotate()
                assert rotator.retire() == [reads.id]
                which[0] = masters(writes)
                days(3)
                rotator.close()
            stop.set()
            for sealing in work:
                sealing.result(30)
        with closing(ring(url, masters(OTHER), clock)) as alone:
            alone.verify()
            assert all(Sealer(alone).unseal(one, WHAT) == b"x" for one in sealed)
        for one in rings:
            one.close()
