"""TD0.2 before feeding, remembered for a day per patient (dmp §1.9, §9). Optional: TD2.1 gives the same answer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from router.contracts import Clock
from router.errors import Refused
from router.sinks.dmp.dialogue import Dialogue

DAY: Final = 86_400.0
REMEMBERED: Final = 20_000
"""Patients, by pseudonym."""


class Existences:
    """Who has an open DMP. Only good news is remembered: a DMP that was closed may be opened at any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: OrderedDict[str, float] = OrderedDict()

    async def check(self, dialogue: Dialogue, pseudonym: str, sender_oid: str, *, production: bool) -> None:
        """Raises `Refused` `DMP-NF` or `DMP-DMPClosed`, or what the call raises."""
        now = self._clock.monotonic()
        if now - self._open.get(pseudonym, -DAY) < DAY:
            return
        answer = await dialogue.exists(sender_oid, production=production)
        if answer.error:
            raise dialogue.client.verdicts.fault(answer.error, "TD0.2", dialogue.attempt)
        if answer.found == "NF":
            raise Refused("DMP-NF", "TD0.2", "Le patient n'a pas de DMP")
        if answer.status == "terminated":
            raise Refused("DMP-DMPClosed", "TD0.2", "DMP fermé")
        self._open[pseudonym] = now
        self._open.move_to_end(pseudonym)
        while len(self._open) > REMEMBERED:
            self._open.popitem(last=False)
