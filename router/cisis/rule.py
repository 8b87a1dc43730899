"""The form of the rule table: what is checked, for whom, how gravely, and what the sender is told.

One `Rule` per number of hl7-input §2.2 (R01…R99) and per number of ours, which fill
its gaps and say so in `source`. A rule holds one or more `Case`s: the ways to break it, each with its ERR-3,
ERR-2, ERR-5 and the French sentence of ERR-8. The checks (`check_*.py`) find, the table answers: to verify what a
sender is told, only the two `table_*.py` files have to be read.

The column `on` has one letter per generation of senders, in this order: 1.2, 2.0, 2.1, raw CDA.

    E   fault: the message is answered AE
    W   warning: the message is accepted, the operator sees it
    -   not checked
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from router.request import Dialect


class Severity(StrEnum):
    """What a finding does to the message."""

    OFF = "off"
    WARN = "warn"
    ERROR = "error"


LETTERS: Final[Mapping[str, Severity]] = {"E": Severity.ERROR, "W": Severity.WARN, "-": Severity.OFF}
COLUMNS: Final = (Dialect.V1_2, Dialect.V2_0, Dialect.V2_1, Dialect.CDA)

Source = Literal["S", "S/P", "P", "site"]
"""S: stated by the volet or another national text. P: proposed by this project. site: a number of ours."""
Stage = Literal["intake", "sink", "dmp", "gateway"]
"""Who applies the rule; a sink's or the DMP's finding never changes the ACK, it comes back in a ZAM."""


def in_order(number: str) -> tuple[int, str]:
    """The key that puts rule numbers in their order, however many digits they have."""
    digits = number[1:]
    return (int(digits) if digits.isdecimal() else 0, number)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to break a rule, and its answer.

    key:      the name the check uses; "" for a rule broken in one way only
    error:    ERR-3 code; "" when the case only warns
    location: ERR-2, `{n}` standing for the occurrence of the segment (and `{field}`, `{segment}` likewise)
    detail:   ERR-5 code of `applicationErrorCondition`, given with ERR-3 = 207
    sentence: ERR-8, French, never with a value of the message; `{what}` is a name of the standard
    severity: replaces the letter of the column for this case
    firm:     a fault for a deletion too, whatever the rule's `deletion` says
    header:   where the fault lies in a raw CDA's request (see `raw_cda.CDA_HEADERS`); "" = in the document
    """

    key: str
    error: str
    location: str
    detail: str
    sentence: str
    severity: Severity | None = None
    header: str = ""
    firm: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; see the module's text for `on`.

    deletion:     severity for a deletion, when it differs (decisions D1); of a rule of D4, E refuses the whole message
    option:       the field of `ProfileRules` that changes this rule
    configurable: `severities` may change it
    reference:    where the rule comes from
    """

    number: str
    condition: str
    on: str
    source: Source
    reference: str
    cases: tuple[Case, ...]
    deletion: Severity | None = None
    option: str = ""
    configurable: bool = False
    stage: Stage = "intake"

    def severity(self, dialect: Dialect, *, deletion: bool = False) -> Severity:
        """The default severity for a sender of this generation."""
        severity = LETTERS[self.on[COLUMNS.index(dialect)]]
        if deletion and self.deletion is not None and severity is Severity.ERROR:
            return self.deletion
        return severity

    def case(self, key: str) -> Case:
        """The case of that name; LookupError is a mistake of ours."""
        for case in self.cases:
            if case.key == key:
                return case
        raise LookupError(f"{self.number} has no case {key!r}")
