"""Documents of a feed that no pipeline takes, as far as the conditions of the pipelines show (`segur-router check`).

A document that no pipeline takes is a dead letter (`NO-PIPELINE`), so this is a warning, not a fault. The conditions
are tried on every combination of what they ask about. A condition that asks about anything else (`field(…)`, the
sending application, a title) may take any document, and its feed is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from math import prod
from typing import Any, Final

from router.cisis.valuesets import ValueSets, shipped
from router.config.expressions import SPECIMEN, Expression
from router.config.pipeline import PipelineFile
from router.config.site_models import FeedConfig
from router.language import filled

MOST: Final = 20_000
"""Combinations that are tried; conditions that need more are not judged."""
_TYPES: Final = ("ORU^R01", "MDM^T02", "MDM^T10", "MDM^T04")
_YES_NO: Final = (True, False)
#: What a document of a documents feed may be, by the name that a condition uses.
_RANGES: Final[Mapping[str, tuple[Any, ...]]] = {
    "message.type": _TYPES,
    "message.event": tuple(one.partition("^")[2] for one in _TYPES),
    "document.level": (1, 3),
    "document.confidentiality": ("N", "R", "V"),
    "request.action": ("initial", "replace", "delete"),
    "request.dialect": ("1.2", "2.0", "2.1"),
    **{f"request.{name}": _YES_NO for name, value in SPECIMEN["request"].items() if isinstance(value, bool)},
    "request.recipients": (0, 1, 2),
}


def unmatched(
    feeds: Mapping[str, FeedConfig], files: Iterable[PipelineFile], value_sets: ValueSets | None = None
) -> Iterator[str]:
    """One sentence for each documents feed of which a document may match no pipeline."""
    found = list(files)
    for name, feed in feeds.items():
        if feed.kind != "documents" or feed.unmatched == "ignore":
            continue
        conditions = [one.config.when for one in found if name in one.config.feeds]
        if not conditions:
            yield filled("feed {name}: no pipeline reads it, every document becomes a dead letter", name=name)
        elif example := _example([one for one in conditions if one], value_sets or shipped(), all(conditions)):
            yield filled(
                "feed {name}: no pipeline takes a document with {example}: it becomes a dead letter",
                name=name,
                example=example,
            )


def _example(conditions: list[str], value_sets: ValueSets, every_one_has_a_condition: bool) -> str:
    """A document that none of these takes, as the conditions name it; "" when there is none, or nobody can tell."""
    if not every_one_has_a_condition:
        return ""
    programs = [Expression(text) for text in conditions]
    asked = list(dict.fromkeys(name for program in programs for name in program.names))
    known = value_sets.sets.get("JDV_J07")
    ranges = {**_RANGES, "document.type": tuple(known.by_code) if known else ()}
    if not all(ranges.get(name) for name in asked) or prod(len(ranges[name]) for name in asked) > MOST:
        return ""
    for chosen in product(*(ranges[one] for one in asked)):
        given = dict(zip(asked, chosen, strict=True))
        if not any(program.on(_values(given)) for program in programs):
            return ", ".join(f"{name} = {_shown(value)}" for name, value in given.items())
    return ""


def _values(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    made = {owner: dict(members) for owner, members in SPECIMEN.items()}
    for name, value in given.items():
        owner, _, member = name.partition(".")
        made[owner][member] = value
    return made


def _shown(value: Any) -> str:
    """As CEL writes it."""
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
