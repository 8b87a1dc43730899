"""What the ledger is asked for every message, on PostgreSQL: one statement each, so one trip to the server.

A statement that is a whole transaction also leaves no lock behind when its process is frozen at any instant. The
values travel as one JSON text: the types are those of the tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.contracts import Claim, Fence, Offsets, Row
from router.database import Database
from router.ledger import fences, marks
from router.ledger.tables import NAMES, STATE_COLUMNS, claim_columns, columns, rows_of, saved_columns

_SAW: Final = """
  INSERT INTO ledger_marks AS old(topic, partition, next)
  SELECT topic, partition, next FROM json_populate_recordset(NULL::ledger_marks, %s::json) {only}
  ON CONFLICT (topic, partition) DO UPDATE SET next = greatest(old.next, excluded.next)"""
# A claim that another transaction commits meanwhile is in neither part of the answer: it is asked for again.
_CLAIM: Final = f"""
WITH saw AS ({_SAW.format(only="")}
), claimed AS (
  INSERT INTO ledger_claims SELECT * FROM json_populate_recordset(NULL::ledger_claims, %s::json)
  ON CONFLICT (id) DO NOTHING RETURNING id, origin)
SELECT id, origin FROM claimed UNION ALL SELECT id, origin FROM ledger_claims WHERE id = ANY(%s)
"""
_OWNERS: Final = "SELECT id, origin FROM ledger_claims WHERE id = ANY(%s)"
_ACKS: Final = "SELECT id, ack FROM ledger_claims WHERE id = ANY(%s)"
_ROWS: Final = f"SELECT {', '.join(NAMES)} FROM ledger_deliveries WHERE id = ANY(%s)"
_OVERTAKERS: Final = f"""
SELECT {", ".join(NAMES)} FROM ledger_deliveries
WHERE sink = %s AND lineage = ANY(%s) AND action IN ('delete', 'replace')
UNION ALL
SELECT {", ".join(NAMES)} FROM ledger_deliveries
WHERE sink = %s AND replaces <> '' AND replaces = ANY(%s) AND action IN ('delete', 'replace')
"""

# The share lock on the epochs, taken in the order of `fences.take`, keeps them still until the statement has ended;
# it waits for a taking that is under way and then sees its epoch. All is written, or nothing when one is lost.
# The list of ids says the same as the join, but it makes the planner use the index whatever it believes of the JSON.
_WRITE: Final = f"""
WITH asked AS (
  SELECT * FROM json_to_recordset(%s::json) AS asked(sink text, partition int, epoch bigint)
), held AS (
  SELECT fences.sink, fences.partition, fences.epoch FROM ledger_fences fences JOIN asked USING (sink, partition)
  ORDER BY fences.sink, fences.partition FOR SHARE OF fences
), lost AS (
  SELECT asked.partition FROM asked LEFT JOIN held USING (sink, partition)
  WHERE (held.epoch = asked.epoch) IS NOT TRUE
), opened AS (
  INSERT INTO ledger_deliveries
  SELECT * FROM json_populate_recordset(NULL::ledger_deliveries, %s::json) WHERE NOT EXISTS (SELECT FROM lost)
  ON CONFLICT (id) DO NOTHING RETURNING id
), saved AS (
  UPDATE ledger_deliveries old SET {", ".join(f"{name} = new.{name}" for name in STATE_COLUMNS)}
  FROM json_populate_recordset(NULL::ledger_deliveries, %s::json) new
  WHERE old.id = ANY(%s) AND old.id = new.id AND NOT EXISTS (SELECT FROM lost)
), saw AS ({_SAW.format(only="WHERE NOT EXISTS (SELECT FROM lost)")}
)
SELECT id, NULL::int FROM opened UNION ALL SELECT NULL, partition FROM lost
"""


class PostgresqlFastPath:
    """See `SqlLedger`, whose methods these are; batches are not empty, and hold an id once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, claims: Sequence[Claim], seen: Offsets) -> dict[str, str]:
        """Id -> origin of its owner."""
        ids = [claim.id for claim in claims]
        values = (_json(marks.columns(seen)), _json(map(_claimed, claims)), ids)
        with self._database.raw_driver() as connection:
            owners = dict(connection.execute(_CLAIM, values).fetchall())
            if missing := [id_ for id_ in ids if id_ not in owners]:
                owners.update(connection.execute(_OWNERS, (missing,)).fetchall())
            return owners

    def acks(self, ids: Sequence[str]) -> dict[str, bytes]:
        with self._database.raw_driver() as connection:
            return dict(connection.execute(_ACKS, (list(ids),)).fetchall())

    def write(self, opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None) -> Mapping[str, Row]:
        asked = [] if fence is None else _asked((*opens, *saves), fence)
        saved = [row.delivery.id for row in saves]
        saw = _json(marks.columns(marks.of_rows(opens)))
        values = (_json(asked), _json(map(columns, opens)), _json(map(saved_columns, saves)), saved, saw)
        with self._database.raw_driver() as connection:
            found = connection.execute(_WRITE, values).fetchall()
        fences.refuse([number for id_, number in found if id_ is None])
        opened = {id_ for id_, _ in found}
        known = [row.delivery.id for row in opens if row.delivery.id not in opened]
        return self.get(known) if known else {}

    def get(self, ids: Sequence[str]) -> dict[str, Row]:
        with self._database.raw_driver() as connection:
            return rows_of(connection.execute(_ROWS, (list(ids),)))

    def overtakers(self, sink: str, names: Sequence[str]) -> dict[str, Row]:
        with self._database.raw_driver() as connection:
            return rows_of(connection.execute(_OVERTAKERS, (sink, list(names)) * 2))


def _asked(rows: Sequence[Row], fence: Fence) -> list[dict[str, Any]]:
    """The partitions of these rows, and the epochs at which the writer took them."""
    places = {(row.delivery.sink, row.partition) for row in rows}
    return [{"sink": sink, "partition": n, "epoch": fence.get((sink, n))} for sink, n in places]


def _claimed(claim: Claim) -> dict[str, Any]:
    return claim_columns(claim) | {"ack": f"\\x{claim.ack.hex()}"}


def _json(values: Any) -> str:
    return json.dumps(list(values))
