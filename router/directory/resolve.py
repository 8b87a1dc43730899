"""Find the mailbox of a recipient that came without one (mssante §4.2, decisions D5). Never guesses between two.

A professional is looked up in the annuaire by RPPS; an organisation, a service or an application only in the site's
own table. An address that came with the message is never replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from router.directory.addresses import addr_spec, domain_of
from router.directory.annuaire import Annuaire, Mailbox, finess
from router.directory.liste_blanche import ListeBlanche
from router.directory.settings import LocalMailbox
from router.language import filled
from router.request import Patient, Recipient, RecipientKind

PATIENT_DOMAIN: Final = "patient.mssante.fr"
PERSONAL: Final = frozenset({"PER", "CAB"})
BAD_ADDRESS: Final = "510"


@dataclass(frozen=True, slots=True)
class Found:
    """What was chosen: one address (several under `toutes`), or none with the reason. `reason` names no identity."""

    addresses: tuple[str, ...] = ()
    reason: str = ""


class Resolver:
    """Looks mailboxes up. No I/O but the local database."""

    def __init__(
        self,
        annuaire: Annuaire,
        liste_blanche: ListeBlanche,
        table: Collection[LocalMailbox] = (),
        *,
        ambiguous: Literal["refuse", "toutes"] = "refuse",
    ) -> None:
        self._annuaire = annuaire
        self._liste_blanche = liste_blanche
        self._table = tuple(table)
        self._ambiguous = ambiguous

    def find(self, recipient: Recipient, patient: Patient) -> Found:
        """The mailbox of a recipient without an address."""
        if recipient.kind is RecipientKind.PATIENT:
            return patient_mailbox(patient)
        number = rpps(recipient.person.id) if recipient.person else ""
        if number:
            return self._professional(recipient, number)
        if recipient.kind is RecipientKind.PROFESSIONAL:
            return Found(reason="identifiant du professionnel sans RPPS : adresse introuvable")
        return self._local(recipient)

    def _professional(self, recipient: Recipient, number: str) -> Found:
        boxes = [box for box in self._annuaire.mailboxes(rpps=number) if self._usable(box)]
        found = _addresses(boxes)
        if not found:
            return Found(reason="aucune boîte aux lettres connue pour ce RPPS")
        if len(found) == 1:
            return Found(found, "annuaire : une seule boîte pour ce RPPS")
        where = finess(recipient.structure.finess or recipient.structure.id) if recipient.structure else ""
        attached = _addresses([box for box in boxes if where and box.structure == where])
        if len(attached) == 1:
            return Found(attached, "annuaire : la boîte de ce RPPS dans la structure demandée")
        if self._ambiguous == "toutes":
            return Found(
                found, filled("annuaire : les {count} boîtes de ce RPPS (ambiguous: toutes)", count=len(found))
            )
        return Found(reason=filled("{count} boîtes aux lettres pour ce RPPS", count=len(found)))

    def _local(self, recipient: Recipient) -> Found:
        found = {line.address.lower(): line.address for line in self._table if _names(line, recipient)}
        if len(found) == 1:
            return Found(tuple(found.values()), "table locale du site")
        if found:
            return Found(
                reason=filled("{count} lignes de la table locale répondent à ce destinataire", count=len(found))
            )
        return Found(reason="destinataire absent de la table locale des boîtes aux lettres")

    def _usable(self, box: Mailbox) -> bool:
        if box.type not in PERSONAL or box.demat.upper() in {"N", "NON", "FALSE"}:
            return False
        return self._liste_blanche.admits(domain_of(box.address))


def patient_mailbox(patient: Patient) -> Found:
    """`<matricule INS>@patient.mssante.fr`, from a qualified INS only (ECO.2.2.6)."""
    if patient.ins is None:
        return Found(reason="INS non qualifiée : pas d'adresse patient")
    return Found((addr_spec(f"{patient.ins.value}@{PATIENT_DOMAIN}"),), "adresse construite sur l'INS qualifiée")


def rpps(identifier: str) -> str:
    """The 11 digits of a RPPS: bare, or an IDNPS (`8` + RPPS). '' for an ADELI or anything else (mssante §4.2)."""
    text = identifier.strip()
    if not (text.isascii() and text.isdigit()):
        return ""
    if len(text) == 12 and text.startswith("8"):
        return text[1:]
    return text if len(text) == 11 else ""


def _addresses(boxes: Sequence[Mailbox]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(box.address for box in boxes))


def _names(line: LocalMailbox, recipient: Recipient) -> bool:
    """Whether a line of the site's table is this recipient's."""
    if line.application or recipient.application:
        return line.application == recipient.application
    structure = recipient.structure
    if structure is None:
        return False
    number = finess(structure.finess or structure.id)
    if line.number:
        owner = recipient.owner or structure.finess
        return (
            line.number == structure.id
            and (not line.kind or line.kind == structure.kind)
            and (not line.structure or finess(line.structure) == finess(owner))
        )
    return finess(line.structure) == number and (not line.kind or line.kind == structure.kind)
