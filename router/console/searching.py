"""What a search asks, as its address says it: no identity stands in one.

A patient is the journal's pseudonym (`ps_…`), a professional is an address or an RPPS. A name, and whatever else is not
understood, is a handle (`q=…`) of a text that the server keeps for the person who typed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.cisis import patient_search
from router.console.rendering import query_string
from router.console.store import ConsoleStore
from router.console.words import names_seen
from router.french_time import clock, day
from router.journal import periods
from router.journal.criteria import OUTCOMES, BadCriterion, Criteria, code_of, outcome_of
from router.language import N_, _, translated
from router.runtime import asking
from router.runtime.site_services import SiteServices

#: Options of the address that stand for themselves: those of the command line.
PLAIN: Final = ("recipient", "structure", "sender", "type", "outcome", "code", "feed", "pipeline", "sink")
TIMES: Final = ("since", "until")
_KEPT: Final[tuple[str, ...]] = (*PLAIN, *TIMES, "patient", "q", "per", "after")
DEFAULT_PERIOD: Final = "7d"
"""When the address names no period; it is shown as any other condition."""
ALWAYS: Final = "all"
PSEUDONYM: Final = re.compile(r"ps_[0-9a-f]{32}(?:-[0-9a-f]{32}){0,19}")
_WORDS: Final = {
    "recipient": N_("to {value}"),
    "structure": N_("from structure {value}"),
    "sender": N_("from sender {value}"),
    "type": N_("type {value}"),
    "code": N_("code {value}"),
    "feed": N_("feed {value}"),
    "pipeline": N_("pipeline {value}"),
    "sink": N_("sink {value}"),
}
OUTCOME_WORDS: Final = {
    "delivered": N_("delivered"),
    "failed": N_("failed"),
    "waiting": N_("waiting"),
    "filtered": N_("filtered"),
    "superseded": N_("superseded"),
    "refused": N_("refused"),
}
_RPPS: Final = re.compile(r"8?\d{11}")
_FINESS: Final = re.compile(r"1?(?:\d{2}|2[AB])\d{7}")
_LOINC: Final = re.compile(r"\d{1,5}-\d")
_CODE: Final = re.compile(
    r"(?:[45]\d\d(?: [245]\.\d{1,3}\.\d{1,3})?|[245]\.\d{1,3}\.\d{1,3}|[Rr]\d{2,3}|[A-Z]{2,6}\d?-[A-Za-z0-9_.-]{2,40})"
)

_IPP: Final = re.compile(r"(?=.*\d)[A-Za-z0-9/_-]{2,40}(?:\^.{0,100})?")
"""What may be a patient's number in a hospital: the form alone decides, whether anybody has it or not."""

_FORMS: Final = {"recipient": _RPPS, "structure": _FINESS, "type": _LOINC, "code": _CODE}
_MOST: Final = 20
"""Pseudonyms of one patient in an address."""
_PATIENT_APART: Final = N_("a patient's mailbox names the patient: search by the patient")
_OLD_HANDLE: Final = N_("what was typed is kept for a day, for the person who typed it: type it again")


