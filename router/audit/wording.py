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
#: (Action, kind of its object) -> what was done, where the action alone says something else.
_OF_KIND: Final[Mapping[tuple[str, str], str]] = {
    (Action.SEARCHED, "directory"): N_("tested a professional in the directory"),
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
