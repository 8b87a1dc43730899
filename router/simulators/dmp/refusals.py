"""The ways the simulated DMP says no: ebXML registry errors and SOAP faults (dmp §5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistryError:
    """One `rs:RegistryError`: IHE or DMP code, and what the DMP would write in codeContext."""

    code: str
    context: str


class Refused(Exception):
    """The registry refuses: answered with `ResponseStatusType:Failure` and these errors."""

    def __init__(self, *errors: RegistryError) -> None:
        super().__init__(", ".join(error.code for error in errors))
        self.errors = errors


class Fault(Exception):
    """The call itself is refused: a SOAP 1.2 fault, `Sender` unless it is the server's own trouble."""

    def __init__(self, text: str, subcode: str = "", role: str = "Sender") -> None:
        super().__init__(text)
        self.text = text
        self.subcode = subcode
        self.role = role


def refuse(code: str, context: str = "") -> Refused:
    return Refused(RegistryError(code, context))
