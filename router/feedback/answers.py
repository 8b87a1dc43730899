"""From a final receipt to the business acknowledgements that its sender is owed (hl7-input §4.2, mssante §8, D5).

    Z01   outcome at the DMP                    if the sender asked for acknowledgement of reception
    Z02   DSN, or a failure known before it     if the sender asked for acknowledgement of reception
    Z03   MDN                                   if the sender asked for acknowledgement of reading

The same answer is the same delivery: its id derives from event, kind, recipient and Y or N, so a repeated report
gives nothing new, and a failure after a success (or the reverse) gives both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from router.cisis import smtp_codes, zam
from router.exchange import Delivery, Disposition, Origin, Receipt, ReceiptKind, delivery_id
from router.french_time import in_france
from router.language import N_, translated
from router.request import Dialect
from router.sinks.dmp.said import SAID
from router.sinks.mssante.codes import NO_PROOF
from router.sinks.registry import SINK_TYPES

APPLICATION_SYSTEM: Final = "applicationErrorCondition"
#: Labels of applicationErrorCondition (hl7-input appendix A).
APPLICATION_LABELS: Final[Mapping[str, str]] = {
    "900": "Version du document incorrecte lors d'une demande de remplacement/suppression",
    "901": "Auteur non autorisé à remplacer ou supprimer un document",
    "902": "Identifiant patient inconnu",
    "903": "INS non présent dans le document",
    "904": "L'INS transmis ne correspond pas exactement à celui stocké dans la base du consommateur",
    "905": "L’INS transmis n’est pas complet",
    "906": "Erreur 'Autre'",
}
OTHER: Final = "906"

DELAYED, OVERDUE, SILENT, CONTRADICTED = "MSS-DELAYED", "MSS-SANS-NOUVELLES", "MSS-SILENCE", "MSS-CONTREDIT"
"""Codes of receipts from the mailbox that tell operators something and the sender nothing."""
UNTOLD: Final = frozenset({DELAYED, OVERDUE, SILENT, CONTRADICTED})

ENDED_BADLY: Final = frozenset({Disposition.FILTERED, Disposition.SUPERSEDED, Disposition.DEAD_LETTERED})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a feed's answers go: an `hl7` sink; `dmp_error_system`: how its sender spells ERR-5.3 of a Z01."""

    sink: str
    dmp_error_system: str = zam.DMP_ERRORS


Who = Callable[[Receipt], tuple[str, str]]
"""(identifier, address) of a receipt's recipient, for OBX2-4 and OBX2-5."""


def recipient_of(receipt: Receipt) -> tuple[str, str]:
    """What the context holds: everything, unless the recipient is the patient."""
    return receipt.context.get("rct_id", ""), receipt.context.get("address", "")


#: What a report from the mailbox is worth.
_REPORTS: Final = {ReceiptKind.DSN: zam.Kind.RECEPTION, ReceiptKind.MDN: zam.Kind.READING}
#: What the outcome of the effect itself is worth, by leg.
_LEGS: Final = {one.answer.leg: zam.Kind(one.answer.event) for one in SINK_TYPES.values() if one.answer is not None}

_TYPES: Final = tuple((f"{one.code}-", one.own) for one in SINK_TYPES.values() if one.code)
"""Start of the codes of each sink type, and patterns of those that no outside system gave."""


def answer_kind(receipt: Receipt) -> tuple[zam.Kind, bool] | None:
    """Which acknowledgement a receipt is worth, and whether it is positive; None when it is worth none."""
    if receipt.code in UNTOLD:
        return None
    if receipt.kind in _REPORTS:
        return _REPORTS[receipt.kind], receipt.ok
    kind = _LEGS.get(receipt.context.get("leg", ""))
    if receipt.kind is not ReceiptKind.DELIVERY or receipt.disposition is None or kind is None:
        return None
    positive = receipt.ok and receipt.disposition not in ENDED_BADLY
    submitted_only = positive and kind is zam.Kind.RECEPTION and receipt.evidence.get("proof") != "soumission"
    return None if submitted_only else (kind, positive)


def wanted(receipt: Receipt, kind: zam.Kind) -> bool:
    """Whether the sender asked for this kind of acknowledgement, and knows it."""
    asked = "ack_lecture" if kind is zam.Kind.READING else "ack_reception"
    dialect = receipt.context.get("dialect", "")
    return bool(receipt.context.get(asked)) and dialect in set(Dialect) and zam.known_to(Dialect(dialect))


