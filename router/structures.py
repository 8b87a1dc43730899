"""The hospitals (FINESS) the site speaks for: mailbox, label, source id and certificates belong to them (D9)."""

from __future__ import annotations

import re
from typing import Final, Literal, Self

from pydantic import ConfigDict, Field

from router.strict import Strict

Environment = Literal["production", "qualification"]
"""What a site is for. Identities, mailboxes and addresses of the two never mix (D9)."""
FINESS: Final = re.compile(r"(?:[0-9]{2}|2[AB])[0-9]{7}")
"""Nine characters: département (2A and 2B for Corsica), number, key."""
LENGTH: Final = 9


def keyed(finess: str) -> bool:
    """Whether the last digit is the key (Luhn) of a FINESS. No sheet of ours states it for letters: those pass."""
    if not finess.isdigit():
        return True
    doubled = (int(digit) * (2 - rank % 2) for rank, digit in enumerate(reversed(finess), 1))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


class SendingApplication(Strict):
    """What one application of a structure sends from: `Hopital C – Biologie` (mssante §1.1, ECO.2.2.7)."""

    name: str = Field(
        min_length=1, description="`MSH-3^MSH-4`, else `MSH-3`, else the number of the service (PRT-8.10 of PRT `SB`)."
    )
    mailbox: str = Field("", description="BAL applicative that sends its mails; default: that of the structure.")
    label: str = Field("", description="Label of the mailbox in From; default: that of the structure.")


class StructureConfig(Strict):
    """One structure, named in `structures` of the site file by its FINESS number."""

    # The site file's own model adds a key for each sink type and refuses others; a stored order keeps what it has.
    model_config = ConfigDict(extra="allow")

    finess: str = Field("", description="FINESS of the structure; the key of the table, filled by the loader.")
    name: str = Field(description="Name shown in XON-1, in the mail's label and in INDEX.HTM.")
    sector: str = Field(
        "SA01", description="Secteur d'activité (JDV_J61, code system 1.2.250.1.71.4.2.4) for the VIHF."
    )
    source_oid: str = Field(description="OID of the emitting system: XDS sourceId, and root of the ids we make.")
    ipp_oid: str = Field("", description="OID of the authority that issues its IPP.")
    mailbox: str = Field("", description="BAL applicative that sends its MSSanté mail.")
    label: str = Field("", description="Label of the mailbox in From; default: the name.")
    applications: tuple[SendingApplication, ...] = Field(
        (), description="Sending applications that have a mailbox or a label of their own."
    )
    address: str = Field("", description="Postal address, for README.TXT of the XDM archive.")
    phone: str = Field("", description="Telephone, for README.TXT of the XDM archive.")

    def sending(self, application: str, facility: str, service: str = "") -> Self:
        """The structure as one of its applications sends: with the mailbox and label of its own, when it has them.

        application, facility: MSH-3.1 and MSH-4.1; service: PRT-8.10 of the sender
        """
        if not self.applications:
            return self
        known = {one.name: one for one in self.applications}
        own = next((known[key] for key in (f"{application}^{facility}", application, service) if key in known), None)
        changes: dict[str, object] = {"applications": ()}
        if own is not None:
            changes |= {"mailbox": own.mailbox or self.mailbox, "label": own.label or self.label}
        return self.model_copy(update=changes)

    def mailboxes(self) -> set[str]:
        """Every mailbox that sends for this structure."""
        return {self.mailbox, *(one.mailbox for one in self.applications)} - {""}

    def sink_of(self, kind: str) -> str:
        """The instance of this sink type that serves the structure; "" when the site file names none."""
        return str(vars(self).get(kind) or (self.model_extra or {}).get(kind, ""))

    @property
    def id_nat(self) -> str:
        """Struct_IdNat: `1` + FINESS (dmp §2.1)."""
        return f"1{self.finess}"
