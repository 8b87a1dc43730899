"""One line of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What was done, or refused."""

    LOGIN = "login"
    LOGOUT = "logout"
    VIEWED = "viewed"
    """Content or an identity was shown, with its reason."""
    SEARCHED = "searched"
    EXPORTED = "exported"
    SENT = "sent"
    """A message was handed to a feed, or deliveries were made anew, by a person's hand."""
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    TAKEN_BACK = "taken_back"
    """What was discarded is a dead letter again."""
    WITHDRAWN = "withdrawn"
    DECIDED = "decided"
    """A case of a work-list."""
    NOTED = "noted"
    RELOADED = "reloaded"
    """A pipeline file or the site file, by the system."""
    STARTED = "started"
    STOPPED = "stopped"
    BACKED_UP = "backed_up"
    RESTORED = "restored"
    """A backup was put back: what the table held since it was made is gone."""
    VERIFIED = "verified"
    """The chain of the audit was verified, or found broken."""
    PURGED = "purged"
    """Rows of the audit were removed because their time was over."""
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105  (the name of an action)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """at: Unix seconds;  who: name of a person, of a token, or `system`;  role: that gave the right, "" for none
    kind, object: what it was done to (`event` and its id, `delivery`, `cause`, `account`, `pipeline`…)
    structure: FINESS, "" for none;  reason: in the person's words
    source: from where (`cli`, an address of the network, a worker);  refused: asked for and not granted

    Never an identity of a patient: where one was asked for, its pseudonym.
    """

    at: float
    who: str
    action: Action
    role: str = ""
    kind: str = ""
    object: str = ""
    structure: str = ""
    reason: str = ""
    source: str = ""
    refused: bool = False
    detail: str = ""