def untold(receipt: Receipt, endpoints: Mapping[str, Endpoint]) -> bool:
    """Whether a failure will be told to nobody: the site must look at it itself (D5)."""
    found = answer_kind(receipt)
    if found is None or found[1]:
        return False
    return not wanted(receipt, found[0]) or receipt.feed not in endpoints


def answers(
    receipt: Receipt,
    endpoints: Mapping[str, Endpoint],
    *,
    origin: Origin,
    now: float,
    who: Who = recipient_of,
) -> Sequence[Delivery]:
    """The deliveries, none or one, that this receipt is worth. `endpoints`: by feed; `origin`: of the receipt's record.

    `who` may look the patient's address up; it is asked only when the answer names a recipient.
    """
    found = answer_kind(receipt)
    receipt = _overtaken(receipt) if receipt.disposition is Disposition.SUPERSEDED else receipt
    endpoint = endpoints.get(receipt.feed)
    if found is None or endpoint is None or not wanted(receipt, found[0]):
        return ()
    kind, positive = found
    mark = "Y" if positive else "N"
    rank = receipt.context.get("rank", "") if kind is not zam.Kind.DMP else ""
    destination = f"{endpoint.sink}|{kind}:{rank}:{mark}"
    identity = delivery_id(receipt.event_id, destination)
    payload = zam.build(
        kind,
        positive,
        reply=_reply(receipt),
        event_date=in_france(receipt.at),
        now=in_france(now),
        control_id=identity[:20],
        error=None if positive else _error(receipt, kind, endpoint),
        recipient=None if kind is zam.Kind.DMP else _named(receipt, kind, who),
        text="" if positive else translated(receipt.text, "fr")[:250],
    )
    return (
        Delivery(
            id=identity,
            event_id=receipt.event_id,
            sink=endpoint.sink,
            destination=destination,
            key=receipt.key,
            lane=f"{receipt.key}:{endpoint.sink}",
            payload=payload,
            origin=origin,
            feed=receipt.feed,
            pipeline=receipt.pipeline,
            created=now,
            label=f"ZAM^{kind} {mark}",
            structure=receipt.context.get("structure", ""),
        ),
    )


def _overtaken(receipt: Receipt) -> Receipt:
    """What ended it is the later message, not the trouble that it waited for: a DMP that is away, a full mailbox."""
    text = N_("version remplacée ou supprimée par un message suivant")
    return replace(receipt, code="SUPERSEDED", text=text)


def _reply(receipt: Receipt) -> zam.ReplyTo:
    context = receipt.context
    return zam.ReplyTo(
        control_id=context.get("control_id", ""),
        sending=(context.get("sending_app", ""), context.get("sending_facility", "")),
        receiving=(context.get("receiving_app", ""), context.get("receiving_facility", "")),
        charset=context.get("charset", "UNICODE UTF-8"),
        dialect=Dialect(context["dialect"]),
        processing_id=context.get("processing_id", "P"),
    )


def _named(receipt: Receipt, kind: zam.Kind, who: Who) -> tuple[str, str]:
    """Z02: the recipient as the sender named him. Z03: the mailbox that read; the identifier only if it is the same."""
    number, address = who(receipt)
    reader = receipt.evidence.get("reader", "") if kind is zam.Kind.READING else ""
    if reader and reader.lower() != address.lower():
        return "", reader
    return number, address


def _error(receipt: Receipt, kind: zam.Kind, endpoint: Endpoint) -> tuple[str, str, str]:
    """ERR-5: code, label, coding system."""
    code = foreign(receipt.code)
    if kind is zam.Kind.DMP:
        system = endpoint.dmp_error_system if code else zam.OWN_ERRORS
        told = code or receipt.code or OTHER
        label = translated(receipt.text, "fr").partition(SAID)[0]  # the DMP's own words stand in ERR-8
        return told, label or told, system
    code = code or receipt.code
    if kind is zam.Kind.READING:
        told = code if code in APPLICATION_LABELS else OTHER
        return told, APPLICATION_LABELS[told], APPLICATION_SYSTEM
    told = code if code in smtp_codes.LABELS else NO_PROOF
    return told, smtp_codes.LABELS[told], smtp_codes.SYSTEM


def foreign(code: str) -> str:
    """The outside system's own code, without ours before it (`DMPClosed` of `DMP-DMPClosed`); '' for one of ours."""
    for start, own in _TYPES:
        if code.startswith(start) and not any(fnmatchcase(code, pattern) for pattern in own):
            return code.removeprefix(start)
    return ""
