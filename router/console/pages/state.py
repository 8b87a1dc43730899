"""State of the site: is anything wrong now, and is it mine to act on?"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from router.console import state_view, waits
from router.console.page import Key, Page
from router.console.visit import Visit
from router.language import N_


def state(visit: Visit) -> Response:
    """What `status` knows, of the feeds and sinks that this person may see."""
    found = visit.tools.watch.latest()
    seen = state_view.of(visit, found) if found is not None else None
    return visit.page("state.html", seen=seen, pages_of=waits.PAGES)


PAGES: Final = (
    Page(
        name="state",
        path="/",
        title=N_("State"),
        question=N_("Is anything wrong now, and is it mine to act on?"),
        menu=N_("State"),
        letter="s",
        rank=10,
        show=state,
        keys=(
            Key("r", N_("look again")),
            Key("p", N_("stop the live numbers, or go on")),
            Key("e", N_("what waits for a person"), "#attention a, #attention"),
        ),
    ),
)
