"""What the site file says of mailboxes, labels and structures, compared with annuaire and liste blanche.

The running router compares every night, `segur-router directory check` at once. Differences are a work-list for a
person: nothing of the site changes by itself, and no mail is held back by one.
"""

from __future__ import annotations

import json
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from router.contracts import Clock, Observer
from router.directory.addresses import domain_of
from router.directory.liste_blanche import ListeBlanche
from router.directory.mailboxes import Mailbox, MailboxSource
from router.directory.settings import CheckConfig
from router.errors import OperatorFault, Unavailable
from router.french_time import in_france
from router.language import N_, filled

log = logging.getLogger(__name__)

Kind = Literal["liste-blanche", "holder", "type", "unpublished", "structure", "name", "label", "unanswered"]
#: Label values of the measure `directory_differences`, and what each means.
KINDS: Final[dict[Kind, str]] = {
    "liste-blanche": N_("a mailbox whose domain is outside the liste blanche"),
    "holder": N_("a mailbox that the annuaire publishes for somebody else"),
    "type": N_("a sending mailbox that is a person's"),
    "unpublished": N_("a mailbox of a professional that the annuaire does not publish for him"),
    "structure": N_("a structure that the annuaire does not know"),
    "name": N_("a structure whose name is another one in the annuaire"),
    "label": N_("a label that does not name its structure"),
    "unanswered": N_("what could not be compared: a source did not answer"),
}


@dataclass(frozen=True, slots=True)
class Configured:
    """One thing that the site file says.

    place:   where, e.g. `structures.750100125.mailbox`
    address: the mailbox; "" when it is about the structure alone
    sends:   whether mails leave from it
    label:   its label in From, which must name the structure (ECO.2.2.7)
    """

    place: str
    address: str = ""
    sends: bool = False
    rpps: str = ""
    finess: str = ""
    name: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the work-list."""

    place: str
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One comparison: when (Unix time), how many things were compared, what differs."""

    at: float
    compared: int
    differences: tuple[Difference, ...]


def compare(
    configured: Sequence[Configured], sources: Sequence[MailboxSource], liste_blanche: ListeBlanche
) -> tuple[Difference, ...]:
    """Every difference, in the order of the site file. sources: those that are published, not the site's own table"""
    return tuple(found for one in configured for found in _differences(one, sources, liste_blanche))


class NightlyCheck:
    """The last comparison, kept in a file that all processes of a machine share; and when the next one is due."""

    def __init__(
        self,
        config: CheckConfig,
        configured: tuple[Configured, ...],
        sources: Callable[[], Sequence[MailboxSource]],
        liste_blanche: ListeBlanche,
        path: Path,
        *,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._config = config
        self._configured = configured
        self._sources = sources
        self._liste_blanche = liste_blanche
        self._path = path
        self._clock = clock
        self._observer = observer

    def run(self) -> Checked:
        """Compare now, and keep the result. A source that does not answer is a line of the result."""
        published = [source for source in self._sources() if source.name != "table"]
        found = compare(self._configured, published, self._liste_blanche)
        checked = Checked(self._clock.now(), len(self._configured), found)
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(checked), ensure_ascii=False), encoding="utf-8")
        draft.replace(self._path)
        return checked

    def last(self) -> Checked | None:
        """The last comparison that was kept; None when there is none, or its file can't be read."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            lines = tuple(Difference(**one) for one in kept["differences"])
            return Checked(float(kept["at"]), int(kept["compared"]), lines)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("the kept comparison with the annuaire can't be read: %s", type(error).__name__)
            return None

    def run_when_due(self) -> None:
        """Compare when the night has come since the last time; measure what is left to do."""
        if not self._config.enabled or not self._configured:
            return
        checked = self.last()
        if checked is None or checked.at < self._night():
            checked = self.run()
            if checked.differences:
                text = "%d differences between the site file and the annuaire: segur-router directory check --last"
                log.warning(text, len(checked.differences))
        counts = Counter(one.kind for one in checked.differences)
        for kind in KINDS:
            self._observer.set("directory_differences", counts[kind], kind=kind)

    def _night(self) -> float:
        """Unix time at which the last night's comparison became due."""
        now = in_france(self._clock.now())
        due = now.replace(hour=self._config.hour, minute=0, second=0, microsecond=0)
        return (due if due <= now else due - timedelta(days=1)).timestamp()


# -------------------------------------------------------------------------------------------------- rules


def _differences(one: Configured, sources: Sequence[MailboxSource], liste: ListeBlanche) -> Iterator[Difference]:
    if one.address and not liste.admits(domain_of(one.address)):
        yield Difference(one.place, "liste-blanche", "the domain of this mailbox is not in the liste blanche")
    if one.label and one.name and not _names(one.label, one.name):
        yield Difference(
            one.place, "label", filled("the label does not name the structure, “{structure}”", structure=one.name)
        )
    for source in sources:
        try:
            yield from _mailbox(one, source) if one.address else _structure(one, source)
        except (Unavailable, OperatorFault) as fault:
            text = filled(
                "not compared, the annuaire ({name}) does not answer: {code}", name=source.name, code=fault.code
            )
            yield Difference(one.place, "unanswered", text)


def _mailbox(one: Configured, source: MailboxSource) -> Iterator[Difference]:
    holders = source.holders(one.address)
    if one.rpps:
        if not any(box.rpps == one.rpps for box in holders):
            text = filled(
                "the annuaire ({name}) does not publish this mailbox for this RPPS: closed, or red-listed",
                name=source.name,
            )
            yield Difference(one.place, "unpublished", text)
        return
    if one.sends and any(box.type == "PER" for box in holders):
        text = filled("the annuaire ({name}) publishes this sending mailbox as a person's (PER)", name=source.name)
        yield Difference(one.place, "type", text)
    if holders and one.finess and not _held(holders, one.finess):
        numbers = ", ".join(sorted({box.structure for box in holders if box.structure}))
        text = filled(
            "the annuaire ({name}) publishes this mailbox for {others}, not for {own}",
            name=source.name,
            others=numbers,
            own=one.finess,
        )
        yield Difference(one.place, "holder", text)


def _held(holders: Sequence[Mailbox], number: str) -> bool:
    """Whether one of the lines is the structure's, or none names a structure at all."""
    named = {box.structure for box in holders if box.structure}
    return not named or number in named


def _structure(one: Configured, source: MailboxSource) -> Iterator[Difference]:
    name = source.structure_name(one.finess)
    if not name:
        if not source.mailboxes(finess=one.finess):
            text = filled("the annuaire ({name}) knows no structure of this number with a mailbox", name=source.name)
            yield Difference(one.place, "structure", text)
    elif one.name and not (_names(name, one.name) or _names(one.name, name)):
        text = filled("the annuaire ({name}) calls this structure “{official}”", name=source.name, official=name)
        yield Difference(one.place, "name", text)


def _names(text: str, name: str) -> bool:
    """Whether a text holds a name: case, accents and punctuation do not count."""
    return _plain(name) in _plain(text)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold().replace("œ", "oe"))
    kept = "".join(char if char.isalnum() else " " for char in letters if not unicodedata.combining(char))
    return f" {' '.join(kept.split())} "
