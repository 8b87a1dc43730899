"""A store whose hashes cost nothing, and a clock that is moved."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from argon2 import PasswordHasher

from router.access.person import EVERY, Role
from router.access.store import AccessStore
from router.access.totp_keys import TotpKeys
from router.sealing.sealer import Sealer
from tests.sealing.rings import NEW, OLD, masters, ring

#: Parameters of a hash that takes a millisecond: its cost is argon2's matter, not ours.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GOOD = "quatre-loutres-au-violon"
A, B = "750100125", "750100208"
NOBODY = "personne"


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


def opened(url: str, clock: MovedClock, hasher: PasswordHasher = CHEAP) -> AccessStore:
    return AccessStore(url, clock, idle=1800, longest=12 * 3600, hasher=hasher)


def people(store: AccessStore) -> None:
    """A reader of structure A, an operator of B, an administrator of all."""
    store.accounts.add("alice", GOOD, {A: Role.READER}, shown="Alice A.")
    store.accounts.add("bob", GOOD, {A: Role.READER, B: Role.OPERATOR})
    store.accounts.add("chef", GOOD, {EVERY: Role.ADMINISTRATOR})


def as_version_2(store: AccessStore) -> None:
    """Turn its tables into those of before people and tokens had ids."""
    gone = {"access_account": ("id",), "access_session": ("person",), "access_token": ("maker", "within")}
    with store._database.write() as db:
        for index in ("access_account_id", "access_session_person"):
            db.exec_driver_sql(f"DROP INDEX {index}")
        for table, columns in gone.items():
            for column in columns:
                db.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in ("access_provided", "access_ordered"):
            db.exec_driver_sql(f"DROP TABLE {table}")
        db.exec_driver_sql("UPDATE schema_versions SET version=2 WHERE room='access'")


class Seal:
    """The master key of a site: none at first, then turned on, rotated, and lost."""

    def __init__(self, store: AccessStore, folder: Path, clock: MovedClock) -> None:
        self.clock, self._folder = clock, folder
        self._ring = ring(folder, masters(OLD), clock)
        self._sealer: Sealer | None = None
        store.accounts.totp_keys = TotpKeys(lambda: self._sealer)

    def on(self) -> None:
        self._sealer = Sealer(self._ring)

    def rotate(self) -> None:
        """Another process of the site, with the new master key alone, after the old one was retired."""
        with closing(ring(self._folder, masters(NEW, OLD), self.clock)) as both:
            both.rotate()
            both.retire()
        self._ring.close()
        self._ring = ring(self._folder, masters(NEW), self.clock)
        self.on()

    def off(self) -> None:
        self._sealer = None

    def close(self) -> None:
        self._ring.close()
