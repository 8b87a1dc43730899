"""What a person looks for in the journal, each part in its normalised form; and what the journal answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf, isfinite
from typing import Final, NamedTuple

from router.cisis import smtp_codes
from router.cisis.addresses import a_labels
from router.cisis.ins import normal
from router.cisis.patient_search import is_identity
from router.errors import OperatorFault
from router.journal.terms import professional, sender_words, term, typed, words
from router.journal.views import DeliveryState, EventSummary
from router.language import N_

#: What people call an outcome -> disposition of a delivery, or how an event ended.
OUTCOMES: Final = {
    "delivered": "delivered",
    "failed": "dead_lettered",
    "waiting": "",
    "filtered": "filtered",
    "superseded": "superseded",
    "refused": "refused",
}
#: The same as French screens say it, and as people type it, without accents.
_SAID: Final = {
    "REMIS": "delivered",
    "DELIVRE": "delivered",
    "EN ECHEC": "failed",
    "ECHEC": "failed",
    "EN ATTENTE": "waiting",
    "ATTENTE": "waiting",
    "ECARTE": "filtered",
    "FILTRE": "filtered",
    "REMPLACE": "superseded",
    "REFUSE": "refused",
}
#: Before a name, as letters and people write it; senders seldom do.
_TITLES: Final = frozenset({"DR", "PR", "DOCTEUR", "PROFESSEUR", "MME", "MR", "MONSIEUR", "MADAME", "DOCTOR"})
_SMTP: Final = re.compile(r"([45]\d\d)(?:[ -][245]\.\d{1,3}\.\d{1,3})?")
_CODE: Final = re.compile(r"[A-Za-z][\w:.#-]{0,99}")
_FINESS: Final = 9
_BITS: Final = 63


class BadCriterion(OperatorFault):
    """A search that can't be understood: the text says which forms are."""


def outcome_of(text: str) -> str:
    """A key of `OUTCOMES` of an outcome as a person types it, in English or French; any other text as it is."""
    plain = normal(text)
    singular = plain if plain in _SAID else plain.removesuffix("S").removesuffix("E")
    return _SAID.get(singular, text.strip().lower() if plain.lower() in OUTCOMES else text)


def code_of(text: str) -> str:
    """A code as the journal keeps it. `552`, `552 5.2.2` and `5.2.2` are those of MSSanté; `r45` is `R45`."""
    text = text.strip()
    if reply := _SMTP.fullmatch(text):
        return f"MSS-{reply[1]}"
    if found := smtp_codes.of_enhanced(text):
        return f"MSS-{found}"
    return text.upper() if text.islower() else text


def verify_code(code: str) -> None:
    """Raises `BadCriterion`, with the accepted forms, for what is no code, after `code_of`."""
    if code and not _CODE.fullmatch(code):
        known = N_("a code is one such as MSS-552 (552 and 5.2.2 are the same), R45 or DMP-XDSRegistryMetadataError")
        raise BadCriterion("SEARCH-CODE", "", known)


_READ: Final = {"outcome": outcome_of, "code": code_of}


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Events that meet all that is set. Texts as a person types them; times are Unix seconds.

    recipient: address, domain, RPPS (or another national id), or name as the sender wrote it
    structure: FINESS of who sends;  sender: MSH-3, MSH-4 or both as `MSH-3|MSH-4`
    type:      code of the document's type;  code: of a refusal, of a dead letter, of a delivery's outcome
    outcome:   a key of `OUTCOMES`, "" for any
    patients:  pseudonyms, of which the event has at least one; None for any patient
    since, until: when the event was received; `until` itself is left out
    within:    FINESS of the structures whose events the asker may see: others are as if there were none. None: all
               events, also those that belong to no structure
    """

    recipient: str = ""
    structure: str = ""
    sender: str = ""
    type: str = ""
    outcome: str = ""
    code: str = ""
    feed: str = ""
    pipeline: str = ""
    sink: str = ""
    patients: tuple[str, ...] | None = None
    since: float | None = None
    until: float | None = None
    within: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            if isinstance(value := getattr(self, one.name), str):
                object.__setattr__(self, one.name, _READ.get(one.name, typed)(typed(value)))

    def verify(self) -> None:
        """Raises `BadCriterion` for what can't be meant, before a database is asked."""
        self.terms()
        self.disposition()
        verify_code(self.code)

    def terms(self) -> list[str]:
        """The terms that the event must have. Raises `BadCriterion`."""
        found = recipient_terms(self.recipient)
        if self.structure:
            found.append(term("structure", _finess(self.structure)))
        found += self._sender()
        if self.type:
            found.append(term("type", self.type.strip()))
        if self.pipeline:
            found.append(term("pipeline", self.pipeline))
        return found

    def _sender(self) -> list[str]:
        parts = sender_words(self.sender)
        if self.sender and not parts:
            raise BadCriterion("SEARCH-SENDER", "", N_("a sender is MSH-3, MSH-4, or both as `MSH-3|MSH-4`"))
        return [term("sender", part) for part in parts]

    def disposition(self) -> str | None:
        """Of a delivery, or of the event; None for any. Raises `BadCriterion`."""
        if not self.outcome:
            return None
        if self.outcome not in OUTCOMES:
            known = N_("an outcome is one of: delivered, failed, waiting, filtered, superseded, refused")
            raise BadCriterion("SEARCH-OUTCOME", "", known)
        return OUTCOMES[self.outcome]


