"""What the engine is told of sink types and rules, so that it needs to know none: advice and names of evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.engine.dead_letters.listing import DeadLetter, Group
from router.engine.dead_letters.remediation import Advice
from router.engine.dead_letters.remediation import advice as with_own
from router.language import N_, _
from router.sinks import registry

_RULES: Final = (("R[0-9]*", "Corriger le message chez l'émetteur et le renvoyer, ou rejouer en redécidant."),)
"""Rules of the profile (`router.cisis.rules`)."""

ADVICE: Final[Advice] = with_own((*registry.remediation(), *_RULES))
"""Any fault code -> what a person should do."""
EVIDENCE: Final[Mapping[str, str]] = registry.evidence_names()
"""Key of a receipt's evidence -> its name for operators."""
_STAGES: Final = {"intake": N_("intake"), "pipeline": N_("pipeline"), "journal": N_("journal")}


def place_of(one: Group | DeadLetter) -> str:
    """The sink, the pipeline or the stage, as a person reads it."""
    return _(_STAGES.get(one.stage, one.stage)) if one.where == one.stage else one.where
