"""Who was listed as keeping an earlier version, and never got it after all (decisions D19).

The list is made when the message is decided, also of mails that wait or are on the wire then. When such a mail is
refused or superseded, its recipient has nothing: the line is taken back. `explain` shows both lines; the work-list and
a search by code look at the last one. Nothing is stored: what is open is made again from the receipts on the bus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from router.contracts import RECEIPTS, Bus, Ledger, Row
from router.exchange import Receipt, ReceiptKind, State
from router.feedback.answers import UNTOLD
from router.language import N_
from router.sinks.mssante.earlier import may_have_arrived
from router.sinks.mssante.settings import AWAITS, KEEPS, NEVER_HAD
from router.wire import read_receipt

DAYS: Final = 30 * 86_400.0
"""Seconds that the receipts are read back at the start: a mail waits no longer, unless its server is away as long."""
SURE: Final = 10 * 86_400.0
"""Seconds after which no report says any more that a mail was not delivered."""
_MARK: Final = KEEPS.encode()
_OVER: Final = frozenset({State.DEAD, State.SUPERSEDED})


class Keepers:
    """The lines that are open, with the deliveries that decide them. The ledger must be this worker's own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lines: dict[str, Receipt] = {}
        self._decide: dict[str, set[str]] = {}
        """Delivery of a version -> ids of the lines that it decides."""
        self._bounced: dict[str, float] = {}
        """Those of them that were reported as not delivered -> when (Unix seconds)."""

    def note(self, receipt: Receipt) -> bool:
        """Take a receipt into account. Whether it is a line, or may decide one: then `taken_back` should be asked."""
        if receipt.code == KEEPS:
            self._lines |= {receipt.delivery_id: receipt} if receipt.evidence.get(AWAITS) else {}
            for version in receipt.evidence.get(AWAITS, "").split():
                self._decide.setdefault(version, set()).add(receipt.delivery_id)
            return bool(receipt.evidence.get(AWAITS))
        if receipt.delivery_id not in self._decide or receipt.kind is ReceiptKind.ATTEMPT:
            return False
        if receipt.kind is ReceiptKind.DSN and not receipt.ok and receipt.code not in UNTOLD:
            self._bounced[receipt.delivery_id] = receipt.at
        return True

    def load(self, bus: Bus, now: float) -> None:
        """Read the lines of the last days. Raises `Unavailable`."""
        for record in bus.scan(RECEIPTS, newest_first=True):
            if record.timestamp and record.timestamp < now - DAYS:
                break
            if _MARK not in record.value:
                continue
            with suppress(ValidationError):
                self.note(read_receipt(record))

    def taken_back(self, now: float) -> Sequence[Receipt]:
        """A receipt for each open line whose recipient got nothing, to be published. Raises `Unavailable`.

        The same line gives the same receipt again, so a second one adds nothing. Call `closed` once they are published.
        """
        rows = self._ledger.get(list(self._decide))
        found: list[Receipt] = []
        for line in list(self._lines.values()):
            versions = line.evidence[AWAITS].split()
            ends = [self._end(version, rows) for version in versions]
            gone = [at for at in ends if at is not None]
            if len(gone) == len(ends):
                found.append(_taken_back(line, max(gone)))
            elif any(_stays(rows[version], now) for version in versions if version in rows):
                self._close(line.delivery_id)
        return found

    def closed(self, receipts: Iterable[Receipt]) -> None:
        """These are on the bus."""
        for receipt in receipts:
            self._close(receipt.delivery_id)

    def _end(self, version: str, rows: Mapping[str, Row]) -> float | None:
        """When it was known that this version did not arrive; None when it did, or is not finished."""
        row = rows.get(version)
        if row is not None and row.state in _OVER and not may_have_arrived(row):
            return row.updated
        return self._bounced.get(version)

    def _close(self, line: str) -> None:
        receipt = self._lines.pop(line, None)
        for version in receipt.evidence[AWAITS].split() if receipt else ():
            lines = self._decide.get(version, set())
            lines.discard(line)
            if not lines:
                self._decide.pop(version, None)
                self._bounced.pop(version, None)


def _stays(row: Row, now: float) -> bool:
    """Whether its recipient has it, or may have it, and nothing will say otherwise."""
    over = row.state in _OVER and may_have_arrived(row)
    return over or (row.state is State.DONE and now - row.updated > SURE)


def _taken_back(line: Receipt, at: float) -> Receipt:
    text = N_("n'a finalement reçu aucune version précédente : rien à lui dire")
    return replace(line, at=max(at, line.at), code=NEVER_HAD, text=text)