ANY: Final = Criteria()


class Cursor(NamedTuple):
    """Where a page of a list ends: the next one begins behind it, whatever has come or gone since.

    received: Unix seconds, of the last event of the page;  event: its number (`numbers.of_event`)
    """

    received: float
    event: int

    def __str__(self) -> str:
        return f"{self.received!r}_{self.event}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """What `str` gave. Raises `BadCriterion` for anything else."""
        received, _, event = typed(text).partition("_")
        try:
            found = cls(float(received), int(event))
        except ValueError:
            found = cls(inf, 0)
        if not isfinite(found.received) or found.event.bit_length() > _BITS:
            raise BadCriterion("SEARCH-AFTER", "", N_("the place to go on from is none that a list has named"))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvent:
    """One event of an answer, with where its deliveries stand."""

    event: EventSummary
    deliveries: tuple[DeliveryState, ...] = ()
    ends: tuple[str, ...] = ()
    """How the event itself or a pipeline's exchange ended: refused, dead_lettered, filtered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Newest first. `complete`: False when there may be more: the limit was reached, or the time was up.

    reached: received times down to which everything was looked at, when the time was up; else None
    next: where to go on (`Journal.search`, `after`), None when it is complete
    """

    events: tuple[FoundEvent, ...]
    complete: bool = True
    reached: float | None = None
    cut: bool = False
    next: Cursor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many events ended how. An event with several deliveries may count under several outcomes.

    total: of the events that meet all criteria
    outcomes: a key of `OUTCOMES` -> number of events that meet the other criteria, whatever outcome is asked for;
        without those that have none
    cut: the time was up; the numbers are of events received after `reached` (Unix seconds)
    """

    total: int
    outcomes: Mapping[str, int]
    cut: bool = False
    reached: float | None = None


def recipient_terms(text: str) -> list[str]:
    """An address, a domain (`@domain` or `domain`), a national id, or the words of a name. Raises `BadCriterion`."""
    text = text.strip().strip("<>").removeprefix("mailto:")
    if not text:
        return []
    if is_identity(text):
        raise BadCriterion("SEARCH-RECIPIENT", "", N_("a patient's mailbox names the patient: search by the patient"))
    local, at, domain = text.lower().rpartition("@")
    if at or (" " not in text and a_labels(text)):
        known = a_labels(domain if at else text)
        if not known:
            _unknown_recipient()
        return [term("address", f"{local}@{known}") if local and at else term("domain", known)]
    number = professional(text)
    if number.isdecimal():
        return [term("professional", number)]
    found = words(text)
    found = [word for word in found if word not in _TITLES] or found
    if not found:
        _unknown_recipient()
    return [term("name", word) for word in found]


def is_address(text: str) -> bool:
    """Whether a recipient was asked for by a whole address."""
    local, at, _ = text.strip().strip("<>").rpartition("@")
    return bool(at and local)


def _unknown_recipient() -> None:
    said = N_("a recipient is an address, a domain, an RPPS of 11 digits, or a name as the sender wrote it")
    raise BadCriterion("SEARCH-RECIPIENT", "", said)


def _finess(text: str) -> str:
    """FINESS, bare or as Struct_IdNat (`1` before it). Raises `BadCriterion`."""
    number = "".join(text.split()).upper()
    if len(number) == _FINESS + 1 and number[0] == "1":
        number = number[1:]
    if len(number) != _FINESS or not number.isalnum():
        raise BadCriterion("SEARCH-STRUCTURE", "", N_("a structure is a FINESS number of nine characters"))
    return number
