"""Why a delivery won't be made again, with what proves it: a receipt's identifiers, or the event that overtook it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from router.contracts import Row
from router.engine.delivery.supersession_rules import overtaken_by
from router.exchange import State

Names = Mapping[str, str]
"""Maps a key of evidence that outside systems know to its name for people. The sink types declare it."""
UNNAMED: Final[Names] = {}
SUPERSEDED_BY: Final = "superseded_by"
_ACTIONS: Final = {"replace": "le remplacement", "delete": "la suppression"}


def evidence(found: Iterable[tuple[str, str]], names: Names) -> Iterator[str]:
    """`Message-ID <…>`, `lot 2.25.…`: each proof in a person's words."""
    for name, value in found:
        if name in names and value:
            yield f"{names[name]} {value}"


def proof(row: Row, names: Names, versions: Iterable[Row] = ()) -> str:
    """What shows that `row` is done or overtaken, or "". `versions`: what the ledger holds of its document."""
    if row.state is State.DONE:
        shown = " ; ".join(evidence(row.evidence.items(), names))
        return f"remis le {_when(row.updated)}" + (f" : {shown}" if shown else "")
    if row.state is State.SUPERSEDED:
        by = row.evidence.get(SUPERSEDED_BY, "")
        return f"dépassé par l'événement {by} le {_when(row.updated)}" if by else f"abandonné le {_when(row.updated)}"
    later = overtaken_by(row, versions)
    if later is None:
        return ""
    what, made = _ACTIONS.get(later.delivery.action, "l'envoi"), later.delivery
    return f"dépassé par {what} {made.id}, événement {made.event_id} du {_when(made.created)}"


def _when(at: float) -> str:
    return time.strftime("%d/%m/%Y à %H:%M:%S", time.localtime(at))
