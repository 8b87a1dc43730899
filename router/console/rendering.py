"""Templates of the console: every value is made printable and escaped; a name that no one gave is a fault."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from router.console import assets, times, words
from router.console.page import Key, menu
from router.language import N_, _, plural, translated
from router.printable import printable, printable_lines

if TYPE_CHECKING:
    from router.console.visit import Visit

TEMPLATES: Final = Path(__file__).parent / "templates"
#: Keys that every page has; a page's own come before them.
KEYS: Final = (
    Key("/", N_("go to the search box"), "#box"),
    Key("?", N_("show or hide the keys of this page")),
    Key("Escape", N_("close, or leave a field")),
)


def rendered(visit: Visit, template: str, values: Mapping[str, Any]) -> str:
    """A whole page. The language is that of the calling context (`in_language`)."""
    return _environment().get_template(template).render(**_frame(visit), **values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.globals |= {"_": _, "plural": plural, "status": words.status, "asset": assets.address, "age": times.age}
    made.filters |= {
        "translated": lambda text: translated(text or ""),
        "lines": _lines,
        "moment": times.moment,
        "iso": times.iso,
        "clock": times.clock_of,
        "day": times.day_of,
        "query": _query,
    }
    return made


def _shown(value: Any) -> Any:
    """What stands on a page: no control character acts, and None is a fault of the template's author, never a word."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return "" if value is None else value


def _lines(text: str) -> Markup:
    """A text of several lines for a `pre`: its line feeds stay."""
    return escape(printable_lines(text))


def _query(values: Mapping[str, str], **changes: str | None) -> str:
    """`?a=b` of these parameters with some changed, or left out (None); empty ones are left out; "" for none."""
    merged = {**values, **changes}
    kept = {name: value for name, value in merged.items() if value}
    return f"?{urlencode(kept)}" if kept else ""


def _frame(visit: Visit) -> dict[str, Any]:
    """What the frame needs on each page."""
    page, now = visit.page_asked, visit.tools.clock.now()
    known = visit.tools.watch.known()
    return {
        "visit": visit,
        "page": page,
        "person": visit.person_or_none,
        "menu": menu() if visit.person_or_none else (),
        "keys": (*page.keys, *KEYS),
        "choices": visit.choices,
        "token": visit.token,
        "nonce": visit.request.state.nonce,
        "site_name": visit.tools.services.config.environment,
        "structure_name": structure_name(visit),
        "alerts": len(words.attention(visit, known)) if known and visit.person_or_none else 0,
        "now": now,
        "idle_seconds": visit.tools.idle_seconds,
        "elapsed": lambda: time.perf_counter() - visit.began,
    }


def structure_name(visit: Visit) -> str:
    """The structure's name when the person sees one alone; how many otherwise."""
    if visit.person_or_none is None:
        return ""
    config, seen = visit.tools.services.config, visit.structures
    mine = [number for number in config.structures if seen is None or number in seen]
    if len(mine) == 1:
        return config.structures[mine[0]].name
    return plural("{count} structure", "{count} structures", len(mine))
