"""Whose report is this, and of whom does it speak? By ENVID, else by Message-ID, never by the subject (D15)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.contracts import Bus, Ledger, Row
from router.directory.addresses import addr_spec
from router.errors import MessageFault
from router.exchange import Pseudonyms
from router.payload import reply_context, unpack_order
from router.sinks.mssante.mail import envid as envid_of
from router.sinks.registry import leg_of
from router.wire import delivery_at

_ID: Final = re.compile(r"[0-9a-f]{32}")
_ENVID: Final = re.compile(r"([0-9a-f]{32})[0-9a-f]{32}")
_OURS: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})@(.+)", re.IGNORECASE)
_DESTINATION: Final = "mss:"
_NAMED: Final = 20
"""Message-IDs of a report that are looked up: its author chooses how many there are."""


@dataclass(frozen=True, slots=True)
class Known:
    """A delivery of ours and what its sender is answered with (empty once the bytes are gone).

    secret: the report gave our ENVID, which only servers on the mail's way have seen
    """

    row: Row
    context: Mapping[str, str]
    secret: bool = False


class Correlator:
    """Finds deliveries of the sinks that share a mailbox. Raises `Unavailable` while ledger or bus are away."""

    def __init__(self, bus: Bus, ledger: Ledger, sinks: Collection[str], pseudonyms: Pseudonyms) -> None:
        self._bus = bus
        self._ledger = ledger
        self._sinks = sinks
        self._pseudonyms = pseudonyms

    def find(self, *, envid: str = "", message_ids: Sequence[str] = ()) -> Known | None:
        """The delivery that a report names, or None: the report is then for quarantine.

        An ENVID in our form that we did not give makes the whole report a forgery: its Message-IDs are not looked at.
        """
        envid = envid.strip().lower()
        secret = self._opened(envid)
        if _ENVID.fullmatch(envid) and not secret:
            return None
        old = envid if _ID.fullmatch(envid) else ""  # given to mails sent before ENVID had a secret
        named = [one for one in (secret, old, *map(delivery_of, message_ids[:_NAMED])) if one]
        rows = self._ledger.get(named) if named else {}
        for identity in named:
            row = rows.get(identity)
            if row is not None and row.delivery.sink in self._sinks:
                if identity == old and len(row.evidence.get("envid", "")) > len(old):
                    return None
                return Known(row, self._context(row), identity == secret)
        return None

    def speaks_of(self, known: Known, addresses: Iterable[str]) -> bool:
        """Whether one of these addresses is the one that this delivery was sent to."""
        row = known.row
        sent = {row.evidence.get("to", ""), row.delivery.destination.removeprefix(_DESTINATION)} - {""}
        return any(self._pseudonyms.of("address", _comparable(one)) in sent for one in addresses if "@" in one)

    def _opened(self, envid: str) -> str:
        """The delivery's id in an ENVID that we gave; '' for any other."""
        found = _ENVID.fullmatch(envid)
        if found is None or not hmac.compare_digest(envid_of(found[1], self._pseudonyms), envid):
            return ""
        return found[1]

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


def _comparable(address: str) -> str:
    """As `steps.route` compares them: the domain in A-labels, everything in lower case."""
    try:
        return addr_spec(address).lower()
    except ValueError:
        return address.strip().lower()
