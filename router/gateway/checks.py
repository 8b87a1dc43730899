"""The checks of the feed kinds that need nothing but the message: relays. Every kind begins with `envelope`."""

from __future__ import annotations

from router.cisis.findings import Finding
from router.exchange import Pseudonyms
from router.gateway import identity
from router.gateway.received import FeedVerdict, Received
from router.hl7.ack import Err
from router.hl7.message import Message
from router.language import N_, filled

#: MSH fields without which a message can't be answered or ordered: (rule, field) (HL7 v2.5 §2.16.9; R02, R07).
_NEEDED = (("R02", 9), ("R07", 10), ("R05", 12))


def envelope(message: Message) -> tuple[Finding, ...]:
    """What any feed asks of a message: MSH-9, 10 and 12, one PID at most, no continuation (R12)."""
    faults = [
        Finding(
            rule, Err("101", f"MSH^1^{number}", text=filled("{segment}-{n} est obligatoire", segment="MSH", n=number))
        )
        for rule, number in _NEEDED
        if not message.text(f"MSH-{number}")
    ]
    if message.text("MSH-14") or "DSC" in message:
        faults.append(Finding("R12", Err("199", "MSH^1^14", text="message en plusieurs morceaux : non accepté")))
    return tuple(faults)


class RelayCheck:
    """A relayed message is taken as it is: only its envelope is checked."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    def __call__(self, _received: Received, message: Message | None, /) -> FeedVerdict:
        """See `Checker`. A raw CDA is refused: there is nothing to relay it with."""
        if message is None:
            return FeedVerdict(faults=(Finding("R02", Err("200", "MSH^1^9", text="ce flux attend des messages HL7")),))
        warnings = ("R10: " + N_("le texte semble en UTF-8, MSH-18 dit autre chose"),) if message.misdeclared else ()
        return FeedVerdict(
            faults=envelope(message), warnings=warnings, key=identity.patient_key(message, self._pseudonyms)
        )
