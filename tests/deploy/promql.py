"""What a PromQL expression names: its selectors with their labels, and the labels that it groups or joins by.

Prometheus itself parses the expressions (promtool, and the server in the integration test); this only reads names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from router.measures import MEASURES, OTHER, PREFIX, Measure

TARGET = frozenset({"job", "instance", "role"})
"""Labels that the scrape adds."""
_SELECTOR = re.compile(r"\b((?:segur[_:][\w:]*|up\b))\s*(\{[^}]*\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector: the metric, and (label, operator, value) of each matcher."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> Iterator[Selector]:
    """Every selector of our metrics, of our recording rules, and of `up`."""
    for name, matchers in _SELECTOR.findall(_GROUPING.sub(" ", expression)):
        yield Selector(name, tuple(_MATCHER.findall(matchers or "")))


def grouped(expression: str) -> set[str]:
    """Labels of `by`, `on` and their like."""
    return {label.strip() for some in _GROUPING.findall(expression) for label in some.split(",") if label.strip()}


def measure(metric: str) -> Measure | None:
    """The measure behind a name in Prometheus; None when there is none."""
    bare = metric.removeprefix(PREFIX)
    names = [bare, *(bare.removesuffix(suffix) for suffix in _SUFFIXES if bare.endswith(suffix))]
    for name, declared in MEASURES.items():
        if name in names and (name == bare) is (declared.kind != "histogram"):
            return name
    return None


def problems(expression: str, recorded: dict[str, set[str]]) -> list[str]:
    """What the expression names and no router has. `recorded`: recording rule -> its labels."""
    found: list[str] = []
    known = set(TARGET)
    for selector in selectors(expression):
        if selector.metric == "up":
            continue
        if selector.metric in recorded:
            labels = recorded[selector.metric]
        elif (name := measure(selector.metric)) is not None:
            labels = {*MEASURES[name].labels, *TARGET} | ({"le"} if selector.metric.endswith("_bucket") else set())
            found += _wrong_words(selector, name)
        else:
            found.append(f"no metric {selector.metric}")
            continue
        known |= labels
        found += [f"{selector.metric} has no label {one}" for one, _, _ in selector.matchers if one not in labels]
    return found + [f"no metric here has the label {one}" for one in sorted(grouped(expression) - known)]


def _wrong_words(selector: Selector, name: Measure) -> Iterator[str]:
    for label, operator, value in selector.matchers:
        words = MEASURES[name].words.get(label)
        if words and operator in ("=", "!=") and value not in (*words, OTHER):
            yield f"{selector.metric}: {label} is never {value}"
