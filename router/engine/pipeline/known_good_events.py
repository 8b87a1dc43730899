"""Whether an `OperatorFault` of a pipeline is ours or one event's (promise 11).

Before a feed waits, the pipeline is tried on an event that is known to be good. When that one passes, the other is to
blame, and becomes its own dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.engine.pipeline.compiled import CompiledPipeline
from router.errors import OperatorFault, RouterError
from router.exchange import Event, Exchange, Filtered

LARGEST: Final = 1024 * 1024
"""Events larger than so many bytes are not kept."""
TRIED: Final = 5
"""So many later events are tried when no event is known to be good."""


class Blocked(OperatorFault):
    """An `OperatorFault` of `pipeline`, with code, place and text of its own."""

    def __init__(self, pipeline: CompiledPipeline, fault: OperatorFault) -> None:
        super().__init__(fault.code, fault.place, fault.text)
        self.pipeline = pipeline


class KnownGoodEvents:
    """The last event that each pipeline decided, at its present digest."""

    def __init__(self) -> None:
        self._good: dict[str, tuple[str, Event]] = {}

    def decided(self, pipeline: CompiledPipeline, event: Event) -> None:
        """A pipeline came to its end with this event."""
        digest, _ = self._good.get(pipeline.name, ("", None))
        if digest != pipeline.digest or len(event.body) + len(event.verdict) <= LARGEST:
            self._good[pipeline.name] = pipeline.digest, event

    def still_works(self, pipeline: CompiledPipeline, later: Iterable[Event]) -> bool:
        """Whether the pipeline still works: on the event it decided last, else on one of those that came later.

        To decide an event again has no effect: a pipeline only reads, or knows by the event's id what it has applied.
        One that changes something (`reads_only` False) is never tried on an event before its turn.
        """
        digest, good = self._good.get(pipeline.name, ("", None))
        if good is not None and digest == pipeline.digest:
            return _passes(pipeline, good)
        if not pipeline.reads_only:
            return False
        return any(_passes(pipeline, event) for event, _ in zip(later, range(TRIED), strict=False))


def _passes(pipeline: CompiledPipeline, event: Event) -> bool:
    try:
        return not isinstance(pipeline.process(Exchange(event)), Filtered)
    except RouterError:
        return False
    except Exception:  # a bug on this event says nothing of the pipeline
        return False
