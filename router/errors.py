"""The tree of errors. The branch says what the runner does; no text ever holds a value.

RouterError
├── MessageFault      this message can never succeed        -> dead letter (or AE), go on
│   ├── Malformed     not readable as HL7 v2 or CDA
│   ├── Invalid       readable, but breaks a rule
│   ├── Refused       the destination said no, for good
│   └── Bug           our code failed on it; a budget stops the pipeline when there are many
├── Unavailable       nobody's fault, later may work        -> wait in the lane, or open the circuit
├── Fenced            another process took our partition    -> stop, do nothing more
├── Overtaken         a deletion or newer version came      -> superseded: nothing leaves (decisions D1)
├── OutcomeUnknown    the effect may have happened          -> verify, repeat or hold (the sink type says)
└── OperatorFault     our configuration or certificates     -> open the circuit, alert, commit nothing
    └── ConfigFault   a file of ours is wrong               -> every problem at once, with its place

A fault carries a stable `code` (`R45`, `MSS-550`, `DMP-DMPClosed`), a `place` (`PID-32`, `RCPT`) and a
`text` for a person. Values of the message (names, identifiers, addresses) never enter any of the three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


class RouterError(Exception):
    """Base class; see the module's drawing.

    progress: what the attempt has settled all the same, for an effect of several parts: names and identifiers only.
    The row remembers it, the next attempt gets it back (`contracts.Attempt`).

    outcome: how metrics call an attempt that ended with it (`router.measures`)
    """

    outcome: ClassVar[str] = "bug"

    def __init__(self, code: str, place: str = "", text: str = "") -> None:
        super().__init__(code, place, text)
        self.code = code
        self.place = place
        self.text = text
        self.progress: Mapping[str, str] = {}

    def __str__(self) -> str:
        where = f" at {self.place}" if self.place else ""
        return f"{self.code}{where}: {self.text}" if self.text else f"{self.code}{where}"


class MessageFault(RouterError):
    """Blame the message: sending it again unchanged can't help."""

    outcome = "refused"


class Malformed(MessageFault):
    """Not readable as what it says it is."""


class Invalid(MessageFault):
    """Readable, but it breaks a rule of the profile or of the site."""


class Refused(MessageFault):
    """The destination said no, for good.

    `business`: an outcome for the sender (the patient has no DMP); no operator can or need do anything.
    """

    def __init__(self, code: str, place: str = "", text: str = "", *, business: bool = False) -> None:
        super().__init__(code, place, text)
        self.business = business


class Bug(MessageFault):
    """Our own code failed on this message. `code` is `BUG-<exception class>`."""

    outcome = "bug"

    @classmethod
    def of(cls, error: BaseException, place: str) -> Bug:
        """Wrap a foreign exception: its class is kept, its text (which may quote a value) is not."""
        return cls(f"BUG-{type(error).__name__}", place, "unexpected error in the router")


class Unavailable(RouterError):
    """Try again later. `circuit` tells an outage of the whole destination from one lane's trouble.

    `circuit=True`: the server can't be reached or refuses everybody, so the sink's circuit opens.
    `circuit=False` (a full mailbox, a 450 for one recipient): only this lane waits.
    `retry_after`: seconds the destination asked us to wait, or None.
    `counted=False`: the wait is our own (a rate that the site set), so it never ends the delivery.
    """

    outcome = "unavailable"

    def __init__(
        self,
        code: str,
        place: str = "",
        text: str = "",
        *,
        circuit: bool = True,
        retry_after: float | None = None,
        counted: bool = True,
    ) -> None:
        super().__init__(code, place, text)
        self.circuit = circuit
        self.counted = counted
        self.retry_after = retry_after


class OutcomeUnknown(RouterError):
    """The connection died after the effect may have happened (body sent, no answer read)."""

    outcome = "unknown"


class Fenced(RouterError):
    """Another process owns what we thought was ours: stop at once, do nothing more.

    `partitions`: numbers of those that were lost, as far as the one who refused knows them.
    """

    outcome = "fenced"

    def __init__(self, code: str, place: str = "", text: str = "", *, partitions: frozenset[int] = frozenset()) -> None:
        super().__init__(code, place, text)
        self.partitions = partitions


class Overtaken(RouterError):
    """A deletion, or a version that was made, came before the effect: nothing has left, and nothing must."""

    outcome = "superseded"


class OperatorFault(RouterError):
    """Our configuration, credentials or certificates: nothing is the message's fault."""

    outcome = "operator"


Severity = Literal["error", "warning"]
"""`error`: to be corrected, and what the router refuses to run with is among it. `warning`: somebody should look."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file of the operator's: where it is and what to write instead."""

    file: str
    line: int
    column: int
    path: str
    text: str
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {path}{self.text}{hint}"


class ConfigFault(OperatorFault):
    """One or more files of the operator's are wrong; `problems` holds all of them, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("CONFIG", "", "\n".join(map(str, problems)))
        self.problems = tuple(problems)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems of one file in the order of its lines."""
    return sorted(problems, key=lambda found: (found.line, found.column))
