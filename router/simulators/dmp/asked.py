"""What a call is about: its transaction and its documents, so that trouble can be planned for one document alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.simulators.dmp.ebxml import RIM
from router.simulators.dmp.registry import Registry
from router.simulators.dmp.soap import Call
from router.simulators.dmp.submission import DOC_UNIQUE, UPDATES
from router.simulators.dmp.table import Transaction


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: `documents` are uniqueIds, empty before the call was read."""

    transaction: Transaction | None
    documents: frozenset[str] = frozenset()


@dataclass(slots=True)
class Meant:
    """Whether a plan is meant for a call: of this transaction ("": any), of this document ("": any), and only after
    `skip` such calls went by."""

    transaction: str = ""
    document: str = ""
    skip: int = 0
    _passed: int = field(default=0, repr=False)

    def __call__(self, asked: Asked) -> bool:
        named = asked.transaction.name if asked.transaction else ""
        if (self.transaction and self.transaction != named) or (self.document and self.document not in asked.documents):
            return False
        self._passed += 1
        return self._passed > self.skip


def documents_of(call: Call, registry: Registry) -> frozenset[str]:
    """The uniqueIds that a submission holds, and those whose status it changes."""
    found = {
        one.get("value", "")
        for one in call.payload.iter(f"{RIM}ExternalIdentifier")
        if one.get("identificationScheme") == DOC_UNIQUE
    }
    targets = {
        one.get("targetObject", "")
        for one in call.payload.iter(f"{RIM}Association")
        if one.get("associationType") == UPDATES
    }
    found |= {one.unique_id for one in registry.documents.values() if one.entry_uuid in targets}
    return frozenset(filter(None, found))
