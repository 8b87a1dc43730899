"""Templates of the console: every value is made printable and escaped; a name that no one gave is a fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from router.console import assets, times, words
from router.french_time import age
from router.journal.render import asked_of
from router.language import _, plural, translated
from router.printable import printable, printable_lines
from router.runtime.wording import place_of

TEMPLATES: Final = Path(__file__).parent / "templates"


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A whole page. The language is that of the calling context (`in_language`)."""
    return _environment().get_template(template).render(values)


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
    made.globals |= {
        "_": _,
        "plural": plural,
        "status": words.status,
        "place_of": place_of,
        "asset": assets.address,
        "age": age,
        "same_pairs": _same,
        "structure_of": _structure,
        "asked_of": asked_of,
        "translated_pairs": _pairs,
    }
    made.filters |= {
        "translated": lambda text: translated(text or ""),
        "lines": _lines,
        "moment": times.moment,
        "iso": times.iso,
        "clock": times.clock_of,
        "day": times.day_of,
        "query": query_string,
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


def _structure(visit: Any, number: str) -> str:
    """The name of a structure, and its FINESS."""
    known = visit.tools.services.config.structures.get(number)
    return f"{known.name} ({number})" if known is not None else number


def _same(names: Iterable[str]) -> list[tuple[str, str]]:
    """Options of a `select` that are called as they are."""
    return [(name, name) for name in names]


def _pairs(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Options of a `select`: value and its marked text."""
    return [(name, _(word)) for name, word in words.items()]


def query_string(values: Mapping[str, str], **changes: str | None) -> str:
    """`?a=b` of these parameters with some changed, or left out (None); empty ones are left out; "" for none."""
    merged = {**values, **changes}
    kept = {name: value for name, value in merged.items() if value}
    return f"?{urlencode(kept)}" if kept else ""
