"""Who may write a partition's rows: epochs in the ledger itself, so that who lost a partition writes nothing there.

The epochs are read in the transaction that writes. On SQLite its write lock keeps them still until the commit; on
PostgreSQL a share lock on their rows does, for which `take` waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Fence
from router.errors import Fenced
from router.ledger.tables import FENCES

_of = FENCES.c
# On the hot path, so straight by the driver. In the order of the partitions, here and in `take`: two transactions
# take their locks in the same order.
_SQLITE: Final = "SELECT partition, epoch FROM ledger_fences WHERE sink = ?"
_POSTGRESQL: Final = (
    "SELECT partition, epoch FROM ledger_fences WHERE sink = %s AND partition = ANY(%s) ORDER BY partition FOR SHARE"
)


def take(connection: Connection, sink: str, partitions: Collection[int]) -> dict[int, int]:
    """Raise the epochs of these partitions, from 1 on; returns them."""
    words: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = words.insert(FENCES)
    upsert = insert.on_conflict_do_update(index_elements=[_of.sink, _of.partition], set_={"epoch": _of.epoch + 1})
    upsert = upsert.returning(_of.epoch)
    taken: dict[int, int] = {}
    for number in sorted(set(partitions)):
        taken[number] = connection.execute(upsert, {"sink": sink, "partition": number, "epoch": 1}).scalar_one()
    return taken


def check(connection: Connection, places: Iterable[tuple[str, int]], fence: Fence | None) -> None:
    """Raise `Fenced` unless the writer holds the present epoch of all these (sink, partition)."""
    if fence is None:
        return
    asked: dict[str, set[int]] = {}
    for sink, number in set(places):
        asked.setdefault(sink, set()).add(number)
    lost: set[int] = set()
    for sink, numbers in asked.items():
        present = _present(connection, sink, numbers)
        lost |= {n for n in numbers if n not in present or fence.get((sink, n)) != present[n]}
    if lost:
        raise Fenced("LEDGER-EPOCH", "", "another process took the partition", partitions=frozenset(lost))


def _present(connection: Connection, sink: str, numbers: set[int]) -> dict[int, int]:
    """The epochs now; they stay so until this transaction ends."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(_SQLITE, (sink,))
    else:
        found = connection.exec_driver_sql(_POSTGRESQL, (sink, sorted(numbers)))
    return {row.partition: row.epoch for row in found}
