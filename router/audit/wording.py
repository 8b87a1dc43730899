"""What the audit says to people: its actions, and what is wrong with its chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.audit.event import Action
from router.audit.verification import Fault, Verdict
from router.language import N_, _, plural

#: Action -> what was done, as it stands behind the name of the person.
ACTIONS: Final[Mapping[str, str]] = {
    Action.LOGIN: N_("logged in"),
    Action.LOGOUT: N_("logged out"),
    Action.VIEWED: N_("saw the content"),
    Action.SEARCHED: N_("searched for a patient"),
    Action.EXPORTED: N_("exported"),
    Action.SENT: N_("sent"),
    Action.REPLAYED: N_("ordered a replay"),
    Action.DISCARDED: N_("gave up"),
    Action.TAKEN_BACK: N_("took a discard back"),
    Action.WITHDRAWN: N_("ordered a withdrawal"),
    Action.DECIDED: N_("decided"),
    Action.NOTED: N_("wrote a note"),
    Action.RELOADED: N_("loaded the configuration"),
    Action.STARTED: N_("started"),
    Action.STOPPED: N_("shut down"),
    Action.BACKED_UP: N_("made a backup"),
    Action.RESTORED: N_("put a backup back"),
    Action.VERIFIED: N_("verified the audit"),
    Action.PURGED: N_("removed old rows"),
    Action.ACCOUNT: N_("changed an account"),
    Action.TOKEN: N_("changed a token"),
}
#: Kind of an object -> what it is.
KINDS: Final[Mapping[str, str]] = {
    "account": N_("account"),
    "archive": N_("archive"),
    "audit": N_("audit"),
    "backup": N_("backup"),
    "case": N_("case of a work-list"),
    "cause": N_("cause of dead letters"),
    "command": N_("command"),
    "delivery": N_("delivery"),
    "directory": N_("directory"),
    "document": N_("document"),
    "event": N_("message"),
    "mail": N_("mail"),
    "master-key": N_("master key"),
    "order": N_("order"),
    "patient": N_("patient"),
    "pipeline": N_("pipeline"),
    "register": N_("register"),
    "router": N_("router"),
    "search": N_("search"),
    "site": N_("site file"),
    "token": N_("token"),
    "topics": N_("topics"),
    "traces": N_("traces"),
}
#: What a row adds, where it is a word of ours; anything else is shown as it is written.
DETAILS: Final[Mapping[str, str]] = {
    "made-again": N_("made again"),
    "known": N_("known"),
    "muted": N_("muted"),
    "repaired": N_("repaired"),
    "new": N_("new"),
    "waiting": N_("Waiting for a person"),
    "identity": N_("Identity changed after sending"),
    "not-received": N_("Not received"),
}
#: (Action, kind of its object) -> what was done, where the action alone says something else.
_OF_KIND: Final[Mapping[tuple[str, str], str]] = {
    (Action.SEARCHED, "directory"): N_("tested a professional in the directory"),
}
_ROLES: Final[Mapping[str, str]] = {
    "reader": N_("reader"),
    "operator": N_("operator"),
    "administrator": N_("administrator"),
}
_FAULTS: Final[Mapping[Fault, str]] = {
    Fault.KEY: N_("the audit was made with another secret than the site's: it can't be verified with this one"),
    Fault.BEGIN: N_("the mark that says that rows up to {number} were purged is not ours: they were removed"),
    Fault.CHANGED: N_("row {number} was changed after it was written"),
    Fault.REMOVED: N_("row {number} is missing: it was removed"),
    Fault.INSERTED: N_("row {number} was put in by somebody else"),
    Fault.REORDERED: N_("row {number} stands where another one was written: rows changed places"),
    Fault.ALTERED: N_(
        "row {number} does not hang on the one before: it was changed or put in, or rows before it were removed"
    ),
    Fault.CUT: N_("the audit ends before row {number}, which was written: its end was cut off, or a backup put back"),
    Fault.REWOUND: N_(
        "row {number} is not the one that was known: the end was cut off and rows written since, or a backup put back"
    ),
    Fault.SENT: N_(
        "the mark that says that the collector has the rows up to {number} is not ours: they are sent again"
    ),
    Fault.ANCHOR: N_("the file that remembers how far the audit reached was changed by somebody else"),
}


def action(name: str, kind: str = "") -> str:
    """The action for a person; its own name for one that this version does not know. kind: of its object"""
    if (name, kind) in _OF_KIND:
        return _(_OF_KIND[name, kind])
    return _(ACTIONS[name]) if name in ACTIONS else str(name)


def kind(name: str) -> str:
    """What the object of a row is; its own name for one that this version does not know."""
    return _(KINDS[name]) if name in KINDS else name


def detail(text: str) -> str:
    """What a row adds, in words where they are known."""
    return _(DETAILS[text]) if text in DETAILS else text


def role(name: str) -> str:
    """A role as people read it: `reader`, `operator` or `administrator`."""
    return _(_ROLES[name]) if name in _ROLES else name


def verdict(found: Verdict) -> str:
    """What a walk along the chain found, in one sentence."""
    if found.finding is not None:
        return _(_FAULTS[found.finding.fault], number=found.finding.number)
    return plural(
        "whole: {count} row, up to number {number}",
        "whole: {count} rows, up to number {number}",
        found.rows,
        number=found.head.number,
    )
