"""What our own ledger proves of a document that the DMP does not find (decisions D1).

Two approved versions, or a deleted document that returns, are worse than a delay: so only a chain of predecessors of
which none can have reached the DMP allows a replacement to be published as a first version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from router.contracts import Row
from router.exchange import State

DOCUMENT: Final = "xds_unique_ids"
"""Evidence of a deposit: `level=uniqueId` of each document, blank-separated."""
HASHES: Final = "xds_hashes"
"""Evidence of a deposit: `uniqueId=SHA-1` of each document, blank-separated."""
PATIENT: Final = "patient"
"""Evidence of a deposit: pseudonym of the INS it was made under."""
MADE: Final = "made"
"""Progress of a deposit or a deletion: `level=uniqueId` of each document that is done, blank-separated."""
_MADE: Final = f"progress.{MADE}"
"""The same as evidence of a row that did not end well."""


@dataclass(frozen=True, slots=True)
class DepositHistory:
    """What the ledger proves of the versions before a document.

    absent:    every version up to the first was refused, superseded or never sent
    none:      no version up to the first held a document of this level, but some version did arrive
    deposited: the newest ancestor that did reach the DMP is `ids` (level -> uniqueId), done at `at`
    unproven:  the ledger doesn't know, or a deletion lies in between
    """

    kind: Literal["absent", "none", "deposited", "unproven"]
    ids: tuple[tuple[int, str], ...] = ()
    at: float = 0.0


def ancestry(rows: Sequence[Row], document: str, current: str, level: int) -> DepositHistory:
    """Walk back from `document` (a pseudonym) over the deliveries of a lineage, for its document of this level.

    `current`: our own delivery id. Of a pair one document may have arrived and the other not.
    """
    wanted, seen, arrived = document, set[str](), False
    while wanted and wanted not in seen:
        seen.add(wanted)
        mine = [row for row in rows if row.delivery.document == wanted and row.delivery.id != current]
        deposits = [row for row in mine if row.delivery.action != "delete"]
        if any(row.delivery.action == "delete" and _may_lack(row, level) for row in mine) or not deposits:
            return DepositHistory("unproven")
        done = [row for row in deposits if _holds(row, level)]
        if done:
            last = done[-1]
            return DepositHistory("deposited", deposited_ids(last), last.updated)
        if any(_unsure(row) for row in deposits):
            return DepositHistory("unproven")
        arrived = arrived or any(deposited_ids(row) for row in deposits)
        wanted = deposits[-1].delivery.replaces
    if wanted:
        return DepositHistory("unproven")
    return DepositHistory("none" if arrived else "absent")


def _holds(row: Row, level: int) -> bool:
    """Whether a document of this level reached the DMP by this row; a success that names none may have held any."""
    ids = dict(deposited_ids(row))
    return level in ids or (row.state is State.DONE and not ids)


def _may_lack(deletion: Row, level: int) -> bool:
    """Whether a deletion may have taken the document of this level down: not one that was refused for it."""
    return deletion.state is not State.DEAD or level in dict(deposited_ids(deletion))


def _unsure(row: Row) -> bool:
    """Whether it is not known what of this deposit arrived: it has not ended, or an attempt has an unknown outcome."""
    if row.state is State.DONE:
        return False
    return row.outcome_unknown or row.state not in (State.DEAD, State.SUPERSEDED)


def known_unfed(rows: Sequence[Row], document: str) -> bool:
    """Whether the ledger knows deposits of this very document and none of them succeeded."""
    mine = _deposits(rows, document)
    return bool(mine) and not any(row.state is State.DONE or deposited_ids(row) for row in mine)


def doubtful(rows: Sequence[Row], document: str) -> list[Row]:
    """Deposits of this document and of its ancestors, the newest version first, of which an attempt may have arrived.

    Back to the newest version that certainly did: what that one replaced is shown no more.
    """
    found: list[Row] = []
    for tried in _versions(rows, document):
        if any(row.state is State.DONE for row in tried):
            break
        found += [row for row in tried if not never_arrived(row)]
    return found


def predecessor(rows: Sequence[Row], document: str) -> str:
    """Pseudonym of what this document was to replace; "" for a first version, or one we never saw."""
    tried = _deposits(rows, document)
    return tried[-1].delivery.replaces if tried else ""


def _versions(rows: Sequence[Row], document: str) -> Iterator[list[Row]]:
    """The deposits of this document, then those of each of its ancestors, the nearest first."""
    seen = set[str]()
    while document and document not in seen:
        seen.add(document)
        tried = _deposits(rows, document)
        yield tried
        document = tried[-1].delivery.replaces if tried else ""


def _deposits(rows: Sequence[Row], document: str) -> list[Row]:
    return [row for row in rows if row.delivery.document == document and row.delivery.action != "delete"]


def newest_deposit(rows: Sequence[Row], document: str, level: int | None = None) -> Row | None:
    """The deposit of this document, else that of its nearest ancestor that reached the DMP; None without any.

    level: only a deposit that holds a document of this level. For a deletion: what it overtook may be unproven, the
    version that is still shown must go all the same.
    """
    for tried in _versions(rows, document):
        if done := [row for row in tried if row.state is State.DONE or deposited_ids(row)]:
            if level is None:
                return done[-1]
            if held := [row for row in done if _holds(row, level)]:
                return held[-1]
    return None


def known_parts(rows: Sequence[Row], document: str) -> dict[str, int]:
    """uniqueId -> level of every document that we fed under this document's name: both of a pair."""
    return {unique_id: level for row in _deposits(rows, document) for level, unique_id in deposited_ids(row)}


def deleted(rows: Sequence[Row], document: str, current: str, named: Iterable[str]) -> frozenset[str]:
    """The uniqueIds that deletions of ours took down and that were not published again since.

    `current`: our own delivery id. `named`: what stands for a deletion that succeeded and names no ids.
    """
    gone = [row for row in rows if _deletes(row, document) and row.delivery.id != current]
    fed = max((row.updated for row in _deposits(rows, document) if row.state is State.DONE), default=0.0)
    ids: set[str] = set()
    for row in gone:
        if row.updated >= fed:
            found = [unique_id for _, unique_id in deposited_ids(row)]
            ids.update(found or (named if row.state is State.DONE else ()))
    return frozenset(ids)


def _deletes(row: Row, document: str) -> bool:
    return row.delivery.document == document and row.delivery.action == "delete"


def never_arrived(row: Row) -> bool:
    """Ended without success, and neither an attempt of unknown outcome nor a document that was made on the way."""
    return row.state is not State.DONE and not _unsure(row) and not row.evidence.get(_MADE)


def deposited_ids(row: Row) -> tuple[tuple[int, str], ...]:
    """(level, uniqueId) of each document of a deposit or a deletion that is done, the pair's other one apart."""
    return parts_of(row.evidence.get(DOCUMENT) or row.evidence.get(_MADE, ""))


def hashes(row: Row) -> dict[str, str]:
    """uniqueId -> SHA-1 of each document that a successful deposit held."""
    if row.delivery.action == "delete":
        return {}
    return dict(item.split("=", 1) for item in row.evidence.get(HASHES, "").split() if "=" in item)


def parts_of(text: str) -> tuple[tuple[int, str], ...]:
    """`3=2.25.1 1=2.25.2` as (level, uniqueId)."""
    pairs = (item.partition("=") for item in text.split())
    return tuple((int(level), unique_id) for level, _, unique_id in pairs if level.isdigit() and unique_id)
