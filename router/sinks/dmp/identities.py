"""Whose fault it is when the DMP rejects an identity: ours, or that of one message (decisions D11, dmp §5.1).

Before the circuit opens for the whole structure, an identity that is known to be good asks the DMP something harmless
(TD3.1b). When that is accepted, the rejected message alone is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from router.errors import MessageFault, OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.sinks.dmp import vihf
from router.sinks.dmp.dialogue import Dialogue
from router.structures import StructureConfig

FRESH: Final = 5.0
"""Seconds for which one answer about the known identity serves all messages that are rejected meanwhile."""
#: Codes of `verdicts.csv` by which the DMP speaks of who asks (dmp §5.1).
IDENTITY: Final = frozenset({"DMP-AUTHENTIFICATION", "DMP-STRUCTURE", "DMP-DMPInvalidCertificate"})
ALONE: Final = "le DMP rejette l'identité présentée par ce message, et accepte celle de la structure"


@dataclass(frozen=True, slots=True)
class _Known:
    """A conversation that the DMP accepted, and the uniqueId that it was about."""

    dialogue: Dialogue
    uid: str


class Identities:
    """The identities of one DMP sink. Lives on one event loop."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: _Known | None = None
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self._found: OperatorFault | None = None

    def accepted(self, dialogue: Dialogue) -> None:
        """The DMP did what this sender asked."""
        self._known = _Known(dialogue, dialogue.request.principal.uid)

    async def judge(self, dialogue: Dialogue, structure: StructureConfig, fault: OperatorFault) -> RouterError:
        """What to raise for an `OperatorFault`: `Refused` when the message is to blame, else the fault as it is.

        `Unavailable` when nobody can tell now.
        """
        if fault.code not in IDENTITY:
            return fault
        async with self._asking:
            if self._monotonic() - self._asked > FRESH:
                try:
                    self._found = await self._ask(self._known or _own(dialogue, structure))
                except Unavailable as away:
                    return away
                self._asked = self._monotonic()
            found = self._found
        return Refused(fault.code, fault.place, ALONE) if found is None else fault

    async def _ask(self, known: _Known) -> OperatorFault | None:
        """None when the DMP accepts the known identity, whatever else it answers. Raises `Unavailable`."""
        try:
            await known.dialogue.find(known.uid)
        except OperatorFault as fault:
            return fault
        except OutcomeUnknown as unknown:
            raise Unavailable(unknown.code, unknown.place, unknown.text) from unknown
        except MessageFault:
            return None
        return None


def _own(dialogue: Dialogue, structure: StructureConfig) -> _Known:
    """The structure's own software, as the site file names it: for a sink that has not been accepted yet."""
    config = dialogue.client.config
    speaker = vihf.own_subject(structure, config.vihf, config.lps)
    return _Known(replace(dialogue, speaker=speaker), dialogue.request.principal.uid)
