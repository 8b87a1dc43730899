"""Why a delivery won't be made again, with what proves it: a receipt's identifiers, or the event that overtook it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from router.contracts import Row
from router.engine.delivery.supersession_rules import overtaken_by
from router.exchange import State
from router.language import N_, _, filled, translated

Names = Mapping[str, str]
"""Maps a key of evidence that outside systems know to its name for people. The sink types declare it."""
UNNAMED: Final[Names] = {}
SUPERSEDED_BY: Final = "superseded_by"
_ACTIONS: Final = {"replace": N_("le remplacement"), "delete": N_("la suppression")}


def evidence(found: Iterable[tuple[str, str]], names: Names) -> Iterator[str]:
    """`Message-ID <…>`, `lot 2.25.…`: each proof in a person's words."""
    return (f"{_(name)} {translated(value)}" for name, value in _named(found, names))


def _named(found: Iterable[tuple[str, str]], names: Names) -> Iterator[tuple[str, str]]:
    return ((names[name], value) for name, value in found if name in names and value)


def proof(row: Row, names: Names, versions: Iterable[Row] = ()) -> str:
    """What shows that `row` is done or overtaken, or "". `versions`: what the ledger holds of its document."""
    if row.state is State.DONE:
        shown = " ; ".join(f"{name} {value}" for name, value in _named(row.evidence.items(), names))
        day, hour = _when(row.updated)
        if shown:
            return filled("remis le {day} à {time} : {texts}", day=day, time=hour, texts=shown)
        return filled("remis le {day} à {time}", day=day, time=hour)
    if row.state is State.SUPERSEDED:
        by = row.evidence.get(SUPERSEDED_BY, "")
        day, hour = _when(row.updated)
        if by:
            return filled("dépassé par l'événement {event} le {day} à {time}", event=by, day=day, time=hour)
        return filled("abandonné le {day} à {time}", day=day, time=hour)
    later = overtaken_by(row, versions)
    if later is None:
        return ""
    what, made = _ACTIONS.get(later.delivery.action, N_("l'envoi")), later.delivery
    day, hour = _when(made.created)
    template = "dépassé par {what} {name}, événement {event} du {day} à {time}"
    return filled(template, what=what, name=made.id, event=made.event_id, day=day, time=hour)


def _when(at: float) -> tuple[str, str]:
    """Day and time."""
    here = time.localtime(at)
    return time.strftime("%d/%m/%Y", here), time.strftime("%H:%M:%S", here)
