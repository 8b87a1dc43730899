"""`dlq replay --wait` and `withdraw`: what became of deliveries that were ordered, read from the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.progress import Progress

from router.cli.output import console, errors
from router.contracts import Ledger, Row
from router.engine.proof import proof
from router.exchange import State

_LOOK_SECONDS: Final = 0.2
_FINAL: Final = (State.DONE, State.SUPERSEDED, State.DEAD)
_WORDS: Final = {
    State.READY: "not yet tried",
    State.BEGUN: "on its way",
    State.WAITING: "waits for another try",
    State.PARKED: "parked",
    State.UNKNOWN: "outcome unknown, being verified",
    State.DONE: "delivered",
    State.SUPERSEDED: "superseded",
    State.DEAD: "failed again",
}


@dataclass(frozen=True, slots=True)
class Became:
    """What one delivery has come to. `state`: "" when its owner has not taken the order in time."""

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
    deadline = time.monotonic() + timeout
    with Progress(console=errors, transient=True) as progress:
        bar = progress.add_task("delivering", total=len(ids))
        while True:
            rows = ledger.get(ids)
            ended = [id_ for id_ in ids if _ended(rows.get(id_), before.get(id_))]
            progress.update(bar, completed=len(ended))
            if len(ended) == len(ids) or time.monotonic() > deadline:
                return [_became(id_, rows.get(id_), before.get(id_)) for id_ in ids]
            time.sleep(_LOOK_SECONDS)


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
    text = row.text if row.state is State.DEAD else proof(row) or row.text
    return Became(id_, row.state, row.delivery.sink, row.delivery.label, row.code, text)


def show_became(found: Sequence[Became]) -> None:
    """One line each: a tick or what is wrong."""
    for one in found:
        mark = "[green]✓[/]" if one.good else "[red]✗[/]" if one.state in ("", State.DEAD) else "[yellow]…[/]"
        words = _WORDS[State(one.state)] if one.state else "the order was not taken yet: is the router running?"
        console.print(f"{mark} {one.sink} {one.label}: {words}".replace("  ", " "), soft_wrap=True)
        if one.text:
            code = f"{one.code} " if one.state == State.DEAD else ""
            console.print(f"    {code}{one.text}", soft_wrap=True, markup=False, style="dim")
