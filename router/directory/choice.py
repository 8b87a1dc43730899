"""Which mailbox of a professional may be used, and which one when he has several (mssante §4.2, decisions D5).

The rules stand in the site file (`directory.choice`). Each only leaves out; what is left at the end is never guessed
between. Every choice comes with its reason, which names no identity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from router.directory.addresses import domain_of
from router.directory.liste_blanche import ListeBlanche
from router.directory.mailboxes import Mailbox
from router.directory.settings import ChoiceConfig
from router.language import N_, filled

OUTSIDE: Final = N_("hors liste blanche")
NOT_PERSONAL: Final = N_("de type non admis pour un professionnel")
RED_LISTED: Final = N_("en liste rouge")
EXCLUDED: Final = N_("exclue par le site")
PATIENTS: Final = N_("d'un patient")
PAPER: Final = N_("sans dématérialisation")
ORGANISATIONAL: Final = frozenset({"CAB", "ORG"})

#: Rule -> what it says of the mailboxes that it keeps.
RULES: Final = {
    "place": N_("structure demandée"),
    "organisational": N_("organisationnelle avant nominative"),
    "rank": N_("préférée d'après l'annuaire"),
}
_ONLY: Final = N_("la seule utilisable")


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a source's mailboxes are worth: those that may be used, and how many others for which reason."""

    usable: tuple[Mailbox, ...] = ()
    aside: tuple[tuple[str, int], ...] = ()

    @property
    def reason(self) -> str:
        """`1 × hors liste blanche, 2 × en liste rouge`; "" when none was set aside."""
        return ", ".join(filled("{count} × {text}", count=count, text=text) for text, count in self.aside)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The addresses that are left; the rule that decided; how many were left after each rule that was applied."""

    addresses: tuple[str, ...]
    why: str
    steps: tuple[tuple[str, int], ...] = ()


class Choice:
    """The rules of a site. Pure but for the liste blanche, which it asks and never refreshes."""

    def __init__(self, config: ChoiceConfig, liste_blanche: ListeBlanche, no_demat: Collection[str]) -> None:
        self._config = config
        self._liste_blanche = liste_blanche
        self._no_demat = frozenset(map(str.upper, no_demat))

    def judged(self, box: Mailbox, *, own: bool = False) -> str:
        """Why this mailbox may not be used, "" when it may. `own`: it stands in the site's own table."""
        config = self._config
        domain = domain_of(box.address)
        if box.address in config.exclude_addresses or domain in config.exclude_domains:
            return EXCLUDED
        if domain in config.patient_domains:
            return PATIENTS
        if box.red_listed:
            return RED_LISTED
        if not own and box.type not in config.types:
            return NOT_PERSONAL
        if not own and self._paper(box):
            return PAPER
        return "" if self._liste_blanche.admits(domain) else OUTSIDE

    def sort_out(self, boxes: Iterable[Mailbox], *, own: bool = False) -> Sorted:
        """Those that may be used; and the others, counted by reason, each address once."""
        usable, aside, seen = [], Counter[str](), set[str]()
        for box in boxes:
            if not (why := self.judged(box, own=own)):
                usable.append(box)
            elif box.address not in seen:
                aside[why] += 1
            seen.add(box.address)
        return Sorted(tuple(usable), tuple(aside.items()))

    def choose(self, usable: Sequence[Mailbox], place: str) -> Chosen:
        """One address, or those that no rule could tell apart. `place`: FINESS that the message names, or ""."""
        left, why, steps = list(usable), _ONLY, []
        for rule in self._config.prefer:
            if len(addresses_of(left)) <= 1:
                break
            kept = _kept(rule, left, place)
            if kept:
                steps.append((rule, len(addresses_of(kept))))
                why = RULES[rule] if len(addresses_of(kept)) < len(addresses_of(left)) else why
                left = kept
        return Chosen(addresses_of(left), why, tuple(steps))

    @property
    def ranked(self) -> bool:
        """Whether a preferred mailbox, when one is published, decides."""
        return "rank" in self._config.prefer

    def _paper(self, box: Mailbox) -> bool:
        wanted = self._config.dematerialisation
        if wanted == "require-yes":
            return not box.demat or box.demat.upper() in self._no_demat
        return wanted == "refuse-no" and box.demat.upper() in self._no_demat


def addresses_of(boxes: Iterable[Mailbox]) -> tuple[str, ...]:
    """Each address once, in order."""
    return tuple(dict.fromkeys(box.address for box in boxes))


def told(source: str, chosen: Chosen, sorted_out: Sorted) -> str:
    """The reason of a choice in one sentence."""
    if not sorted_out.reason:
        return filled("source : {what} ; règle : {text}", what=source, text=chosen.why)
    return filled(
        "source : {what} ; règle : {text} ; écartées : {reason}",
        what=source,
        text=chosen.why,
        reason=sorted_out.reason,
    )


def _kept(rule: str, boxes: Sequence[Mailbox], place: str) -> list[Mailbox]:
    """Those that a rule prefers; none when it can't tell."""
    if rule == "place":
        return [box for box in boxes if place and box.structure == place]
    if rule == "organisational":
        return [box for box in boxes if box.type in ORGANISATIONAL]
    ranks = [box.rank for box in boxes if box.rank is not None]
    best = [box for box in boxes if ranks and box.rank == min(ranks)]
    return best if len(addresses_of(best)) == 1 else []