class Untold(Exception):
    """The address holds what may not stand in one: go to this address instead."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


@dataclass(frozen=True, kw_only=True)
class Asked:
    """given: the parameters of the address, empty ones left out;  name: behind `q`, the name of a recipient"""

    given: Mapping[str, str]
    criteria: Criteria
    name: str = ""

    @property
    def address(self) -> str:
        return f"/search{query_string(self.given)}"

    def without(self, name: str) -> str:
        """The address of the same search without one condition, from its first page on."""
        return f"/search{query_string(self.given, **{name: None, 'after': None})}"

    def with_(self, **values: str) -> str:
        """The address of the same search with other values, from its first page on."""
        return f"/search{query_string(self.given, **{'after': None, **values})}"

    def chips(self) -> Iterator[tuple[str, str]]:
        """(condition in words, address without it): the period first, which is never left out unseen."""
        yield self._period()
        if self.name:
            yield _("to someone named “{value}”", value=self.name), self.without("q")
        if "patient" in self.given:
            yield _("patient {value}…", value=self.given["patient"][:9]), self.without("patient")
        for name in PLAIN:
            if value := self.given.get(name, ""):
                shown = _(OUTCOME_WORDS[value]) if name == "outcome" else _(_WORDS[name], value=value)
                yield shown, self.without(name)

    @property
    def title(self) -> str:
        """The conditions, for the title of the window, which a browser keeps: without the name that was typed."""
        return ", ".join(text for text, without in self.chips() if without != self.without("q") or not self.name)

    def _period(self) -> tuple[str, str]:
        if self.given.get("since") == ALWAYS and not self.given.get("until"):
            return _("at any time"), ""
        first, end = self.criteria.since, self.criteria.until
        parts = [
            _("since {moment}", moment=f"{day(first)} {clock(first)}") if first is not None else "",
            _("until {moment}", moment=f"{day(end)} {clock(end)}") if end is not None else "",
        ]
        address = f"/search{query_string(self.given, since=ALWAYS, until=None, after=None)}"
        return " ".join(part for part in parts if part), address

    def command(self) -> str:
        """The same on the command line; "" for a patient or a name, whom no address and no page names."""
        if self.name or "patient" in self.given:
            return ""
        options = {name: self.given[name] for name in (*PLAIN, *TIMES) if self.given.get(name)}
        options.setdefault("since", DEFAULT_PERIOD)
        if options["since"] == ALWAYS:
            del options["since"]
        return " ".join(["segur-router search", *(f"--{name} {_quoted(value)}" for name, value in options.items())])


@dataclass(frozen=True)
class Searcher:
    """A person at the search. person: her id;  within: FINESS numbers whose messages may be seen, None for all

    about: told the pseudonyms of a patient (`ps_…`) before anything is looked up about him: it writes the audit
    """

    services: SiteServices
    store: ConsoleStore
    person: str
    within: frozenset[str] | None
    about: Callable[[str], None]

    def asked(self, given: Mapping[str, str]) -> Asked:
        """What an address asks. Raises `BadCriterion` with the accepted forms, `Untold` for an identity in it."""
        known = {name: text.strip() for name, text in given.items() if text.strip()}
        if "cause" in known:  # as people call it
            known.setdefault("code", known["cause"])
        kept: dict[str, str] = {name: known[name] for name in _KEPT if name in known}
        if (safe := self._safe(kept)) != kept:
            raise Untold(f"/search{query_string(safe)}")
        return self._meant(kept, self._name(kept))

    def told(self, given: Mapping[str, str]) -> Asked:
        """What a body asks, which may name a patient or a person: no address keeps it. Raises `BadCriterion`.

        `Asked.given` has the patient's pseudonym and no name.
        """
        kept = {name: text.strip() for name, text in given.items() if name in _KEPT and text.strip()}
        kept.pop("q", None)
        name, recipient = "", kept.get("recipient", "")
        if _carries_ins(recipient):
            raise BadCriterion("SEARCH-RECIPIENT", "", _PATIENT_APART)
        if recipient and not _professional(recipient):
            name = kept.pop("recipient")
        if "patient" in kept and not PSEUDONYM.fullmatch(kept["patient"]):
            kept["patient"] = self.pseudonym(kept["patient"])
        return self._meant(kept, name)

    def _meant(self, kept: dict[str, str], name: str) -> Asked:
        """name: of a recipient, "" for none"""
        since = kept.get("since", "" if kept.get("until") else DEFAULT_PERIOD)
        now = self.services.clock.now()
        first, end = periods.period("" if since == ALWAYS else since, kept.get("until", ""), now)
        criteria = Criteria(since=first, until=end, within=self.within)
        criteria = replace(criteria, **{option: kept.get(option, "") for option in PLAIN})  # type: ignore[arg-type]
        kept |= {option: getattr(criteria, option) for option in ("outcome", "code") if kept.get(option)}
        if name:
            criteria = replace(criteria, recipient=name)
        if "patient" in kept:
            criteria = replace(criteria, patients=tuple(kept["patient"].removeprefix("ps_").split("-")))
        self._verify_names(criteria)
        criteria = asking.of_site(self.services, criteria)
        criteria.verify()
        return Asked(given=kept, criteria=criteria, name=name)

    def _verify_names(self, criteria: Criteria) -> None:
        """Raises `BadCriterion` for a feed or a sink that works for other structures only, or for none."""
        seen = names_seen(self.services.config, self.within)
        if not {name for name in (criteria.feed, criteria.sink) if name} <= seen:
            raise BadCriterion("SEARCH-NAME", "", N_("no feed and no sink of your structures is called so"))

    def understood(self, words: str) -> dict[str, str]:
        """What was typed into the box, as the parameters of a search. Raises `BadCriterion`."""
        text = " ".join(words.split())
        config, seen = self.services.config, names_seen(self.services.config, self.within)
        if not text:
            return {}
        if _is_patient(text):
            return {"patient": self.pseudonym(text)}
        known = {
            "feed": text in seen & {*config.feeds},
            "sink": text in seen & {*config.sinks},
            "outcome": outcome_of(text) in OUTCOMES,
        }
        known |= {name: bool(form.fullmatch(text)) for name, form in _FORMS.items()}
        if name := next((name for name, meant in known.items() if meant), ""):
            return {name: {"outcome": outcome_of, "code": code_of}.get(name, str)(text)}
        if _IPP.fullmatch(text):
            return {"patient": self.pseudonym(text)}
        return {"recipient": text} if _professional(text) else {"q": self.store.keep_typed(self.person, text)}

    def pseudonym(self, patient: str) -> str:
        """`ps_…` of a patient as a person typed him: the pseudonyms that have messages here, else all.

        Raises `BadCriterion` for what can be no patient, `Unavailable` when the audit can't say that he was asked for.
        """
        found = asking.pseudonyms(self.services, patient)
        self.about(_address_of(found))
        known = [one for one in found if self._has_messages(one)]
        return _address_of(known or found)

    def _safe(self, kept: Mapping[str, str]) -> dict[str, str]:
        """The same parameters as they may stand in an address."""
        changed, recipient = dict(kept), kept.get("recipient", "")
        if patient_search.is_identity(recipient):
            del changed["recipient"]
            changed["patient"] = self.pseudonym(recipient)
        elif recipient and not _professional(recipient):
            del changed["recipient"]
            changed["q"] = self.store.keep_typed(self.person, recipient)
        if "patient" in kept and not PSEUDONYM.fullmatch(kept["patient"]):
            changed["patient"] = self.pseudonym(kept["patient"])
        return changed

    def _name(self, kept: Mapping[str, str]) -> str:
        """The text behind the handle; "" when there is none in the address. Raises `BadCriterion` for an old one."""
        if "q" not in kept:
            return ""
        if not (found := self.store.typed(self.person, kept["q"])):
            raise BadCriterion("SEARCH-HANDLE", "", _OLD_HANDLE)
        return found

    def _has_messages(self, pseudonym: str) -> bool:
        wanted = Criteria(patients=(pseudonym,), within=self.within)
        return bool(self.services.journal.search(wanted, 1, 1.0).events)


def _is_patient(text: str) -> bool:
    """An INS, a patient's mailbox, or names with a birth date: by its form."""
    return _carries_ins(text) or (" " in text and any(map(str.isalpha, text)) and any(map(str.isdigit, text)))


def _address_of(pseudonyms: Sequence[str]) -> str:
    return "ps_" + "-".join(pseudonyms[:_MOST])


def nameless(given: Mapping[str, str]) -> bool:
    """Whether all of it may stand in an address."""
    recipient, patient = given.get("recipient", ""), given.get("patient", "")
    if any(_carries_ins(value) for option, value in given.items() if option != "patient"):
        return False
    if recipient and not _professional(recipient):
        return False
    return not patient or PSEUDONYM.fullmatch(patient) is not None


def _carries_ins(text: str) -> bool:
    """Whether it is an INS, alone or as the mailbox of a patient."""
    return patient_search.is_identity(text) or patient_search.is_identity(f"{text}@x")


def _professional(text: str) -> bool:
    """An address, a domain or an RPPS: what may stand in an address."""
    return bool("@" in text or _RPPS.fullmatch(text) or ("." in text and " " not in text))


def fault_of(fault: BadCriterion) -> str:
    """The sentence of a fault, in the language of the page."""
    return translated(fault.text)


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w@.:+-]+", value) else "'" + value.replace("'", "'\\''") + "'"
