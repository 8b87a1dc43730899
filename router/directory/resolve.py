"""Find the mailbox of a recipient that came without one (mssante §4.2, decisions D5). Never guesses between two.

A professional is looked up by RPPS in the sources that the site names, in their order; an organisation, a service or
an application only in the site's own table. An address that came with the message is never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from router.directory.addresses import addr_spec, domain_of
from router.directory.choice import OUTSIDE, Choice, Chosen, Sorted, told
from router.directory.liste_blanche import ListeBlanche
from router.directory.mailboxes import NAMES, Mailbox, MailboxSource, finess, rpps
from router.directory.table import Table
from router.errors import Unavailable
from router.language import filled
from router.request import Patient, Recipient, RecipientKind

PATIENT_DOMAIN: Final = "patient.mssante.fr"
BAD_ADDRESS: Final = "510"


@dataclass(frozen=True, slots=True)
class Found:
    """What was chosen: one address (several under `toutes`), or none with the reason. `reason` names no identity."""

    addresses: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one source told of a professional, for an operator who asks why.

    fault: why it could not answer; then the rest is empty
    """

    source: MailboxSource
    boxes: tuple[Mailbox, ...] = ()
    sorted_out: Sorted = field(default_factory=Sorted)
    fault: Unavailable | None = None


class Resolver:
    """Looks mailboxes up. Any thread; it waits as long as its sources do."""

    def __init__(
        self,
        sources: Callable[[], Sequence[MailboxSource]],
        table: Table,
        choice: Choice,
        liste_blanche: ListeBlanche,
        *,
        ambiguous: Literal["refuse", "toutes"] = "refuse",
    ) -> None:
        self._sources = sources
        self._table = table
        self._choice = choice
        self._liste_blanche = liste_blanche
        self._ambiguous = ambiguous

    def find(self, recipient: Recipient, patient: Patient) -> Found:
        """The mailbox of a recipient without an address.

        Raises `Unavailable` when no source names one and one of them can't answer now: nobody knows yet.
        """
        if recipient.kind is RecipientKind.PATIENT:
            return patient_mailbox(patient)
        number = rpps(recipient.person.id) if recipient.person else ""
        if number:
            structure = recipient.structure
            return self.professional(number, finess(structure.finess or structure.id) if structure else "")[0]
        if recipient.kind is RecipientKind.PROFESSIONAL:
            return Found(reason="identifiant du professionnel sans RPPS : adresse introuvable")
        return self._local(recipient)

    def professional(self, number: str, place: str = "") -> tuple[Found, tuple[Asked, ...], Chosen | None]:
        """The mailbox of a RPPS (11 digits); what each source told on the way, and how the choice was made."""
        told_of: list[Asked] = []
        sources = self._sources()
        for rank, source in enumerate(sources):
            asked = self._ask(source, number)
            told_of.append(asked)
            if asked.sorted_out.usable:
                chosen, more = self._chosen(asked, sources[rank + 1 :], number, place)
                return self._verdict(asked, chosen), (*told_of, *more), chosen
        silent = next((one.fault for one in told_of if one.fault is not None), None)
        if silent is not None:
            raise silent
        return self._nobody(told_of), tuple(told_of), None

    # ------------------------------------------------------------------------------------------ internals

    def _ask(self, source: MailboxSource, number: str) -> Asked:
        own = source is self._table
        try:
            boxes = source.mailboxes(rpps=number)
        except Unavailable as fault:
            return Asked(source, fault=fault)
        sorted_out = self._choice.sort_out(boxes, own=own)
        if not sorted_out.usable and self._reread(boxes):
            sorted_out = self._choice.sort_out(boxes, own=own)
        return Asked(source, boxes, sorted_out)

    def _reread(self, boxes: Sequence[Mailbox]) -> bool:
        """Whether the liste blanche was read again because it does not know the only domains that a source names."""
        unknown = {domain_of(box.address) for box in boxes if self._choice.judged(box) == OUTSIDE}
        return any(self._liste_blanche.retest(domain) for domain in sorted(unknown))

    def _chosen(
        self, asked: Asked, later: Sequence[MailboxSource], number: str, place: str
    ) -> tuple[Chosen, list[Asked]]:
        """The choice among one source's mailboxes; a later source may say which of them is preferred."""
        usable, more = asked.sorted_out.usable, list[Asked]()
        chosen = self._choice.choose(usable, place)
        for source in later if self._choice.ranked else ():
            if len(chosen.addresses) <= 1:
                break
            other = self._ask(source, number)
            more.append(other)
            if other.fault is not None:
                raise other.fault
            ranks = {box.address: box.rank for box in other.boxes if box.rank is not None}
            usable = tuple(replace(box, rank=ranks.get(box.address, box.rank)) for box in usable)
            chosen = self._choice.choose(usable, place)
        return chosen, more

    def _verdict(self, asked: Asked, chosen: Chosen) -> Found:
        source = NAMES[asked.source.name]
        count = len(chosen.addresses)
        if count == 1:
            return Found(chosen.addresses, told(source, chosen, asked.sorted_out))
        if self._ambiguous == "toutes":
            text = filled(
                "les {count} boîtes de ce RPPS (ambiguous: toutes) ; source : {what}", what=source, count=count
            )
            return Found(chosen.addresses, text)
        return Found(reason=filled("{count} boîtes aux lettres pour ce RPPS", count=count))

    @staticmethod
    def _nobody(told_of: Sequence[Asked]) -> Found:
        aside = ", ".join(dict.fromkeys(one.sorted_out.reason for one in told_of if one.sorted_out.reason))
        if aside:
            return Found(reason=filled("aucune boîte utilisable pour ce RPPS : {reason}", reason=aside))
        return Found(reason="aucune boîte aux lettres connue pour ce RPPS")

    def _local(self, recipient: Recipient) -> Found:
        found = self._table.addresses(recipient)
        if len(found) == 1:
            return Found(found, "table locale du site")
        if found:
            return Found(
                reason=filled("{count} lignes de la table locale répondent à ce destinataire", count=len(found))
            )
        return Found(reason="destinataire absent de la table locale des boîtes aux lettres")


def patient_mailbox(patient: Patient) -> Found:
    """`<matricule INS>@patient.mssante.fr`, from a qualified INS only (ECO.2.2.6)."""
    if patient.ins is None:
        return Found(reason="INS non qualifiée : pas d'adresse patient")
    return Found((addr_spec(f"{patient.ins.value}@{PATIENT_DOMAIN}"),), "adresse construite sur l'INS qualifiée")
