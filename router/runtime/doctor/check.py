"""A check: its name, what it looks at, how long it may take; and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from router.config.site import Site
from router.contracts import Clock, SystemClock

Level = Literal["good", "note", "wrong"]
"""`note`: worth knowing, or could not be looked at; it does not make the installation wrong."""

SECONDS: Final = 10.0
"""How long a check may take when it does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding. `subject`: what it is about; `text`: what was found; `fix`: the line to write, or a command."""

    level: Level
    subject: str
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """What the checks look at. `running`: a router runs on this data folder now."""

    site: Site
    running: bool
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `look` changes nothing, sends no message, and contacts only what the site file names."""

    name: str
    about: str
    look: Callable[[Installation], Iterable[Verdict]]
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True)
class Result:
    """What one check came to, and how long it took."""

    check: str
    verdicts: tuple[Verdict, ...]
    seconds: float

    @property
    def wrong(self) -> bool:
        return any(verdict.level == "wrong" for verdict in self.verdicts)


def good(subject: str, text: str = "") -> Verdict:
    return Verdict("good", subject, text)


def remark(subject: str, text: str, fix: str = "") -> Verdict:
    return Verdict("note", subject, text, fix)


def wrong(subject: str, text: str, fix: str = "") -> Verdict:
    return Verdict("wrong", subject, text, fix)
