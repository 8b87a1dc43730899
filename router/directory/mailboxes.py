"""What a directory knows: mailboxes and professions, and the one interface of all that can be asked (mssante §5).

Three sources exist: the site's own table, the extraction file of the annuaire, its FHIR interface. The suite
`tests/contracts/mailbox_source_contract.py` is what each of them must pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from router.language import N_

SourceName = Literal["table", "extraction", "fhir"]

#: How a source is named to an operator.
NAMES: Final[dict[str, str]] = {
    "table": N_("table du site"),
    "extraction": N_("extraction de l'annuaire"),
    "fhir": N_("annuaire en ligne"),
}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox, as a source publishes it.

    address:    lower case, one plain addr-spec
    type:       PER, ORG, APP, CAB (JDV_J139); "" when the source does not say
    rpps:       11 digits; "" for a mailbox that is no person's
    structure:  FINESS of the place of practice, as `finess` writes it; "" for a mailbox of no structure
    profession: code of TRE_G15
    demat:      whether documents may come without paper: `O`, `N`, "" when unknown (values: UNSURE)
    rank:       1 is the preferred mailbox; None when the source does not say
    red_listed: must not be shown, hence not be used
    """

    address: str
    type: str = ""
    rpps: str = ""
    structure: str = ""
    service: str = ""
    profession: str = ""
    demat: str = ""
    rank: int | None = None
    red_listed: bool = False


@dataclass(frozen=True, slots=True)
class Profession:
    """A profession (TRE_G15) and, when it is known, a savoir-faire (TRE_R38 and its like) or a section (TRE_G05)."""

    code: str
    label: str = ""
    skill: str = ""
    skill_label: str = ""


class MailboxSource(Protocol):
    """One directory. Each method raises `Unavailable` when it can't answer now: an empty answer means nobody."""

    @property
    def name(self) -> SourceName: ...

    def mailboxes(self, *, rpps: str = "", finess: str = "") -> tuple[Mailbox, ...]:
        """The mailboxes of a professional (11 digits), of a structure, or of one in the other; each once.

        Red-listed ones are left out, or marked. With neither: none.
        """
        ...

    def holders(self, address: str) -> tuple[Mailbox, ...]:
        """Every line that publishes this address."""
        ...

    def professions(self, rpps: str) -> tuple[Profession, ...]:
        """The professions of a professional; none when the source does not know him, or knows no professions."""
        ...

    def structure_name(self, number: str) -> str:
        """The name of a structure, "" when it is unknown to the source."""
        ...


def finess(number: str) -> str:
    """A structure's number as compared: a Struct_IdNat of a FINESS (`1` + 9) loses its prefix (mssante §4.2)."""
    text = number.strip()
    return text[1:] if len(text) == 10 and text.startswith("1") else text


def rpps(identifier: str) -> str:
    """The 11 digits of a RPPS: bare, or an IDNPS (`8` + RPPS). "" for an ADELI or anything else (mssante §4.2)."""
    text = identifier.strip()
    if not (text.isascii() and text.isdigit()):
        return ""
    if len(text) == 12 and text.startswith("8"):
        return text[1:]
    return text if len(text) == 11 else ""
