"""Cases that wait for a person: what the router alone can't decide, found anew at each look, without an identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from router.engine.dead_letters.listing import DeadLetter, Filter
from router.engine.delivery.supersession_rules import HELD
from router.exchange import PATIENT
from router.feedback.answers import CONTRADICTED, DELAYED, OVERDUE
from router.journal.search import SECONDS
from router.journal.silence import Asked, Unheard
from router.language import N_, _
from router.register.patient import WorkEntry
from router.sinks.mssante.settings import KEEPS

if TYPE_CHECKING:
    from router.console.tools import ConsoleTools

ListName = Literal["waiting", "identity", "not-received"]
IN_DOUBT: Final = "PFI-DELETE-DOUBT"
DAYS: Final = 90 * 86_400.0
"""Mails that left longer ago are not looked at: nobody will ask for their reports any more."""
MOST: Final = 2000
"""Messages that the list of what was not received is made of, the newest, for each of its codes."""
_ENTRIES: Final = 500
"""Entries of the register that are read at once."""
_UNDERWAY: Final = 60 * 86_400.0
"""Seconds before a document left, within which its message is looked for to show its name."""
_CLOCKS: Final = 86_400.0
"""Seconds by which the clocks of two machines may differ."""
_NOBODY: Final = ("", "", "")

#: Work-list -> as people call it.
LISTS: Final[Mapping[ListName, str]] = {
    "waiting": N_("Waiting for a person"),
    "identity": N_("Identity changed after sending"),
    "not-received": N_("Not received"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision. word: on its button;  means: what follows from it;  order: an order about the delivery"""

    word: str
    means: str
    order: Literal["", "replay", "discard"] = ""


REPLAY: Final = Choice(N_("Send it again"), N_("a dry run first: it shows what would happen, and asks"), "replay")
DISCARD: Final = Choice(N_("Give it up"), N_("a dry run first; it arrived, or it is no longer wanted"), "discard")
#: Work-list -> name of a choice -> the choice.
CHOICES: Final[Mapping[ListName, Mapping[str, Choice]]] = {
    "waiting": {"replay": REPLAY, "discard": DISCARD},
    "identity": {
        "right": Choice(N_("It is under the right patient"), N_("the case is closed; nothing is sent or deleted")),
        "withdrawn": Choice(N_("It was withdrawn"), N_("the case is closed; `segur-router withdraw` deletes")),
        "told": Choice(N_("The recipients were told"), N_("the case is closed; mails can't be taken back")),
    },
    "not-received": {
        "arrived": Choice(N_("It arrived"), N_("the recipient said so; the case is closed")),
        "told": Choice(N_("The recipient was told another way"), N_("the case is closed; nothing is sent")),
        "again": Choice(N_("The sender sends it again"), N_("the case is closed; a new message will come")),
    },
}


