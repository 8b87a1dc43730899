"""What our own ledger proves of a document that the DMP does not find (decisions D1).

Two approved versions, or a deleted document that returns, are worse than a delay: so only a chain of predecessors of
which none can have reached the DMP allows a replacement to be published as a first version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from router.contracts import Row
from router.exchange import State

DOCUMENT: Final = "xds_unique_ids"
"""Evidence of a deposit: `level=uniqueId` of each document, blank-separated."""
PATIENT: Final = "patient"
"""Evidence of a deposit: pseudonym of the INS it was made under."""


@dataclass(frozen=True, slots=True)
class DepositHistory:
    """The answer.

    absent:    every version up to the first was refused, superseded or never sent
    deposited: the newest ancestor that did reach the DMP is `ids` (level -> uniqueId), done at `at`
    unproven:  the ledger doesn't know, or a deletion lies in between
    """

    kind: Literal["absent", "deposited", "unproven"]
    ids: tuple[tuple[int, str], ...] = ()
    at: float = 0.0
    direct: bool = False
    """Whether that ancestor is the very predecessor that was asked for."""


def ancestry(rows: Sequence[Row], document: str, current: str) -> DepositHistory:
    """Walk back from `document` (a pseudonym) over the deliveries of a lineage; `current`: our own delivery id."""
    wanted, seen = document, set[str]()
    while wanted and wanted not in seen:
        seen.add(wanted)
        mine = [row for row in rows if row.delivery.document == wanted and row.delivery.id != current]
        deposits = [row for row in mine if row.delivery.action != "delete"]
        if any(row.delivery.action == "delete" and row.state is not State.DEAD for row in mine) or not deposits:
            return DepositHistory("unproven")
        done = [row for row in deposits if row.state is State.DONE]
        if done:
            last = done[-1]
            return DepositHistory("deposited", deposited_ids(last), last.updated, wanted == document)
        if not all(map(never_arrived, deposits)):
            return DepositHistory("unproven")
        wanted = deposits[-1].delivery.replaces
    return DepositHistory("unproven" if wanted else "absent")


def known_unfed(rows: Sequence[Row], document: str) -> bool:
    """Whether the ledger knows deposits of this very document and none of them succeeded."""
    mine = _deposits(rows, document)
    return bool(mine) and not any(row.state is State.DONE for row in mine)


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


def newest_deposit(rows: Sequence[Row], document: str) -> Row | None:
    """The deposit of this document, else that of its nearest ancestor that reached the DMP; None without any.

    For a deletion: what it overtook may be unproven, the version that is still shown must go all the same.
    """
    for tried in _versions(rows, document):
        if done := [row for row in tried if row.state is State.DONE]:
            return done[-1]
    return None


def never_arrived(row: Row) -> bool:
    """Ended without success, and no attempt of unknown outcome on the way."""
    return row.state in (State.DEAD, State.SUPERSEDED) and not row.outcome_unknown


def deposited_ids(row: Row) -> tuple[tuple[int, str], ...]:
    """(level, uniqueId) of each document of a deposit."""
    pairs = (item.partition("=") for item in row.evidence.get(DOCUMENT, "").split())
    return tuple((int(level), unique_id) for level, _, unique_id in pairs if level.isdigit() and unique_id)
