"""CEL expressions of pipeline files: compiled once, type-checked by `check`, evaluated on an exchange.

Variables (text unless said otherwise):

- `message`: `type` (`ORU^R01`), `event`, `control_id`, `sending_app`, `sending_facility`, `receiving_app`,
  `version`, `processing`
- `document`, the principal one: `type` (LOINC or TA code), `level` (number, 1 or 3), `title`, `id`,
  `confidentiality`
- `request`: `action`, `dialect`; true or false: `dmp`, `mssante`, `mssante_patient`, `qualified`, `masked`;
  number: `recipients`
- `event`: `feed`, `kind`, `source`
- `field("PID-3[INS].1")`, a function: any field of the HL7 message, '' when absent
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

# The library imports its own command line, and with it a terminal toolkit: half of a worker's time to start.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

from router.config.conditions import SPECIMEN, Found, Values, errors  # noqa: E402
from router.contracts import Header  # noqa: E402
from router.errors import Bug  # noqa: E402
from router.exchange import Exchange  # noqa: E402
from router.language import N_, filled  # noqa: E402

_FAILURES: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What the evaluation of an expression may raise."""


class ExpressionFault(ValueError):
    """An expression can't be used; `found` says everything that is wrong with it, in the operator's words."""

    def __init__(self, found: Sequence[Found]) -> None:
        super().__init__(found[0].reason)
        self.found = tuple(found)


class Expression:
    """One compiled condition."""

    def __init__(self, source: str) -> None:
        """Compile and type-check. Raises `ExpressionFault`."""
        self.source = source
        if found := errors(source):
            raise ExpressionFault(found)
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise ExpressionFault([_parse_error(str(error))]) from error
        if text := self._evaluation():
            raise ExpressionFault([Found(1, text)])

    def _evaluation(self) -> str:
        """What is wrong with its value, "" for nothing."""
        try:
            value = self.of(SPECIMEN, lambda _: "")
        except _FAILURES as error:
            return _evaluation_error(error)
        return "" if isinstance(value, bool) else N_("must be true or false")

    def of(self, variables: Values, field: Callable[[str], str]) -> object:
        """Its value for these variables. Raises one of several errors of Python's when it can't be evaluated."""
        return self._program.execute(_context(variables, field))

    def holds(self, variables: Values, field: Callable[[str], str]) -> bool | None:
        """The same; None when it can't be evaluated for these values."""
        try:
            return bool(self.of(variables, field))
        except _FAILURES:
            return None

    def __call__(self, exchange: Exchange) -> bool:
        """Whether the condition holds. Raises `Bug` if the evaluation itself fails."""
        message = exchange.message
        read: Callable[[str], str] = message.text if message is not None else lambda _: ""
        try:
            return bool(self.of(values(exchange), read))
        except _FAILURES as error:
            raise Bug.of(error, "when") from error


def _context(variables: Values, field: Any) -> cel.Context:
    return cel.Context(variables=dict(variables), functions={"field": field})


def _parse_error(text: str) -> Found:
    """The library refuses what our reading of it let pass: only the place is kept."""
    place = re.search(r"<input>:1:(\d+)", text)
    return Found(int(place[1]) if place else 1, N_("not a CEL expression"))


def _evaluation_error(error: Exception) -> str:
    """The library's sentences are for programmers: only the name of what it does not know is kept."""
    unknown = re.match(r"Undefined variable or function: '(\w+)'", str(error))
    if unknown:
        return filled("unknown function {name}", name=repr(unknown[1]))
    if isinstance(error, TypeError):
        return N_("texts, numbers, true and false are not compared or combined with one another")
    return N_("the expression can't be evaluated")


def values(exchange: Exchange) -> Values:
    """The variables of an exchange, as plain values."""
    message, request, headers = exchange.message, exchange.request, exchange.event.headers
    result: dict[str, Mapping[str, Any]] = {
        **SPECIMEN,
        "event": {
            "feed": exchange.event.feed,
            "kind": headers.get(Header.KIND, "hl7"),
            "source": headers.get(Header.SOURCE, ""),
        },
    }
    if message is not None:
        text = message.text
        result["message"] = {
            "type": f"{text('MSH-9.1')}^{text('MSH-9.2')}",
            "event": text("MSH-9.2"),
            "control_id": text("MSH-10"),
            "sending_app": text("MSH-3.1"),
            "sending_facility": text("MSH-4.1"),
            "receiving_app": text("MSH-5.1"),
            "version": text("MSH-12.1"),
            "processing": text("MSH-11.1"),
        }
    if request is not None:
        result["request"] = {
            "action": str(request.action),
            "dialect": str(request.dialect),
            "dmp": request.dmp,
            "mssante": request.mss_professionals,
            "mssante_patient": request.mss_patient,
            "qualified": request.patient.qualified,
            "masked": request.masks.masque_ps,
            "recipients": len(request.recipients),
        }
        if request.documents:
            document = request.principal
            result["document"] = {
                "type": document.code.code,
                "level": document.level,
                "title": document.title,
                "id": document.id,
                "confidentiality": document.confidentiality.code,
            }
    return result
