"""The checks of the gateway that know the national profile: one for documents, one for ADT."""

from __future__ import annotations

from collections.abc import Mapping

from router.cda.schema import SchemaGate
from router.cisis import profile
from router.cisis.findings import Verdict
from router.cisis.lineage import document_ids, lineage, ordering_key, patient_pseudonyms
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.contracts import Header
from router.exchange import Pseudonyms
from router.gateway.identity import patient_key
from router.gateway.received import Checked, Fault, Received
from router.hl7.ack import Err
from router.hl7.message import Message
from router.register import adt


class DocumentsCheck:
    """Message or raw CDA against the profile: every fault at once, then the ordering key (decisions D7)."""

    def __init__(
        self, rules: ProfileRules, value_sets: ValueSets, pseudonyms: Pseudonyms, schema: SchemaGate | None = None
    ) -> None:
        self._rules = rules
        self._schema = schema
        self._value_sets = value_sets
        self._pseudonyms = pseudonyms

    def __call__(self, received: Received, message: Message | None, /) -> Checked:
        """See `router.gateway.received.Checker`."""
        if message is None:
            verdict = profile.check_cda(
                received.data, received.headers, self._rules, self._value_sets, schema=self._schema
            )
        else:
            verdict = profile.check(message, self._rules, self._value_sets, schema=self._schema)
        return self._checked(received, verdict)

    def _checked(self, received: Received, verdict: Verdict) -> Checked:
        faults = tuple(Fault(finding.rule, finding.err) for finding in verdict.faults)
        warnings = tuple(f"{finding.rule}: {finding.err.text}" for finding in verdict.warnings)
        request = verdict.request
        if faults or request is None:
            return Checked(faults=faults, warnings=warnings)
        headers = {}
        if received.kind == "cda" and (status := received.headers.get("ins-status")):
            headers[Header.INS_STATUS] = status
        return Checked(
            warnings=warnings,
            key=ordering_key(request, self._pseudonyms),
            checked=profile.VERSION,
            headers=headers,
            facts={
                "action": str(request.action),
                "documents": document_ids(request.documents),
                "lineage": lineage(request, self._pseudonyms),
                "patients": patient_pseudonyms(request, self._pseudonyms),
            },
        )


class AdtCheck:
    """An ADT must be one the register understands (decisions D8)."""

    def __init__(self, autorites: Mapping[str, str], pseudonyms: Pseudonyms) -> None:
        self._autorites = autorites
        self._pseudonyms = pseudonyms

    def __call__(self, _received: Received, message: Message | None, /) -> Checked:
        """See `router.gateway.received.Checker`."""
        if message is None:
            return Checked(faults=(Fault("R02", Err("200", "MSH^1^9", text="ce flux attend des messages ADT")),))
        change = adt.read(message, self._autorites)
        return Checked(
            faults=tuple(Fault("ADT", err) for err in change.faults),
            warnings=change.warnings,
            key=patient_key(message, self._pseudonyms),
            checked="adt",
        )
