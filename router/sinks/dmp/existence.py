"""TD0.2 before feeding, remembered for a day per patient (dmp §1.9, §9). Optional: it explains, TD2.1 decides."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from router.contracts import Clock
from router.errors import MessageFault, OperatorFault, Refused, Unavailable
from router.sinks.dmp.dialogue import Dialogue

DAY: Final = 86_400.0
UNEXPLAINED: Final = frozenset({"DMP-INCONNU", "DMP-FAULT-Sender"})
"""Refusals of TD2.1 that say nothing: TD0.2 may know why."""
REMEMBERED: Final = 20_000
"""Patients, by pseudonym."""


class Existences:
    """Who has an open DMP. Only good news is remembered: a DMP that was closed may be opened at any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: OrderedDict[str, float] = OrderedDict()

    async def ask(self, dialogue: Dialogue, pseudonym: str, sender_oid: str, *, production: bool) -> Refused | None:
        """What TD0.2 says against feeding, `DMP-NF` or `DMP-DMPClosed`; None when it says nothing, or can't be asked.

        It never decides: TD2.1 does, whose answer may be another.
        """
        now = self._clock.monotonic()
        if now - self._open.get(pseudonym, -DAY) < DAY:
            return None
        try:
            answer = await dialogue.exists(sender_oid, production=production)
        except (MessageFault, Unavailable, OperatorFault):
            return None
        if answer.error:
            return None
        if answer.found == "NF":
            return Refused("DMP-NF", "TD0.2", "Le patient n'a pas de DMP", business=True)
        if answer.status == "terminated":
            return Refused("DMP-DMPClosed", "TD0.2", "DMP fermé", business=True)
        self._open[pseudonym] = now
        self._open.move_to_end(pseudonym)
        while len(self._open) > REMEMBERED:
            self._open.popitem(last=False)
        return None
