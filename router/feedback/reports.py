"""One mail of the mailbox: what it is, where it goes, and the receipts it gives. No I/O but correlator's and proofs'.

A report counts when it names our delivery and its recipient, comes from a mail server (DSN) or from the recipient
(MDN), and does not contradict a stronger proof (decisions D15). Anything else is for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from router.exchange import PATIENT, Receipt, ReceiptKind
from router.feedback import mime
from router.feedback.addresses import author
from router.feedback.answers import CONTRADICTED, DELAYED, SILENT
from router.feedback.authentication import authenticated
from router.feedback.correlate import Correlator, Known
from router.feedback.dsn import Action, DeliveryStatus, null_return_path
from router.feedback.limits import LIMITS, Limits, TooMuch
from router.feedback.mdn import Disposition
from router.feedback.proofs import Proof, Proofs, Strength
from router.feedback.reading import Kind, Place, Read, read
from router.language import N_, filled
from router.sinks.mssante.settings import FeedbackRules

__all__ = ["Handled", "Kind", "Place", "Read", "Reports"]


@dataclass(frozen=True, slots=True)
class Handled:
    """The verdict on one mail.

    proved: what its receipts prove, to be remembered once they are durable
    why:    for the log, without any value;  facts: for the alert, ids and digests only
    """

    kind: Kind
    place: Place
    receipts: tuple[Receipt, ...] = ()
    why: str = ""
    proved: tuple[tuple[Strength, Receipt], ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


class _Untrusted(Exception):
    """The report does not count. Its text says why, without any value."""


#: Action of a DSN -> text of its receipt.
_TEXTS: Final = {
    Action.DELIVERED: N_("remis dans la boîte du destinataire"),
    Action.RELAYED: N_("relayé à un serveur qui n'en dira pas plus"),
    Action.EXPANDED: N_("remis à une liste"),
    Action.DELAYED: N_("remise retardée, le serveur essaie encore"),
    Action.FAILED: N_("non remis"),
}
_PROVES: Final = {
    Action.DELIVERED: Strength.DELIVERED,
    Action.RELAYED: Strength.RELAYED,
    Action.EXPANDED: Strength.RELAYED,
}
_STRONGER_THAN_FAILURE: Final = frozenset({Strength.DELIVERED, Strength.READ})
_PROOFS: Final = {Strength.RELAYED: "relais", Strength.DELIVERED: "remise", Strength.READ: "lecture"}


class Reports:
    """Reads mails of one mailbox.

    rules:  of each sink that sends from it
    admits: whether a domain is in the liste blanche
    """

    def __init__(
        self,
        correlator: Correlator,
        proofs: Proofs,
        rules: Mapping[str, FeedbackRules],
        *,
        admits: Callable[[str], bool],
        limits: Limits = LIMITS,
    ) -> None:
        self._correlator = correlator
        self._proofs = proofs
        self._rules = rules
        self._admits = admits
        self._limits = limits

    def handle(self, raw: bytes, now: float) -> Handled:
        """Read and judge a mail. Raises `Unavailable`."""
        return self.judge(self.read(raw), now)

    def read(self, raw: bytes) -> Read:
        """What a mail says. No I/O, and no time but what its limits allow."""
        return read(raw, self._limits)

    def judge(self, found: Read, now: float) -> Handled:
        """Whether what it says counts, and the receipts it is worth. Raises `Unavailable`."""
        try:
            if found.statuses:
                return self._statuses(found, now)
            if found.disposition is not None:
                return self._disposition(found, found.disposition, now)
        except _Untrusted as reason:
            return Handled(found.kind, Place.QUARANTINE, why=str(reason))
        except TooMuch as limit:
            return Handled(Kind.UNKNOWN, Place.QUARANTINE, why=str(limit))
        return Handled(found.kind, found.place, why=found.why)

    def remember(self, handled: Handled, now: float) -> None:
        """Keep what was proved; call it once the receipts are durable. Raises `Unavailable`."""
        self._proofs.keep(handled.proved, now)

    # --------------------------------------------------------------------------------------------------- DSN

    def _statuses(self, found: Read, now: float) -> Handled:
        """A report may speak of many recipients, when a list was expanded: those of our deliveries count."""
        mails = {_mail(status): status for status in found.statuses}  # ledger and bus are asked once for each mail
        named = {mail: self._named(status) for mail, status in mails.items()}
        spoken = [(named[_mail(status)], status) for status in found.statuses]
        spoken = [(known, status) for known, status in spoken if self._correlator.speaks_of(known, status.recipients)]
        if not spoken:
            raise _Untrusted("it names another recipient than the delivery's")
        said: dict[tuple[str, Action], tuple[Known, DeliveryStatus]] = {}
        for known, status in spoken:  # what stands there twice counts once
            said.setdefault((known.row.delivery.id, status.action), (known, status))
        ours = list(said.values())
        for known, _ in ours:
            self._from_a_server(found, known)
        if len(ours) > len({known.row.delivery.id for known, _ in ours}):
            raise _Untrusted("it says two things of one recipient")
        receipts, proved, facts = [], [], {}
        for known, status in ours:
            earlier = self._contradicted(known, status)
            if earlier is not None:
                receipts.append(self._contradiction(known, status, earlier, found.mark, now))
                facts = {"delivery": known.row.delivery.id, "digest": found.mark, "reason": f"contre {earlier.report}"}
                continue
            receipt = self._delivery_receipt(known, status, found.mark, now)
            receipts.append(receipt)
            if status.action in _PROVES:
                proved.append((_PROVES[status.action], receipt))
        if facts:
            why = "it contradicts a stronger proof"
            return Handled(found.kind, Place.HUMAN, tuple(receipts), why, tuple(proved), facts)
        return Handled(found.kind, Place.DONE, tuple(receipts), proved=tuple(proved))

    def _named(self, status: DeliveryStatus) -> Known:
        known = self._correlator.find(envid=status.envid, message_ids=status.message_ids)
        if known is None:
            raise _Untrusted("about no delivery of ours")
        return known

    def _from_a_server(self, found: Read, known: Known) -> None:
        """A null return path. An operator that writes none at all is believed for reports that give our ENVID."""
        header = found.header
        silent = not header.get("return-path") and known.secret
        if not (null_return_path(header) or silent):
            raise _Untrusted("a delivery report that does not come from the null return path")
        operator = self._rules[known.row.delivery.sink].authserv_id
        domain = _domain(author(header.get("from")))
        if operator and authenticated(header, operator, domain) == "fail":
            raise _Untrusted("our operator could not authenticate its author")

    def _contradicted(self, known: Known, status: DeliveryStatus) -> Proof | None:
        """The stronger proof against which this speaks."""
        if status.action is not Action.FAILED:
            return None
        earlier = self._proofs.strongest(known.row.delivery.id)
        return earlier if earlier is not None and earlier.strength in _STRONGER_THAN_FAILURE else None

    def _contradiction(self, known: Known, status: DeliveryStatus, earlier: Proof, mark: str, now: float) -> Receipt:
        what = _PROOFS[earlier.strength]
        evidence = {"report": mark, "action": str(status.action), "status": status.status, "against": earlier.report}
        return self._receipt(
            known,
            ReceiptKind.DSN,
            ok=False,
            at=mime.now_or(status.at, now),
            code=CONTRADICTED,
            text=filled(
                "« non remis » contredit une preuve plus forte ({what}) : à vérifier par une personne", what=what
            ),
            evidence=evidence,
        )

    def _delivery_receipt(self, known: Known, status: DeliveryStatus, mark: str, now: float) -> Receipt:
        failed = status.action is Action.FAILED
        code, text = "MSS-250", _TEXTS[status.action]
        if failed:
            code = f"MSS-{status.code}"
            text = filled("{text} ({status})", text=text, status=status.status) if status.status else text
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

    def _disposition(self, found: Read, said: Disposition, now: float) -> Handled:
        known = self._correlator.find(message_ids=said.message_ids)
        if known is None:
            raise _Untrusted("about no delivery of ours")
        forwarded = self._forwarded(known, said)
        self._from_its_reader(found, known, said)
        if said.doubtful:
            raise _Untrusted("its subject says the contrary of its report")
        ok = said.positive is not False
        code = "MSS-READ" if ok else f"MSS-{said.code}"
        text = filled("accusé de lecture : {kind}", kind=said.type)
        if said.type == "deleted" and not ok:
            text = N_("supprimé sans lecture certaine")
        elif not ok:
            text = filled("refusé par le logiciel du destinataire ({code})", code=said.code)
        if self._silent(known, said):
            code, ok = SILENT, True
        if forwarded:
            text = filled("{text}, par une boîte à laquelle le destinataire l'a transféré", text=text)
        evidence = {"report": found.mark, "disposition": said.type}
        if not _patients(known):
            evidence["reader"] = said.reader
        if forwarded:
            evidence["forwarded"] = "1"
        receipt = self._receipt(
            known, ReceiptKind.MDN, ok=ok, at=mime.now_or(said.at, now), code=code, text=text, evidence=evidence
        )
        proved = ((Strength.READ, receipt),) if said.positive else ()
        return Handled(found.kind, Place.DONE, (receipt,), proved=proved)

    def _silent(self, known: Known, said: Disposition) -> bool:
        """Whether the sender is told nothing: it says nothing, or that a mail was deleted which is known as read."""
        if said.positive is None:
            return True
        if said.type != "deleted" or said.code != "906":
            return False
        earlier = self._proofs.strongest(known.row.delivery.id)
        read_before = earlier is not None and earlier.strength is Strength.READ
        return read_before or self._rules[known.row.delivery.sink].deleted == "silence"

    def _forwarded(self, known: Known, said: Disposition) -> bool:
        """Whether another mailbox than the recipient's read it, and says whom it had the mail from.

        Raises `_Untrusted` for a reader that is neither; nobody but the patient reads a patient's mail.
        """
        if self._correlator.speaks_of(known, [said.reader]):
            return False
        if self._correlator.speaks_of(known, said.named) and not _patients(known):
            return True
        raise _Untrusted("its reader is not the delivery's recipient")

    def _from_its_reader(self, found: Read, known: Known, said: Disposition) -> None:
        """Its author is the recipient or the reader, of the espace de confiance, authenticated where we can tell."""
        domain = _domain(said.author)
        same = said.author.lower() == said.reader.lower()
        if not domain or not (same or self._correlator.speaks_of(known, [said.author])):
            raise _Untrusted("its author is not its reader")
        if not all(self._admits(one) for one in {domain, _domain(said.reader)}):
            raise _Untrusted("from outside the espace de confiance")
        operator = self._rules[known.row.delivery.sink].authserv_id
        if operator and authenticated(found.header, operator, domain) != "pass":
            raise _Untrusted("our operator did not authenticate its author")

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


def _mail(status: DeliveryStatus) -> tuple[str, tuple[str, ...]]:
    """What a status says of the mail that it is about."""
    return status.envid, status.message_ids


def _patients(known: Known) -> bool:
    """Whether it was a mail to a patient; the bytes may be gone, then the row's label says it."""
    return known.context.get("kind") == "patient" or known.row.delivery.label == PATIENT


def _domain(address: str) -> str:
    """The domain of an address; '' when it is none."""
    local, at, domain = address.rpartition("@")
    return domain.lower() if local and at else ""
