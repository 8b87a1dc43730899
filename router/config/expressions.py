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
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

# The library imports its own command line, and with it a terminal toolkit: half of a worker's time to start.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

from router.contracts import Header  # noqa: E402
from router.errors import Bug  # noqa: E402
from router.exchange import Exchange  # noqa: E402
from router.language import N_, filled  # noqa: E402

Values = Mapping[str, Mapping[str, Any]]

#: One value of the right type for every name: what `check` evaluates an expression on.
SPECIMEN: Final[Values] = {
    "message": {
        "type": "",
        "event": "",
        "control_id": "",
        "sending_app": "",
        "sending_facility": "",
        "receiving_app": "",
        "version": "",
        "processing": "",
    },
    "document": {"type": "", "level": 3, "title": "", "id": "", "confidentiality": ""},
    "request": {
        "action": "",
        "dialect": "",
        "dmp": False,
        "mssante": False,
        "mssante_patient": False,
        "qualified": False,
        "masked": False,
        "recipients": 0,
    },
    "event": {"feed": "", "kind": "", "source": ""},
}

_MEMBER: Final = re.compile(r"\b(message|document|request|event)\s*\.\s*([A-Za-z_]\w*)")
_FIELD: Final = re.compile(r"\bfield\s*\(")
_FAILURES: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What the evaluation of an expression may raise."""
_TEXT: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")


class ExpressionFault(ValueError):
    """An expression can't be used; the text says why, in the operator's words."""


class Expression:
    """One compiled condition."""

    def __init__(self, source: str) -> None:
        """Compile and type-check. Raises `ExpressionFault`."""
        self.source = source
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise ExpressionFault(_parse_error(str(error))) from error
        self._check_names()
        self._check_type()

    def _check_names(self) -> None:
        for name in self._program.variables():
            if name not in SPECIMEN:
                raise ExpressionFault(
                    filled("unknown name {name}: use one of {known}", name=repr(name), known=", ".join(SPECIMEN))
                )
        for owner, member in self._members():
            if member not in SPECIMEN[owner]:
                known = ", ".join(SPECIMEN[owner])
                raise ExpressionFault(
                    filled("{owner} has no {member}: use one of {known}", owner=owner, member=repr(member), known=known)
                )

    def _members(self) -> list[tuple[str, str]]:
        return _MEMBER.findall(_TEXT.sub("''", self.source))

    @property
    def names(self) -> tuple[str, ...]:
        """What it asks about (`request.dmp`), each once; `field` stands for any field of the message."""
        found = [".".join(pair) for pair in self._members()]
        return tuple(dict.fromkeys([*found, *(["field"] if _FIELD.search(_TEXT.sub("''", self.source)) else [])]))

    def _check_type(self) -> None:
        try:
            value = self._program.execute(_context(SPECIMEN, lambda _: ""))
        except _FAILURES as error:
            raise ExpressionFault(_evaluation_error(error)) from error
        if not isinstance(value, bool):
            raise ExpressionFault(filled("must be true or false, not {kind}", kind=type(value).__name__))

    def __call__(self, exchange: Exchange) -> bool:
        """Whether the condition holds. Raises `Bug` if the evaluation itself fails."""
        message = exchange.message
        read: Callable[[str], str] = message.text if message is not None else lambda _: ""
        return self.on(values(exchange), read)

    def on(self, given: Values, field: Callable[[str], str] = lambda _: "") -> bool:
        """Whether the condition holds for these values. Raises `Bug` if the evaluation itself fails."""
        try:
            return bool(self._program.execute(_context(given, field)))
        except _FAILURES as error:
            raise Bug.of(error, "when") from error


def _context(variables: Values, field: Any) -> cel.Context:
    return cel.Context(variables=dict(variables), functions={"field": field})


def _parse_error(text: str) -> str:
    found = re.search(r"<input>:\d+:(\d+): (.*)", text)
    if not found:
        return N_("not a CEL expression")
    token = re.search(r"'(.+?)'(?: expecting|$)", found[2])
    if token is None:
        return filled("column {column}: not a CEL expression", column=found[1])
    if token[1] == "<EOF>":
        return filled("column {column}: the expression ends too early", column=found[1])
    return filled("column {column}: {token} can't stand here", column=found[1], token=repr(token[1][:60]))


def _evaluation_error(error: Exception) -> str:
    """The library's sentences are for programmers: only the name of what it does not know is kept."""
    unknown = re.match(r"Undefined variable or function: '(\w+)'", str(error))
    if unknown:
        return filled("unknown function {name}", name=repr(unknown[1]))
    if isinstance(error, TypeError):
        return filled(
            "{error}: texts, numbers, true and false are not compared or combined with one another", error="TypeError"
        )
    return filled("{error}: the expression can't be evaluated", error=type(error).__name__)


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
