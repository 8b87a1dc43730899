"""Which structure each feed may speak for, and which sink speaks for each structure (decisions D11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from router.errors import Problem

if TYPE_CHECKING:
    from router.config.load import Source
    from router.config.site import SiteConfig


def speaking(source: Source, site: SiteConfig) -> Iterator[Problem]:
    """What would let a message leave in the name of another structure, or of none."""
    for name, feed in site.feeds.items():
        for rank, finess in enumerate(feed.rules.structures):
            if finess not in site.structures:
                yield source.problem(["feeds", name, "rules", "structures", rank], f"{finess} is not in `structures`")
        if feed.kind == "documents" and len(site.structures) > 1 and not feed.rules.structures:
            text = "speaks for no structure: the site has several"
            yield source.problem(["feeds", name], text, "name them in `rules.structures`")
        if feed.rules.facilities:
            text = "is for the whole site"
            yield source.problem(["feeds", name, "rules", "facilities"], text, "write `facilities` beside `structures`")
    for facility, finess in site.facilities.items():
        if finess not in site.structures:
            yield source.problem(["facilities", facility], f"{finess} is not in `structures`")
    yield from _sinks(source, site)


def _sinks(source: Source, site: SiteConfig) -> Iterator[Problem]:
    """Two structures that feed the DMP through one sink: its certificates are one structure's."""
    first: dict[str, str] = {}
    for finess, structure in site.structures.items():
        other = first.setdefault(structure.dmp, finess) if structure.dmp else finess
        if other != finess:
            text = f"{structure.dmp} is already that of {other}: a DMP sink speaks for one structure"
            yield source.problem(["structures", finess, "dmp"], text, "give each its own sink and certificates")
