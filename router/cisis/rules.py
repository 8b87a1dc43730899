"""`TABLE`: every rule of the intake by its number, and its form for programs.

The lines stand in `table_message.py` (R01–R39: frame, structure, document) and `table_request.py` (R40–R99: patient,
type and version, metadata, recipients); `rule.py` explains the columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.cisis import table_message, table_request
from router.cisis.rule import COLUMNS, Case, Rule, in_order
from router.hl7.ack import APPLICATION_CONDITIONS, MESSAGE_CONDITIONS
from router.request import Dialect

TABLE: Final[Mapping[str, Rule]] = {
    rule.number: rule
    for rule in sorted((*table_message.RULES, *table_request.RULES), key=lambda rule: in_order(rule.number))
}
CONFIGURABLE: Final = frozenset(number for number, rule in TABLE.items() if rule.configurable)


def as_json(rule: Rule) -> dict[str, Any]:
    """One rule as one JSON object: the first case's answer is repeated at the top."""
    first = rule.cases[0]
    return {
        "rule": rule.number,
        "condition": rule.condition,
        "dialects": {str(dialect): str(rule.severity(dialect)) for dialect in COLUMNS},
        "severity": str(rule.severity(Dialect.V2_1)),
        "deletion": str(rule.severity(Dialect.V2_1, deletion=True)),
        "configurable": rule.configurable or bool(rule.option),
        "option": rule.option or ("severities" if rule.configurable else ""),
        "stage": rule.stage,
        "level": rule.source,
        "reference": rule.reference,
        "err2": first.location,
        "err3": first.error,
        "err5": first.detail,
        "sentence": first.sentence,
        "cases": [_case_json(case) for case in rule.cases],
    }


def _case_json(case: Case) -> dict[str, str]:
    return {
        "case": case.key,
        "err2": case.location,
        "err3": case.error,
        "err3_label": MESSAGE_CONDITIONS.get(case.error, ""),
        "err5": case.detail,
        "err5_label": APPLICATION_CONDITIONS.get(case.detail, ""),
        "sentence": case.sentence,
        "severity": str(case.severity) if case.severity else "",
        "header": case.header,
    }
