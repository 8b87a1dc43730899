"""How the rows of the audit hang together: each one carries a keyed digest of itself and of the row before.

The key is made of the site's secret (HMAC, RFC 2104). Who may write the table but does not have the secret can't make a
row that fits.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Final

from router.audit.event import AuditEvent

_START: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the chain: the number of a row, and its digest (64 hex digits)."""

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read back what `str` wrote. Raises ValueError on anything else."""
        number, _, mac = text.partition(":")
        if len(mac) != len(_START) or not number.isdigit():
            raise ValueError("not a mark of the audit")
        int(mac, 16)
        return cls(int(number), mac)


NOTHING: Final = Mark(0, _START)
"""Before the first row."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the table, as it was read or written."""

    number: int
    event: AuditEvent
    mac: str

    @property
    def mark(self) -> Mark:
        return Mark(self.number, self.mac)


class Chain:
    """The key of the chain. Pure; any thread."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"segur-router audit chain 1", hashlib.sha256).digest()

    @property
    def key(self) -> str:
        """Which key this is; tells nothing of it."""
        return self._digest("key")

    def mac(self, before: Mark, event: AuditEvent) -> str:
        """The digest of the row that stands next after `before`."""
        facts = (
            *(repr(float(event.at)), event.who, str(event.action), event.role, event.kind, event.object),
            *(event.structure, event.reason, event.source, "1" if event.refused else "", event.detail),
        )
        return self._digest("row", str(before.number + 1), before.mac, *facts)

    def seal(self, name: str, mark: Mark) -> str:
        """What proves that this mark, which stands outside of the chain, is ours. `name`: what it marks."""
        return self._digest("mark", name, str(mark.number), mark.mac)

    def sealed(self, name: str, mark: Mark, seal: str) -> bool:
        return hmac.compare_digest(self.seal(name, mark).encode(), seal.encode())

    def follows(self, before: Mark, row: AuditRow) -> bool:
        """Whether this content, with this digest, was written next after `before`; its number is not looked at."""
        return hmac.compare_digest(self.mac(before, row.event).encode(), row.mac.encode())

    def _digest(self, *parts: str) -> str:
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
