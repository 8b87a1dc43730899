"""What a person asks of the journal in the site's own words: its feeds, its sinks, its authorities of IPP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from router.cisis import patient_search
from router.engine.dead_letters.listing import DeadLetter
from router.errors import Unavailable
from router.journal.criteria import BadCriterion, Criteria
from router.language import N_, filled
from router.runtime.site_services import SiteServices

_NO_BIRTH_DATE: Final = N_(
    "the birth date is missing: a patient is found by names and a whole birth date (DUPONT Marie 31/01/1950, or"
    " 1950-01-31), by an INS, an IPP, or the patient's mailbox"
)


def of_site(services: SiteServices, criteria: Criteria, patient: str = "") -> Criteria:
    """The criteria with the patient's pseudonyms. Raises `BadCriterion` for a feed or a sink that the site hasn't got.

    patient: what `patient_search.asked` takes; "" for any. His mailbox may also stand in `criteria.recipient`.
    """
    config = services.config
    for template, name, known in (
        (N_("no such sink: {name} (one of {known})"), criteria.sink, config.sinks),
        (N_("no such feed: {name} (one of {known})"), criteria.feed, config.feeds),
    ):
        if name and name not in known:
            raise BadCriterion("SEARCH-NAME", "", filled(template, name=name, known=", ".join(known)))
    if not patient and patient_search.is_identity(criteria.recipient):
        patient, criteria = criteria.recipient, replace(criteria, recipient="")
    if not patient:
        return criteria
    return replace(criteria, patients=tuple(pseudonyms(services, patient)))


def pseudonyms(services: SiteServices, patient: str) -> list[str]:
    """Under which the journal may know a patient: as the site's structures and the tables of its feeds name him.

    Raises `BadCriterion` for what can be no patient, and for names without a birth date.
    """
    if not patient.strip():
        said = N_("a patient is an INS, an IPP, his mailbox, or his names and his birth date")
        raise BadCriterion("SEARCH-PATIENT", "", said)
    if patient_search.lacks_birth_date(patient):
        raise BadCriterion("SEARCH-PATIENT", "", _NO_BIRTH_DATE)
    config = services.config
    authorities = [structure.ipp_oid for structure in config.structures.values() if structure.ipp_oid]
    for feed in config.feeds.values():
        authorities += [*feed.rules.autorites.values(), *feed.rules.autorites]
    return patient_search.asked(patient, services.pseudonyms, [*dict.fromkeys(authorities), ""])


def named(services: SiteServices, found: Sequence[DeadLetter]) -> list[DeadLetter]:
    """The same with their MSH-10, as the journal knows it; without where it is away."""
    try:
        names = services.journal.control_ids(one.event_id for one in found if not one.control_id)
    except Unavailable:
        names = {}
    return [replace(one, control_id=one.control_id or names.get(one.event_id, "")) for one in found]
