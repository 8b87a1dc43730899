"""The checks of the gateway that know the national profile: one for documents, one for ADT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from router.cda.document import read
from router.cda.schema import SchemaGate
from router.cisis import profile
from router.cisis.findings import Finding, Verdict
from router.cisis.lineage import journalled, ordering_key
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.cisis.verdict_codec import PROFILE, VerdictCodec
from router.contracts import Header
from router.errors import MessageFault, Unavailable
from router.exchange import Pseudonyms
from router.gateway.identity import patient_key
from router.gateway.received import FeedVerdict, Received
from router.hl7.ack import Err
from router.hl7.message import Message
from router.language import N_
from router.register import adt
from router.request import Identifier

_STATUS: Final = "ins-status"
_IGNORED: Final = "R45: " + N_("ins-status ignoré : ce flux n'est pas habilité à qualifier les identités")


class DocumentsCheck:
    """Message or raw CDA against the profile: every fault at once, then the ordering key (decisions D7)."""

    def __init__(
        self,
        rules: ProfileRules,
        value_sets: ValueSets,
        pseudonyms: Pseudonyms,
        schema: SchemaGate | None = None,
        qualified: Callable[[Identifier], bool] | None = None,
    ) -> None:
        """`qualified`: whether the register says VALI of an INS, for a raw CDA whose request doesn't say it (D2)."""
        self._rules = rules
        self._qualified = qualified
        self._schema = schema
        self._value_sets = value_sets
        self._codec = VerdictCodec(rules, value_sets)
        self._pseudonyms = pseudonyms

    def __call__(self, received: Received, message: Message | None, /) -> FeedVerdict:
        """See `router.gateway.received.Checker`."""
        rules = self._rules.speaking_for(received.structures)
        if message is None:
            status = received.headers.get(_STATUS)
            received = self._with_status(received)
            verdict = profile.check_cda(
                received.data, received.headers, rules, self._value_sets, schema=self._schema, at=received.at
            )
            ignored = (_IGNORED,) if status and received.headers.get(_STATUS) != status else ()
        else:
            verdict = profile.check(message, rules, self._value_sets, schema=self._schema, at=received.at)
            ignored = ()
        said = self._of_feed(received, verdict)
        return replace(said, warnings=(*ignored, *said.warnings)) if ignored else said

    def _with_status(self, received: Received) -> Received:
        """A raw CDA has no PID-32: the header of a sender that we trust for it counts, else the register's word (D2).

        Anybody is believed who says that an identity is not qualified.
        """
        if said := received.headers.get(_STATUS):
            if self._rules.trust_ins_status or said.strip().upper() != "VALI":
                return received
            others = {name: value for name, value in received.headers.items() if name != _STATUS}
            received = replace(received, headers=others)
        if self._qualified is None:
            return received
        try:
            inside = self._rules.auto_presentable == "accept"
            number = read(received.data, limit=self._rules.max_cda, self_presenting=inside).header.patient.ins
            known = number is not None and self._qualified(number)
        except (MessageFault, Unavailable):  # the profile says what is wrong; a register that is away says nothing
            return received
        return replace(received, headers={**received.headers, _STATUS: "VALI"}) if known else received

    def _of_feed(self, received: Received, verdict: Verdict) -> FeedVerdict:
        warnings = tuple(f"{finding.rule}: {finding.err.text}" for finding in verdict.warnings)
        request = verdict.request
        if verdict.faults or request is None:
            return FeedVerdict(faults=verdict.faults, warnings=warnings, alert=verdict.alert)
        headers = {}
        if received.kind == "cda" and (status := received.headers.get(_STATUS)):
            headers[Header.INS_STATUS] = status
        if received.structures:
            headers[Header.STRUCTURES] = ",".join(sorted(received.structures))
        return FeedVerdict(
            warnings=warnings,
            key=ordering_key(request, self._pseudonyms),
            checked=PROFILE,
            packed=self._codec.pack(verdict),
            headers=headers,
            facts=journalled(request, self._pseudonyms),
        )


class AdtCheck:
    """An ADT must be one the register understands (decisions D8)."""

    def __init__(self, autorites: Mapping[str, str], pseudonyms: Pseudonyms) -> None:
        self._autorites = autorites
        self._pseudonyms = pseudonyms

    def __call__(self, _received: Received, message: Message | None, /) -> FeedVerdict:
        """See `router.gateway.received.Checker`."""
        if message is None:
            return FeedVerdict(faults=(Finding("R02", Err("200", "MSH^1^9", text="ce flux attend des messages ADT")),))
        change = adt.read(message, self._autorites)
        return FeedVerdict(
            faults=tuple(Finding("ADT", err) for err in change.faults),
            warnings=change.warnings,
            key=patient_key(message, self._pseudonyms),
            checked="adt",
        )
