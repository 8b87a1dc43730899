"""`dlq replay --wait` and `withdraw`: what became of what was ordered.

Deliveries are read from the ledger; events that go through the pipelines again from the journal, which alone knows
what was decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from rich.progress import Progress

from router.cli.output import console, errors, said
from router.contracts import Ledger, Row
from router.engine.dead_letters.evidence import proof
from router.exchange import Disposition, State
from router.journal.store import Journal
from router.journal.views import DeliveryState, EventStory, Moment
from router.language import N_, _, translated
from router.runtime.wording import EVIDENCE

T = TypeVar("T")

_LOOK_SECONDS: Final = 0.2
_FINAL: Final = (State.DONE, State.SUPERSEDED, State.DEAD)
_FILTERED: Final = "filtered"
STATES: Final[dict[str, str]] = {
    "": N_("the order was not taken in time"),
    _FILTERED: N_("filtered"),
    State.READY: N_("not yet tried"),
    State.BEGUN: N_("on its way"),
    State.WAITING: N_("waits for another try"),
    State.PARKED: N_("parked"),
    State.UNKNOWN: N_("outcome unknown, being verified"),
    State.DONE: N_("delivered"),
    State.SUPERSEDED: N_("superseded"),
    State.DEAD: N_("failed again"),
}
_STATES: Final[dict[str, str]] = {
    Disposition.DELIVERED: State.DONE,
    Disposition.DEAD_LETTERED: State.DEAD,
    Disposition.SUPERSEDED: State.SUPERSEDED,
    Disposition.FILTERED: _FILTERED,
    "": State.WAITING,
}


@dataclass(frozen=True, slots=True)
class Became:
    """What one delivery has come to, or an event that has none. `state`: "" when nobody has taken the order in time."""

    delivery: str
    state: str
    sink: str = ""
    label: str = ""
    code: str = ""
    text: str = ""

    @property
    def good(self) -> bool:
        return self.state == State.DONE


def wait_for(ledger: Ledger, ids: Sequence[str], before: Mapping[str, Row], timeout: float) -> list[Became]:
    """Until each has ended again, or `timeout` seconds have passed. `before`: their rows at the time of the order."""

    def look() -> tuple[list[Became], int]:
        rows = ledger.get(ids)
        ended = sum(_ended(rows.get(id_), before.get(id_)) for id_ in ids)
        return [_became(id_, rows.get(id_), before.get(id_)) for id_ in ids], ended

    return _watched(_("delivering"), len(ids), look, timeout)


def wait_for_events(journal: Journal, ids: Sequence[str], since: float, timeout: float) -> dict[str, list[Became]]:
    """Until each event was decided after `since` (Unix seconds) and what it became has ended; by event."""

    def look() -> tuple[dict[str, list[Became]], int]:
        stories = {id_: next(iter(journal.story(id_)), None) for id_ in ids}
        found = {id_: _came_of(id_, story, since) for id_, story in stories.items()}
        return found, sum(all(one.state not in ("", State.WAITING) for one in came) for came in found.values())

    return _watched(_("deciding"), len(ids), look, timeout)


def _watched(doing: str, total: int, look: Callable[[], tuple[T, int]], timeout: float) -> T:
    """What `look` finds once all have ended, or after `timeout` seconds; it tells how many have."""
    deadline = time.monotonic() + timeout
    with Progress(console=errors, transient=True) as progress:
        bar = progress.add_task(doing, total=total)
        while True:
            found, ended = look()
            progress.update(bar, completed=ended)
            if ended == total or time.monotonic() > deadline:
                return found
            time.sleep(_LOOK_SECONDS)


def _came_of(event: str, story: EventStory | None, since: float) -> list[Became]:
    """What the pipelines made of an event since then: its deliveries, and the pipelines that made none."""
    moments = [moment for moment in story.timeline if moment.at >= since] if story else []
    if story is None or not any(moment.kind in ("decided", "filtered", "dead") for moment in moments):
        return [Became(event, "")]
    ends = [_no_delivery(event, moment) for moment in moments if moment.kind in ("filtered", "dead")]
    made = any(moment.kind == "decided" for moment in moments)
    return [*ends, *(_of_delivery(one, since) for one in story.deliveries if made)]


def _no_delivery(event: str, moment: Moment) -> Became:
    state = State.DEAD if moment.kind == "dead" else _FILTERED
    return Became(event, state, "pipeline", moment.where, moment.code, moment.text)


def _of_delivery(one: DeliveryState, since: float) -> Became:
    """A dead letter of before `since` has been decided again: it has not ended yet."""
    old = one.disposition == Disposition.DEAD_LETTERED and one.at < since
    state = State.WAITING if old else _STATES[one.disposition]
    return Became(one.delivery_id, state, one.sink, one.label, one.code, one.text)


def _taken(row: Row | None, before: Row | None) -> bool:
    """Whether the lane's owner has obeyed: each replay is counted in the row."""
    return row is not None and (
        before is None or row.delivery.replay > before.delivery.replay or row.state != before.state
    )


def _ended(row: Row | None, before: Row | None) -> bool:
    return row is not None and _taken(row, before) and row.state in _FINAL


def _became(id_: str, row: Row | None, before: Row | None) -> Became:
    if row is None or not _taken(row, before):
        known = row or before
        return Became(id_, "", known.delivery.sink if known else "", known.delivery.label if known else "")
    text = row.text if row.state is State.DEAD else proof(row, EVIDENCE) or row.text
    return Became(id_, row.state, row.delivery.sink, row.delivery.label, row.code, text)


def show_became(found: Sequence[Became], absent: str = "") -> None:
    """One line each: a tick or what is wrong. `absent`: why nobody has taken the orders, see `presence.absence`."""
    if absent:
        console.print(
            said(_("the order waits on the bus until the router starts: {reason}", reason=absent)),
            style="yellow",
            soft_wrap=True,
        )
        found = [one for one in found if one.state]
    for one in found:
        mark = "[green]✓[/]" if one.good else "[red]✗[/]" if one.state in ("", State.DEAD) else "[yellow]…[/]"
        console.print(f"{mark} {said(f'{one.sink} {one.label}'.strip())}: {said(_(STATES[one.state]))}", soft_wrap=True)
        if one.text:
            code = f"{one.code} " if one.state == State.DEAD else ""
            console.print(f"    {said(code + translated(one.text))}", soft_wrap=True, style="dim")
