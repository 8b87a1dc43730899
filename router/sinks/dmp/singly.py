"""The documents of a pair, each on its own: done ones are remembered, a refusal of one never leaves the other untried.

(decisions D1.) What is settled travels as `RouterError.progress`: the row keeps it, the next attempt gets it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from router.contracts import Attempt
from router.errors import Fenced, MessageFault, OperatorFault, OutcomeUnknown, Overtaken, Refused, RouterError
from router.language import filled
from router.sinks.dmp.deposit_history import MADE, parts_of

T = TypeVar("T")
UNSURE: Final = "unsure"
"""Progress: uniqueIds of the documents whose outcome is unknown, blank-separated; `-` for none."""
_NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a delivery; `level` 1 or 3."""

    level: int
    unique_id: str

    def __str__(self) -> str:
        return f"{self.level}={self.unique_id}"


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier attempts have settled. `unsure`: uniqueIds, None when an attempt ended without saying which."""

    made: tuple[Part, ...] = ()
    unsure: frozenset[str] | None = frozenset()
    doubted: bool = False
    """Whether any attempt had an unknown outcome, settled since or not."""

    @classmethod
    def of(cls, attempt: Attempt) -> Memory:
        """From the row's progress; an attempt that a crash ended leaves none, then every document is unsure."""
        made = tuple(Part(level, unique_id) for level, unique_id in parts_of(attempt.progress.get(MADE, "")))
        if not attempt.unknown:
            return cls(made)
        named = attempt.progress.get(UNSURE)
        return cls(made, None if named is None else frozenset(named.split()) - {_NONE}, doubted=True)

    def is_unsure(self, unique_id: str) -> bool:
        """Whether an earlier attempt at this document may have succeeded."""
        return self.unsure is None or unique_id in self.unsure

    def has_made(self, unique_id: str) -> bool:
        return any(part.unique_id == unique_id for part in self.made)


Faults = Mapping[Part, RouterError]


async def each(
    parts: Iterable[Part], act: Callable[[Part], Awaitable[T]], memory: Memory, *, making: bool
) -> tuple[dict[Part, T], dict[Part, RouterError]]:
    """Act on every part, whatever became of the others: (results, faults). `making`: the act makes the effect.

    Raises at once, with what was made until then as its progress: `Fenced` and `Overtaken` (nothing more may leave)
    and `OperatorFault` (nothing more would succeed; all is tried again).
    """
    results: dict[Part, T] = {}
    faults: dict[Part, RouterError] = {}
    left = list(parts)
    while left:
        part = left[0]
        try:
            results[part] = await act(part)
        except (Fenced, Overtaken, OperatorFault) as fault:
            waiting = [*left, *(one for one, held in faults.items() if not isinstance(held, MessageFault))]
            fault.progress = _progress(memory, tuple(results) if making else (), faults, waiting)
            raise
        except RouterError as fault:
            faults[part] = fault
        left.pop(0)
    return results, faults


def summed_up(faults: Faults, made: Sequence[Part], memory: Memory, done: str) -> RouterError:
    """The one fault of an attempt: an unknown outcome before a wait before a refusal; it remembers what is done.

    done: what is said of a document that is made, a template of its level, e.g. `N{n} supprimé`.
    """
    worst = min(faults.values(), key=_rank)
    everything = (*memory.made, *made)
    if isinstance(worst, MessageFault) and (everything or len(faults) > 1):
        said = [filled(done, n=part.level) for part in everything]
        said += [filled("N{n} non ({code})", n=part.level, code=fault.code) for part, fault in faults.items()]
        business = all(isinstance(fault, Refused) and fault.business for fault in faults.values())
        worst = Refused(worst.code, worst.place, " ; ".join((worst.text, *said)), business=business)
    waiting = [part for part, fault in faults.items() if not isinstance(fault, MessageFault)]
    worst.progress = _progress(memory, made, faults, waiting)
    return worst


def _rank(fault: RouterError) -> int:
    return 0 if isinstance(fault, OutcomeUnknown) else 2 if isinstance(fault, MessageFault) else 1


def _progress(memory: Memory, made: Sequence[Part], faults: Faults, waiting: Sequence[Part]) -> dict[str, str]:
    """What the row is to remember. Of a document that waits still, an earlier doubt remains."""
    everything = dict.fromkeys((*memory.made, *made))
    progress = {MADE: " ".join(map(str, everything))} if everything else {}
    if memory.unsure is None and waiting:
        return progress  # a crash leaves every document in doubt until it has an answer
    open_ = {part.unique_id for part in waiting}
    unsure = {part.unique_id for part, fault in faults.items() if isinstance(fault, OutcomeUnknown)}
    unsure |= open_ & (memory.unsure or frozenset())
    if unsure or memory.doubted:
        progress[UNSURE] = " ".join(sorted(unsure)) or _NONE
    return progress
