"""The codes of audit messages: DICOM PS3.15 A.5 (events, roles) and IHE ITI TF-2 (transactions).

docs/sources.md says of each in which published text it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.audit.event import Action


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value: `csd-code`, `codeSystemName`, `originalText`."""

    code: str
    system: str
    text: str


def _dcm(code: str, text: str) -> Code:
    return Code(code, "DCM", text)


# Events (DICOM PS3.15 A.5.3; DICOM CID 400).
APPLICATION_ACTIVITY: Final = _dcm("110100", "Application Activity")
AUDIT_LOG_USED: Final = _dcm("110101", "Audit Log Used")
EXPORT: Final = _dcm("110106", "Export")
IMPORT: Final = _dcm("110107", "Import")
PATIENT_RECORD: Final = _dcm("110110", "Patient Record")
QUERY: Final = _dcm("110112", "Query")
SECURITY_ALERT: Final = _dcm("110113", "Security Alert")
USER_AUTHENTICATION: Final = _dcm("110114", "User Authentication")
# Types of events (DICOM CID 401; those of a security alert: CID 403).
_START: Final = _dcm("110120", "Application Start")
_STOP: Final = _dcm("110121", "Application Stop")
_LOGIN: Final = _dcm("110122", "Login")
_LOGOUT: Final = _dcm("110123", "Logout")
_EMERGENCY: Final = _dcm("110127", "Emergency Override Started")
_SECURITY: Final = _dcm("110129", "Security Configuration")
_CONFIGURATION: Final = _dcm("110131", "Software Configuration")
_RESTRICTED: Final = _dcm("110132", "Use of Restricted Function")
_OBJECT_ATTRIBUTES: Final = _dcm("110135", "Object Security Attributes Changed")
_USER_ATTRIBUTES: Final = _dcm("110137", "User Security Attributes Changed")
# Roles of participants (DICOM CID 402) and media (DICOM CID 405).
APPLICATION: Final = _dcm("110150", "Application")
DESTINATION: Final = _dcm("110152", "Destination Role ID")
SOURCE: Final = _dcm("110153", "Source Role ID")
DESTINATION_MEDIA: Final = _dcm("110154", "Destination Media")
EMAIL: Final = _dcm("110031", "Email")
# What identifies an object.
PATIENT_NUMBER: Final = Code("2", "RFC-3881", "Patient Number")
URI: Final = Code("12", "RFC-3881", "URI")
SUBMISSION_SET: Final = Code(
    "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd", "IHE XDS Metadata", "submission set classificationNode"
)
OURS: Final = "segur-router"
"""`codeSystemName` of what has no code of DICOM or IHE."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a message says happened. `action`: C(reate), R(ead), U(pdate), D(elete), E(xecute)."""

    id: Code
    action: str
    type: Code | None = None


#: What people and the router itself do.
ACTIONS: Final[Mapping[str, Event]] = {
    Action.LOGIN: Event(USER_AUTHENTICATION, "E", _LOGIN),
    Action.LOGOUT: Event(USER_AUTHENTICATION, "E", _LOGOUT),
    Action.VIEWED: Event(PATIENT_RECORD, "R", _EMERGENCY),
    Action.SEARCHED: Event(QUERY, "E"),
    Action.EXPORTED: Event(EXPORT, "R"),
    Action.SENT: Event(PATIENT_RECORD, "C"),
    Action.REPLAYED: Event(PATIENT_RECORD, "U"),
    Action.DISCARDED: Event(PATIENT_RECORD, "D"),
    Action.TAKEN_BACK: Event(PATIENT_RECORD, "U"),
    Action.WITHDRAWN: Event(PATIENT_RECORD, "D", _RESTRICTED),
    Action.DECIDED: Event(PATIENT_RECORD, "U"),
    Action.NOTED: Event(PATIENT_RECORD, "U"),
    Action.RELOADED: Event(SECURITY_ALERT, "E", _CONFIGURATION),
    Action.STARTED: Event(APPLICATION_ACTIVITY, "E", _START),
    Action.STOPPED: Event(APPLICATION_ACTIVITY, "E", _STOP),
    Action.BACKED_UP: Event(EXPORT, "R"),
    Action.RESTORED: Event(IMPORT, "C"),
    Action.VERIFIED: Event(AUDIT_LOG_USED, "R"),
    Action.PURGED: Event(SECURITY_ALERT, "E", _RESTRICTED),
    Action.ACCOUNT: Event(SECURITY_ALERT, "E", _USER_ATTRIBUTES),
    Action.TOKEN: Event(SECURITY_ALERT, "E", _USER_ATTRIBUTES),
}
BY_KIND: Final[Mapping[str, Event]] = {
    "master-key": Event(SECURITY_ALERT, "E", _SECURITY),
    "directory": Event(SECURITY_ALERT, "E", _CONFIGURATION),
    "register": Event(SECURITY_ALERT, "E", _CONFIGURATION),
    "topics": Event(SECURITY_ALERT, "E", _CONFIGURATION),
}
"""Kinds of objects that are no patient's record: what was decided about them changes the site itself.

`directory` is the table of mailboxes that an administrator imports: it decides where mails go, and names no patient. So
it is a change of the configuration, and no "Import" (docs/sources.md, DICOM PS3.15).
"""
UNKNOWN: Final = Event(SECURITY_ALERT, "E", _RESTRICTED)
"""An action that this version does not know."""
BROKEN: Final = Event(SECURITY_ALERT, "E", _OBJECT_ATTRIBUTES)
"""The audit was verified, and is not as it was written."""
OF_THE_AUDIT: Final = frozenset({"audit", "traces"})
"""Kinds of objects that are the audit itself: to read them is `Audit Log Used`."""


def _iti(number: str, text: str) -> Code:
    return Code(number, "IHE Transactions", text)


#: Transactions of IHE ITI, as their initiator tells of them (IHE ITI TF-2).
TRANSACTIONS: Final[Mapping[str, Event]] = {
    "ITI-18": Event(QUERY, "E", _iti("ITI-18", "Registry Stored Query")),
    "ITI-32": Event(EXPORT, "R", _iti("ITI-32", "Distribute Document Set on Media")),
    "ITI-41": Event(EXPORT, "R", _iti("ITI-41", "Provide and Register Document Set-b")),
    "ITI-45": Event(QUERY, "E", _iti("ITI-45", "PIX Query")),
    "ITI-57": Event(EXPORT, "U", _iti("ITI-57", "Update Document Set")),
}
