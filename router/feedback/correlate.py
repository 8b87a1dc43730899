"""Whose report is this? By ENVID, else by Message-ID: both are our delivery's id. Never by the subject."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.contracts import Bus, Ledger, Row
from router.errors import MessageFault
from router.payload import reply_context, unpack_order
from router.sinks.registry import leg_of
from router.wire import delivery_at

_HEX: Final = re.compile(r"[0-9a-f]{32}")
_OURS: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})@(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """A delivery of ours and what its sender is answered with (empty once the bytes are gone)."""

    row: Row
    context: Mapping[str, str]


class Correlator:
    """Finds deliveries of the sinks that share a mailbox. Raises `Unavailable` while ledger or bus are away."""

    def __init__(self, bus: Bus, ledger: Ledger, sinks: Collection[str]) -> None:
        self._bus = bus
        self._ledger = ledger
        self._sinks = sinks

    def find(self, *, envid: str = "", message_ids: Sequence[str] = ()) -> Known | None:
        """The delivery that a report names, or None: the report is then for quarantine."""
        candidates = [envid.lower()] if _HEX.fullmatch(envid.lower()) else []
        candidates += [identity for one in message_ids if (identity := delivery_of(one))]
        rows = self._ledger.get(candidates) if candidates else {}
        for identity in candidates:
            row = rows.get(identity)
            if row is not None and row.delivery.sink in self._sinks:
                return Known(row, self._context(row))
        return None

    def _context(self, row: Row) -> Mapping[str, str]:
        record = delivery_at(self._bus, row)
        if record is None:
            return {}
        try:
            return reply_context(unpack_order(record.value), leg_of(row.delivery.sink))
        except (MessageFault, ValueError):
            return {}


def delivery_of(message_id: str) -> str:
    """The delivery's id in one of our Message-IDs (without brackets); '' when it has another form."""
    found = _OURS.fullmatch(message_id.strip().strip("<>"))
    return "".join(found.groups()[:5]).lower() if found else ""