#: Code -> choices of its list that make no sense for it.
_NOT_FOR: Final[Mapping[str, frozenset[str]]] = {KEEPS: frozenset({"arrived"})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to decide. ask: the question, in one sentence;  since: Unix seconds
    to: an address of a professional, the words for a patient's mailbox, "" where there is none
    event_id, name: the message and how it is called, "" where nobody knows it any more
    """

    list: ListName
    id: str
    ask: str
    since: float
    code: str
    structure: str
    sink: str = ""
    to: str = ""
    event_id: str = ""
    name: str = ""

    @property
    def choices(self) -> Mapping[str, Choice]:
        """What may be decided of it, by name."""
        left_out = _NOT_FOR.get(self.code, frozenset())
        return {name: choice for name, choice in CHOICES[self.list].items() if name not in left_out}


class Worklists:
    """What stands in the lists for somebody who sees these structures (None: all). Raises `Unavailable`.

    seconds: after which a question to the journal is cut
    """

    def __init__(self, tools: ConsoleTools, within: frozenset[str] | None, seconds: float = SECONDS) -> None:
        self._tools, self._within, self._seconds = tools, within, seconds

    def cases(self, name: ListName) -> list[Case]:
        """The oldest first; those that people have decided too."""
        found = {"waiting": self._waiting, "identity": self._identity, "not-received": self._not_received}[name]()
        return sorted(found, key=lambda case: (case.since, case.id))

    def since(self, name: ListName) -> Mapping[str, float]:
        """Id of each of `cases` -> since when it waits, Unix seconds: what it takes to count them."""
        if name == "waiting":
            return {letter.delivery_id: letter.last for letter in self._letters()}
        if name == "identity":
            self._own()
            return self._tools.services.register.open_since(self._within)
        return {mail.delivery_id: mail.at for code in (KEEPS, OVERDUE) for mail in self._unheard(code)}

    # ------------------------------------------------------------------------------------------------ waiting

    def _waiting(self) -> Iterator[Case]:
        yield from map(_of_letter, self._tools.desk.named(self._letters()))

    def _letters(self) -> list[DeadLetter]:
        look, codes = self._tools.desk.dead_letters, (HELD, IN_DOUBT)
        found = [letter for code in codes for letter in look(Filter(code=code, within=self._within))]
        return [letter for letter in found if letter.delivery_id]

    # ----------------------------------------------------------------------------------------------- identity

    def _identity(self) -> Iterator[Case]:
        self._own()
        register, last = self._tools.services.register, None
        while entries := register.work(limit=_ENTRIES, within=self._within, after=last):
            owners = self._owners(entries)
            for entry in entries:
                event_id, _structure, name = owners.get(entry.delivery_id, _NOBODY)
                yield Case(
                    list="identity",
                    id=entry.id,
                    ask=_("{event} changed the patient's identity after this left: is it under the right patient?",
                          event=entry.kind),
                    since=entry.opened,
                    code=entry.kind,
                    structure=entry.structure or "",
                    sink=entry.sink,
                    event_id=event_id,
                    name=name,
                )  # fmt: skip
            last = entries[-1]

    def _own(self) -> None:
        """Tell the register whose entries are whose, where nobody has yet."""
        register = self._tools.services.register
        while entries := register.unowned(limit=_ENTRIES):
            owners = self._owners(entries, anywhere=True)
            register.own({one.id: owners.get(one.delivery_id, _NOBODY)[1] for one in entries})

    def _owners(self, entries: Sequence[WorkEntry], *, anywhere: bool = False) -> dict[str, tuple[str, str, str]]:
        """Delivery -> (event, FINESS, MSH-10): of the ledger, and of the journal where the ledger has forgotten it.

        anywhere: whenever it was received; else not long before it left
        """
        ids = {entry.delivery_id for entry in entries}
        rows = self._tools.desk.rows(ids)
        found = {id_: (row.delivery.event_id, row.delivery.structure) for id_, row in rows.items()}
        journal = self._tools.services.journal
        first, last = min(entry.left for entry in entries) - _UNDERWAY, max(entry.left for entry in entries) + _CLOCKS
        when = (0.0, self._tools.clock.now() + _CLOCKS) if anywhere else (first, last)
        forgotten = journal.of_deliveries(ids - found.keys(), *when)
        found |= {id_: (event.event_id, event.structure) for id_, event in forgotten.items()}
        told = journal.owners(event for event, structure in found.values() if not structure)  # rows of an older version
        found = {id_: (event, structure or told.get(event, "")) for id_, (event, structure) in found.items()}
        names = journal.control_ids(event for event, _structure in found.values())
        return {id_: (event, structure, names.get(event, "")) for id_, (event, structure) in found.items()}

    # ------------------------------------------------------------------------------------------- not received

    def _not_received(self) -> Iterator[Case]:
        keeps = _("this recipient keeps a version that was replaced or deleted: tell him another way")
        silent = _("no report came of this mail: ask the recipient whether it arrived")
        yield from (_of_mail(one, KEEPS, keeps) for one in self._unheard(KEEPS))
        yield from (_of_mail(one, OVERDUE, silent) for one in self._unheard(OVERDUE))

    def _unheard(self, code: str) -> list[Unheard]:
        journal, since = self._tools.services.journal, self._tools.clock.now() - DAYS
        asked = Asked(since=since, within=self._within, limit=MOST)
        if code == KEEPS:
            return journal.ended_with(code, asked, self._seconds)
        return journal.silent(code, (DELAYED, CONTRADICTED), asked, self._seconds)


def _of_mail(mail: Unheard, code: str, ask: str) -> Case:
    return Case(
        list="not-received",
        id=mail.delivery_id,
        ask=ask,
        since=mail.at,
        code=code,
        structure=mail.structure,
        sink=mail.sink,
        to=shown(mail.label),
        event_id=mail.event_id,
        name=mail.control_id or mail.event_id[:8],
    )


def _of_letter(letter: DeadLetter) -> Case:
    held = letter.code == HELD
    return Case(
        list="waiting",
        id=letter.delivery_id,
        ask=_("nobody knows whether this arrived: look at the destination, then send it again or give it up")
        if held
        else _("an older version may stand in the DMP: look there, withdraw it, then give this up"),
        since=letter.last,
        code=letter.code,
        structure=letter.structure,
        sink=letter.sink,
        to=shown(letter.label),
        event_id=letter.event_id,
        name=letter.control_id or letter.event_id[:8],
    )


def shown(label: str) -> str:
    """A patient's mailbox carries an identity: it is told in words."""
    return _("patient's mailbox") if label == PATIENT else label
