"""One mail of the mailbox: what it is, where it goes, and the receipts it gives. No I/O but the correlator's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from enum import StrEnum
from typing import Final

from router.exchange import PATIENT, Receipt, ReceiptKind
from router.feedback import mime
from router.feedback.answers import DELAYED, SILENT
from router.feedback.correlate import Correlator, Known
from router.feedback.dsn import Action, DeliveryStatus, from_system, read_bounce, read_dsn
from router.feedback.mdn import Disposition, read_mdn, read_standard_mail
from router.sinks.mssante.settings import FeedbackRules


class Kind(StrEnum):
    """What a mail is; also the label of `mail_read_total`."""

    DSN = "dsn"
    BOUNCE = "bounce"
    MDN = "mdn"
    STANDARD = "courriel-standard"
    DOCUMENT = "document"
    HUMAN = "human"
    UNKNOWN = "quarantine"


class Place(StrEnum):
    """Where the mail is moved."""

    DONE = "done"
    QUARANTINE = "quarantine"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Handled:
    """The verdict on one mail. `why`: for the log, without any value."""

    kind: Kind
    place: Place
    receipts: tuple[Receipt, ...] = ()
    why: str = ""


#: Action of a DSN -> text of its receipt.
_TEXTS: Final = {
    Action.DELIVERED: "remis dans la boîte du destinataire",
    Action.RELAYED: "relayé à un serveur qui n'en dira pas plus",
    Action.EXPANDED: "remis à une liste",
    Action.DELAYED: "remise retardée, le serveur essaie encore",
    Action.FAILED: "non remis",
}


class Reports:
    """Reads mails of one mailbox.

    rules:  of each sink that sends from it
    admits: whether a domain is in the liste blanche
    """

    def __init__(
        self, correlator: Correlator, rules: Mapping[str, FeedbackRules], *, admits: Callable[[str], bool]
    ) -> None:
        self._correlator = correlator
        self._rules = rules
        self._admits = admits

    def handle(self, raw: bytes, now: float) -> Handled:
        """Classify: DSN, MDN, courriel standard, bounce, incoming document, person. Raises `Unavailable`."""
        mail = mime.parse(raw)
        mark = hashlib.sha256(raw).hexdigest()[:32]
        told = self._told(mail, mark, now)
        if told is not None:
            return told
        if mime.report_type(mail):
            return Handled(Kind.UNKNOWN, Place.QUARANTINE, why="unreadable report")
        if from_system(mail):
            return Handled(Kind.UNKNOWN, Place.QUARANTINE, why="a server's mail of no known form")
        if _holds_archive(mail):
            return Handled(Kind.DOCUMENT, Place.HUMAN, why="a document was sent to this mailbox")
        return Handled(Kind.HUMAN, Place.HUMAN, why="written by a person")

    def _told(self, mail: Message, mark: str, now: float) -> Handled | None:
        """What a report says, in the first form that reads it; None when the mail is no report."""
        if statuses := read_dsn(mail):
            return self._statuses(statuses, Kind.DSN, mark, now)
        if disposition := read_mdn(mail):
            return self._disposition(disposition, Kind.MDN, mark, now)
        if disposition := read_standard_mail(mail):
            return self._disposition(disposition, Kind.STANDARD, mark, now)
        if bounce := read_bounce(mail):
            return self._statuses([bounce], Kind.BOUNCE, mark, now)
        return None

    # --------------------------------------------------------------------------------------------------- DSN

    def _statuses(self, statuses: Sequence[DeliveryStatus], kind: Kind, mark: str, now: float) -> Handled:
        receipts: list[Receipt] = []
        for status in statuses:
            known = self._correlator.find(envid=status.envid, message_ids=status.message_ids)
            if known is None:
                return Handled(kind, Place.QUARANTINE, why="about no delivery of ours")
            receipts.append(self._delivery_receipt(known, status, mark, now))
        return Handled(kind, Place.DONE, tuple(receipts))

    def _delivery_receipt(self, known: Known, status: DeliveryStatus, mark: str, now: float) -> Receipt:
        failed = status.action is Action.FAILED
        code, text = "MSS-250", _TEXTS[status.action]
        if failed:
            code = f"MSS-{status.code}"
            text = f"{text} ({status.status})" if status.status else text
        elif status.action is Action.DELAYED:
            code = DELAYED
        elif status.action is Action.RELAYED and self._rules[known.row.delivery.sink].relayed == "silence":
            code = SILENT
        evidence = {"report": mark, "action": str(status.action), "status": status.status}
        if not status.standard:
            evidence["form"] = "bounce non standard"
        return self._receipt(
            known,
            ReceiptKind.DSN,
            ok=not failed,
            at=mime.now_or(status.at, now),
            code=code,
            text=text,
            evidence=evidence,
        )

    # --------------------------------------------------------------------------------------------------- MDN

    def _disposition(self, said: Disposition, kind: Kind, mark: str, now: float) -> Handled:
        known = self._correlator.find(message_ids=said.message_ids)
        if known is None:
            return Handled(kind, Place.QUARANTINE, why="about no delivery of ours")
        if not self._trusted(said):
            return Handled(kind, Place.QUARANTINE, why="from outside the espace de confiance")
        ok = said.positive is not False
        code = "MSS-READ" if ok else f"MSS-{said.code}"
        rules = self._rules[known.row.delivery.sink]
        if said.positive is None or (said.type == "deleted" and rules.deleted == "silence"):
            code, ok = SILENT, True
        text = f"accusé de lecture : {said.type}"
        if said.type == "deleted":
            text = "supprimé sans lecture certaine"
        elif not ok:
            text = f"refusé par le logiciel du destinataire ({said.code})"
        evidence = {"report": mark, "disposition": said.type}
        if known.context.get("kind") != "patient" and known.row.delivery.label != PATIENT:  # the bytes may be gone
            evidence["reader"] = said.reader
        receipt = self._receipt(
            known, ReceiptKind.MDN, ok=ok, at=mime.now_or(said.at, now), code=code, text=text, evidence=evidence
        )
        return Handled(kind, Place.DONE, (receipt,))

    def _trusted(self, said: Disposition) -> bool:
        """Reader and author are of the espace de confiance: anybody may write that a document was not integrated."""
        domains = [address.rpartition("@")[2] for address in (said.reader, said.sender) if "@" in address]
        return bool(domains) and all(map(self._admits, domains))

    # ----------------------------------------------------------------------------------------------- receipt

    def _receipt(
        self,
        known: Known,
        kind: ReceiptKind,
        *,
        ok: bool,
        at: float,
        code: str,
        text: str,
        evidence: dict[str, str],
    ) -> Receipt:
        delivery = known.row.delivery
        kept = {name: known.row.evidence[name] for name in ("message_id",) if name in known.row.evidence}
        return Receipt(
            delivery_id=delivery.id,
            event_id=delivery.event_id,
            sink=delivery.sink,
            kind=kind,
            ok=ok,
            at=at,
            code=code,
            text=text,
            feed=delivery.feed,
            key=delivery.key,
            destination=delivery.destination,
            label=delivery.label,
            pipeline=delivery.pipeline,
            evidence={name: value for name, value in (kept | evidence).items() if value},
            context=known.context,
        )


def _holds_archive(mail: Message) -> bool:
    for part in mail.walk():
        name = (part.get_filename() or "").lower()
        if name == "ihe_xdm.zip" or (name.endswith(".zip") and "zip" in mime.content_type(part)):
            return True
    return False
