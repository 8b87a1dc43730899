"""Cases that wait for a person: what the router alone can't decide, found anew at each look, without an identity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from router.engine.dead_letters.listing import DeadLetter, Filter
from router.engine.delivery.supersession_rules import HELD
from router.exchange import PATIENT
from router.feedback.answers import CONTRADICTED, DELAYED, OVERDUE
from router.journal.criteria import Criteria
from router.journal.views import EventStory, EventSummary
from router.language import N_, _
from router.register.patient import WorkEntry
from router.sinks.mssante.settings import KEEPS

if TYPE_CHECKING:
    from router.console.tools import ConsoleTools

ListName = Literal["waiting", "identity", "not-received"]
IN_DOUBT: Final = "PFI-DELETE-DOUBT"
DAYS: Final = 90 * 86_400.0
"""Mails that left longer ago are not looked at: nobody will ask for their reports any more."""
MOST: Final = 500
"""Messages that the list of what was not received is made of, the newest."""
_ENTRIES: Final = 500
"""Entries of the register that are read at once."""
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
    """What stands in the lists for somebody who sees these structures (None: all). Raises `Unavailable`."""

    def __init__(self, tools: ConsoleTools, within: frozenset[str] | None) -> None:
        self._tools, self._within = tools, within

    def cases(self, name: ListName) -> list[Case]:
        """The oldest first; those that people have decided too."""
        found = {"waiting": self._waiting, "identity": self._identity, "not-received": self._not_received}[name]()
        return sorted(found, key=lambda case: (case.since, case.id))

    # ------------------------------------------------------------------------------------------------ waiting

    def _waiting(self) -> Iterator[Case]:
        desk = self._tools.desk
        letters = [
            letter for code in (HELD, IN_DOUBT) for letter in desk.dead_letters(Filter(code=code, within=self._within))
        ]
        yield from map(_of_letter, desk.named([one for one in letters if one.delivery_id]))

    # ----------------------------------------------------------------------------------------------- identity

    def _identity(self) -> Iterator[Case]:
        register, last = self._tools.services.register, None
        while entries := register.unowned(limit=_ENTRIES):
            owners = self._owners(entries)
            register.own({one.id: owners.get(one.delivery_id, _NOBODY)[1] for one in entries})
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

    def _owners(self, entries: Iterable[WorkEntry]) -> dict[str, tuple[str, str, str]]:
        """Delivery -> (event, FINESS, MSH-10): of the ledger, and of the journal where the ledger has forgotten it."""
        ids = {entry.delivery_id for entry in entries}
        rows = self._tools.desk.rows(ids)
        found = {id_: (row.delivery.event_id, row.delivery.structure) for id_, row in rows.items()}
        journal = self._tools.services.journal
        for id_ in ids - found.keys():
            for story in journal.story(id_, 1):
                found[id_] = (story.event.event_id, story.event.structure)
        told = journal.owners(event for event, structure in found.values() if not structure)  # rows of an older version
        found = {id_: (event, structure or told.get(event, "")) for id_, (event, structure) in found.items()}
        names = journal.control_ids(event for event, _structure in found.values())
        return {id_: (event, structure, names.get(event, "")) for id_, (event, structure) in found.items()}

    # ------------------------------------------------------------------------------------------- not received

    def _not_received(self) -> Iterator[Case]:
        journal, since = self._tools.services.journal, self._tools.clock.now() - DAYS
        for one in journal.search(Criteria(code=KEEPS, since=since, within=self._within), MOST).events:
            for leg in one.deliveries:
                if leg.code == KEEPS:
                    ask = _("this recipient keeps a version that was replaced or deleted: tell him another way")
                    yield _of_mail(one.event, leg.delivery_id, ask, leg.at, KEEPS, leg.sink, leg.label)
        for one in journal.search(Criteria(code=OVERDUE, since=since, within=self._within), MOST).events:
            for story in journal.story(one.event.event_id, 1):
                yield from _silent(story)


def _silent(story: EventStory) -> Iterator[Case]:
    """The mails of which nothing was heard since it was said that nothing is heard of them."""
    legs = {leg.delivery_id: leg for leg in story.deliveries}
    late: dict[str, float] = {}
    for moment in story.timeline:
        if moment.kind == "dsn" and moment.code == OVERDUE:
            late.setdefault(moment.delivery_id, moment.at)
        elif moment.kind == "mdn" or (moment.kind == "dsn" and moment.code not in (DELAYED, CONTRADICTED)):
            late.pop(moment.delivery_id, None)
    for id_, at in late.items():
        if leg := legs.get(id_):
            ask = _("no report came of this mail: ask the recipient whether it arrived")
            yield _of_mail(story.event, id_, ask, at, OVERDUE, leg.sink, leg.label)


def _of_mail(event: EventSummary, id_: str, ask: str, since: float, code: str, sink: str, label: str) -> Case:
    return Case(
        list="not-received",
        id=id_,
        ask=ask,
        since=since,
        code=code,
        structure=event.structure,
        sink=sink,
        to=shown(label),
        event_id=event.event_id,
        name=event.control_id or event.event_id[:8],
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
