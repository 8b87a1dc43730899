"""The codes of audit messages against what is published: docs/sources.md says which text each of them was read in."""

from __future__ import annotations

from typing import Final

import pytest

from router.audit import atna_codes as codes
from router.audit.atna_codes import Code, Event

#: DICOM PS3.16 CID 400, as far as we use it.
EVENTS: Final = {
    "110100": "Application Activity", "110101": "Audit Log Used", "110106": "Export", "110107": "Import",
    "110110": "Patient Record", "110112": "Query", "110113": "Security Alert", "110114": "User Authentication",
}  # fmt: skip
#: CID 401 and, for security alerts, CID 403.
TYPES: Final = {
    "110120": "Application Start", "110121": "Application Stop", "110122": "Login", "110123": "Logout",
    "110127": "Emergency Override Started", "110129": "Security Configuration", "110131": "Software Configuration",
    "110132": "Use of Restricted Function", "110135": "Object Security Attributes Changed",
    "110137": "User Security Attributes Changed",
}  # fmt: skip
#: CID 402 and CID 405.
OTHERS: Final = {
    "110150": "Application", "110152": "Destination Role ID", "110153": "Source Role ID",
    "110154": "Destination Media", "110031": "Email",
}  # fmt: skip
#: `EventActionCode` that PS3.15 A.5.3 allows for an event.
ACTIONS: Final = {
    "110100": "E", "110101": "R", "110106": "R", "110107": "C", "110110": "CRUD", "110112": "E", "110113": "E",
    "110114": "E",
}  # fmt: skip
#: Which types PS3.15 A.5.3 allows where it says so: start and stop, login and logout, CID 403.
NEEDS: Final = {
    "110100": {"110120", "110121"},
    "110113": {"110127", "110129", "110131", "110132", "110135", "110137"},
    "110114": {"110122", "110123"},
}
OWN: Final = {**codes.ACTIONS, "unknown": codes.UNKNOWN, "broken": codes.BROKEN, **codes.BY_KIND}


@pytest.mark.parametrize("event", OWN.values(), ids=map(str, OWN))
def test_what_people_do_has_codes_that_go_together(event: Event) -> None:
    """The event is one of CID 400, with an action and a type that PS3.15 allows for it."""
    assert EVENTS[event.id.code] == event.id.text and event.id.system == "DCM"
    assert event.action in ACTIONS[event.id.code]
    if event.type is not None:
        assert TYPES[event.type.code] == event.type.text and event.type.system == "DCM"
    if event.id.code in NEEDS:
        assert event.type is not None and event.type.code in NEEDS[event.id.code]


def test_roles_and_media_have_their_meanings() -> None:
    """CID 402 and CID 405."""
    used: list[Code] = [codes.APPLICATION, codes.DESTINATION, codes.SOURCE, codes.DESTINATION_MEDIA, codes.EMAIL]
    assert {one.code: one.text for one in used} == OTHERS and {one.system for one in used} == {"DCM"}


def test_transactions_are_exports_and_queries_of_ihe() -> None:
    """Each has its own number as type, in the words of IHE; a query is executed, an export reads or updates."""
    for name, event in codes.TRANSACTIONS.items():
        assert event.type is not None and (event.type.code, event.type.system) == (name, "IHE Transactions")
        assert event.action == "E" if event.id == codes.QUERY else event.action in "RU"
        assert event.id in (codes.QUERY, codes.EXPORT)
    assert {name: event.type.text for name, event in codes.TRANSACTIONS.items() if event.type} == {
        "ITI-18": "Registry Stored Query", "ITI-32": "Distribute Document Set on Media",
        "ITI-41": "Provide and Register Document Set-b", "ITI-45": "PIX Query", "ITI-57": "Update Document Set",
    }  # fmt: skip
