"""How a person likes the pages; kept on the server, so that it holds on every machine of the ward."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from router.console.choices import OFFERED
from router.console.page import Page
from router.console.visit import Visit
from router.language import N_, _

_WORDS: Final = {
    "language": N_("Language"),
    "theme": N_("Colours"),
    "density": N_("Density"),
    "keys": N_("Keys"),
}


def show(visit: Visit) -> Response:
    """The form, with what holds now."""
    kept = visit.tools.store.choices(visit.person.id)
    fields = [
        (name, _(_WORDS[name]), [(value, _(word)) for value, word in offered.items()], kept.get(name, ""))
        for name, offered in OFFERED.items()
    ]
    return visit.page("choices.html", fields=fields)


def choose(visit: Visit) -> Response:
    """Keep what is offered; leave out anything else."""
    chosen = {
        name: visit.field(name)
        for name, offered in OFFERED.items()
        if name in visit.form and visit.field(name) in offered
    }
    visit.tools.store.choose(visit.person.id, chosen)
    return visit.see_other("/choices")


PAGES: Final = (Page(name="choices", path="/choices", title=N_("Language, colours, keys"), show=show, act=choose),)
