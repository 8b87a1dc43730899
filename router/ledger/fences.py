"""Who may write a partition's rows: epochs in the ledger itself, so that who lost a partition writes nothing there.

They are read in the transaction that writes (`fast_path_sqlite`, `fast_path_postgresql`). On SQLite its write lock
keeps them still until the commit; on PostgreSQL a share lock on their rows does, for which `take` waits.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from router.errors import Fenced
from router.ledger.tables import FENCES

_of = FENCES.c


def refuse(lost: Collection[int]) -> None:
    """Raise `Fenced` when there are any: partitions whose present epoch the writer does not hold."""
    if lost:
        raise Fenced("LEDGER-EPOCH", "", "another process took the partition", partitions=frozenset(lost))


def take(connection: Connection, sink: str, partitions: Collection[int]) -> dict[int, int]:
    """Raise the epochs of these partitions, from 1 on, in their order, as every writer locks them; returns them."""
    words: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = words.insert(FENCES)
    upsert = insert.on_conflict_do_update(index_elements=[_of.sink, _of.partition], set_={"epoch": _of.epoch + 1})
    upsert = upsert.returning(_of.epoch)
    taken: dict[int, int] = {}
    for number in sorted(set(partitions)):
        taken[number] = connection.execute(upsert, {"sink": sink, "partition": number, "epoch": 1}).scalar_one()
    return taken
