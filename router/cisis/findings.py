"""What the checks found, and what that does to the message: the table's severity, D1, D4, and the site's options."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from router.cda.document import Document
from router.cisis.age import day_of
from router.cisis.rule import Severity, in_order
from router.cisis.rules import TABLE
from router.cisis.settings import ProfileRules
from router.errors import Malformed
from router.hl7.ack import MAX_ERRORS, Code, Err, application
from router.hl7.header import Unreadable
from router.hl7.message import Message
from router.request import Dialect, TransmissionRequest

#: Application error: the only ERR-3 that carries an ERR-5.
APPLICATION_ERROR: Final = "207"
#: Alert: a document can't be deleted at the DMP, because the identity of its patient is not qualified (any more) (D1).
DOWNGRADED: Final = "deletion-downgraded"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken (`R45`), and the ERR segment that tells it."""

    rule: str
    err: Err

    @property
    def text(self) -> str:
        """The sentence for the operator, without any value: ERR-8."""
        return self.err.text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the profile says of one message.

    ack_code:  AA or AE
    faults:    at most 20, by rule number; none when AA
    warnings:  what was accepted all the same
    request:   the sender's demand, when the message is accepted
    documents: the CDA documents, in message order, when the message is accepted
    places:    occurrences of the OBX they came in, from 1; none for a raw CDA
    alert:     name of the alert that the refusal is worth, "" for none
    message:   the message read; None for a raw CDA, or when nothing of a header could be read
    """

    ack_code: Code
    faults: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    request: TransmissionRequest | None = field(default=None, repr=False)
    documents: tuple[Document, ...] = field(default=(), repr=False)
    message: Message | None = field(default=None, repr=False)
    places: tuple[int, ...] = ()
    alert: str = ""

    @property
    def errors(self) -> tuple[Err, ...]:
        """The ERR segments of the ACK."""
        return tuple(finding.err for finding in self.faults)


class Findings:
    """Collects findings by rule number; the rule table gives severity, ERR fields and sentence."""

    def __init__(self, rules: ProfileRules, dialect: Dialect, at: float | None = None) -> None:
        """`at`: Unix time at which the message was received; None = now."""
        self.today = day_of(time.time() if at is None else at)
        """The day from which ages and dates in the future are seen."""
        self._rules = rules
        self._dialect = dialect
        self._faults: dict[Finding, None] = {}
        self._warnings: dict[Finding, None] = {}
        self._count: Counter[tuple[str, bool]] = Counter()
        self._of_the_dmp: list[tuple[Finding, Severity]] = []
        self.deletion = False
        """Set once the action is known: D1 softens some rules."""

    def add(self, number: str, case: str = "", *, severity: Severity | None = None, **place: Any) -> None:
        """Note a broken rule. `severity` is what an option decided; `place` fills the location and the sentence."""
        self._keep(self._finding(number, case, place), self._severity(number, case, severity))

    def add_dmp(self, number: str, case: str = "", **place: Any) -> None:
        """Note that the DMP leg can't be tried; `settle` decides whether that costs the whole message (D4).

        A deletion doesn't wait for that: the table says whether it is refused or only warned (D1).
        """
        severity = self._severity(number, case, None)
        if severity is Severity.OFF:
            return
        finding = self._finding(number, case, place)
        told = TABLE[number].deletion if self.deletion else None
        if told is not None:
            self._keep(finding, told)
        else:
            self._of_the_dmp.append((finding, severity))

    def hold_dmp(self, number: str, **place: Any) -> None:
        """Note that the site keeps this DMP leg back, whatever else leaves; never for a deletion (D1)."""
        severity = Severity.WARN
        if self.deletion:
            self._keep(self._finding(number, "", place), severity)
        else:
            self._of_the_dmp.append((self._finding(number, "", place), severity))

    def add_read(self, fault: Malformed, place: str) -> None:
        """Note what the reader of HL7 or of CDA refused: it has found the place and the sentence itself."""
        case = TABLE[fault.code].cases[0]
        code = fault.condition if isinstance(fault, Unreadable) else case.error
        detail = application(case.detail) if code == APPLICATION_ERROR and case.detail else None
        self._keep(Finding(fault.code, Err(code, place, "E", detail, fault.text)), Severity.ERROR)

    def settle(self, *, other_leg: bool) -> tuple[str, str] | None:
        """Decide the DMP's findings (D4): (rule, reason) when only that leg stops, else None.

        other_leg: something of the message can leave by MSSanté.
        """
        stopped: tuple[str, str] | None = None
        for finding, severity in self._of_the_dmp:
            leg_only = severity is Severity.WARN or (other_leg and self._rules.dmp_inadmissible == "volet")
            self._keep(finding, Severity.WARN if leg_only else Severity.ERROR)
            if leg_only and stopped is None:
                stopped = (finding.rule, finding.text)
        self._of_the_dmp.clear()
        return stopped

    @property
    def alert(self) -> str:
        """What a person must hear at once of a refused message, "" when nothing (D1)."""
        return DOWNGRADED if self.deletion and self.broke("R45") else ""

    @property
    def faults(self) -> tuple[Finding, ...]:
        """By rule number, at most as many as an ACK tells."""
        return tuple(sorted(self._faults, key=_order))[:MAX_ERRORS]

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(sorted(self._warnings, key=_order))

    def broke(self, *numbers: str) -> bool:
        """Whether one of these rules is already a fault: what depends on it needs no second one."""
        return any(finding.rule in numbers for finding in self._faults)

    def refusal(self, message: Message | None = None) -> Verdict:
        """The verdict when there are faults."""
        return Verdict("AE", self.faults, self.warnings, message=message, alert=self.alert)

    def _keep(self, finding: Finding, severity: Severity) -> None:
        """Once each, and of one rule no more than an ACK could tell: a sender's garbage may break one 100,000 times."""
        if severity is Severity.OFF:
            return
        fatal = severity is Severity.ERROR
        kept = self._faults if fatal else self._warnings
        if finding not in kept and self._count[finding.rule, fatal] < MAX_ERRORS:
            self._count[finding.rule, fatal] += 1
            kept[finding] = None

    def _severity(self, number: str, case: str, chosen: Severity | None) -> Severity:
        rule = TABLE[number]
        severity = chosen or rule.case(case).severity or rule.severity(self._dialect)
        if rule.configurable:
            severity = self._rules.severities.get(number, severity)
        softened = self.deletion and rule.deletion is not None and not rule.case(case).firm
        if softened and severity is Severity.ERROR:
            return rule.deletion or severity
        return severity

    def _finding(self, number: str, key: str, place: dict[str, Any]) -> Finding:
        case = TABLE[number].case(key)
        names = {"n": 1, "what": "", "segment": "", "field": "", **place}
        raw_cda = self._dialect is Dialect.CDA
        location = (case.header or "CDA") if raw_cda else case.location
        sentence = case.sentence.format(**names)
        detail = application(case.detail) if case.error == APPLICATION_ERROR and case.detail else None
        err = Err(case.error or APPLICATION_ERROR, location.format(**names), "E", detail, sentence)
        return Finding(number, err)


def _order(finding: Finding) -> tuple[int, str]:
    return in_order(finding.rule)


def answer(number: str, key: str = "", **place: Any) -> Finding:
    """What the table says of a rule that the gateway applies itself (R13, R14, R35, R99)."""
    case = TABLE[number].case(key)
    detail = application(case.detail) if case.detail else None
    sentence = case.sentence.format(**place)
    return Finding(number, Err(case.error, case.location.format(**place), "E", detail, sentence))


def outage() -> Finding:
    """R99: what a sender is told, with AR, when the message can't be kept now."""
    return answer("R99")


def conclude(
    findings: Findings,
    request: TransmissionRequest | None,
    documents: Sequence[Document],
    message: Message | None = None,
    *,
    places: Sequence[int] = (),
    keep: bool = False,
) -> Verdict:
    """The verdict. Beside faults the request is given only to `keep`, for a message accepted under other options."""
    faults = findings.faults
    if request is None or (faults and not keep):
        return findings.refusal(message)
    return Verdict(
        "AE" if faults else "AA", faults, findings.warnings, request, tuple(documents), message, tuple(places)
    )
