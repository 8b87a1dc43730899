"""Fictitious people of a hospital, and the groups that its directory puts them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class IdpPerson:
    """name: what she types;  shown: as her colleagues know her"""

    name: str
    shown: str
    groups: tuple[str, ...]
    password: str = field(default="demo", repr=False)


PEOPLE: Final = (
    IdpPerson("ida.regard", "Ida REGARD (lectrice)", ("pfi-lecture",)),
    IdpPerson("omar.geste", "Omar GESTE (exploitant)", ("pfi-exploitation",)),
    IdpPerson("ada.clef", "Ada CLEF (administratrice)", ("pfi-administration", "dsi")),
    IdpPerson("noe.dehors", "Noé DEHORS (sans droits)", ("restauration",)),
)
"""One for each role, and one who has none."""
