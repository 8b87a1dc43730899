"""Mails that were submitted and of which no DSN has come: after a while an operator should see them (mssante §8.3).

Nothing is stored: the set is made again from the receipts on the bus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import ValidationError

from router.contracts import RECEIPTS, Bus
from router.exchange import Disposition, Receipt, ReceiptKind
from router.feedback.answers import CONTRADICTED, DELAYED, OVERDUE
from router.wire import read_receipt


class Awaited:
    """`wait`: seconds to wait, by mssante sink; mails of other sinks are not awaited."""

    def __init__(self, wait: Mapping[str, float]) -> None:
        self._wait = dict(wait)
        self._open: dict[str, Receipt] = {}
        self._late: dict[str, str] = {}

    def note(self, receipt: Receipt) -> None:
        """Take a receipt into account, in order of writing."""
        if self._expects(receipt):
            self._open[receipt.delivery_id] = receipt
        elif self._answers(receipt):
            self._open.pop(receipt.delivery_id, None)
            if receipt.code == OVERDUE:
                self._late[receipt.delivery_id] = receipt.sink
            else:
                self._late.pop(receipt.delivery_id, None)

    def load(self, bus: Bus, now: float) -> None:
        """Read the receipts of the last days, twice the longest wait, newest first."""
        if not self._wait:
            return
        since = now - 2 * max(self._wait.values())
        found: list[Receipt] = []
        for record in bus.scan(RECEIPTS, newest_first=True):
            if record.timestamp and record.timestamp < since:
                break
            try:
                receipt = read_receipt(record)
            except ValidationError:
                continue
            if self._expects(receipt) or self._answers(receipt):
                found.append(receipt)
        for receipt in sorted(found, key=_rank):
            self.note(receipt)

    def overdue(self, now: float) -> Sequence[Receipt]:
        """A receipt for each mail whose time is over, to be published."""
        return [
            replace(
                receipt,
                kind=ReceiptKind.DSN,
                ok=False,
                at=now,
                disposition=None,
                state=None,
                code=OVERDUE,
                text="aucun accusé de remise reçu : sans nouvelles de ce courriel",
            )
            for receipt in self._open.values()
            if now - receipt.at > self._wait[receipt.sink]
        ]

    def flagged(self, receipts: Sequence[Receipt]) -> None:
        """These are on the bus."""
        for receipt in receipts:
            self.note(receipt)

    def late_by_sink(self) -> Mapping[str, int]:
        """How many mails of each sink are without news."""
        counts = dict.fromkeys(self._wait, 0)
        for sink in self._late.values():
            counts[sink] = counts.get(sink, 0) + 1
        return counts

    def _expects(self, receipt: Receipt) -> bool:
        return (
            receipt.kind is ReceiptKind.DELIVERY
            and receipt.disposition is Disposition.DELIVERED
            and receipt.sink in self._wait
            and receipt.evidence.get("dsn") == "1"
            and bool(receipt.context.get("ack_reception"))
        )

    def _answers(self, receipt: Receipt) -> bool:
        return receipt.kind is ReceiptKind.DSN and receipt.code not in (DELAYED, CONTRADICTED)


def _rank(receipt: Receipt) -> tuple[float, bool]:
    """Submissions before the reports on them, whatever the clocks of the servers said."""
    return (0 if receipt.kind is ReceiptKind.DELIVERY else 1, receipt.code == OVERDUE)
