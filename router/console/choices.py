"""How a person likes the pages: language, theme, density, keys. Kept on the server, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.language import DEFAULT, LANGUAGES, N_

#: Name of a choice -> its values, the default first, each with its words.
OFFERED: Final[Mapping[str, Mapping[str, str]]] = {
    "language": {"": N_("as the browser says"), "fr": "Français", "en": "English"},
    "theme": {"": N_("as the system says"), "light": N_("light"), "dark": N_("dark")},
    "density": {"": N_("dense"), "airy": N_("airy")},
    "keys": {"": N_("single letters act"), "off": N_("no single letters")},
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen; "" where nothing was. `language` is always one of `LANGUAGES`."""

    language: str = DEFAULT
    theme: str = ""
    density: str = ""
    keys: str = ""
    chosen: str = ""
    """The language that was chosen; "" when the browser's counts."""

    @classmethod
    def of(cls, kept: Mapping[str, str], accepted: str, default: str = DEFAULT) -> Choices:
        """accepted: `Accept-Language` of the browser;  default: language of the site"""
        known = {name: value for name, value in kept.items() if value in OFFERED.get(name, ())}
        chosen = known.get("language", "")
        return cls(
            language=chosen or preferred(accepted, default),
            theme=known.get("theme", ""),
            density=known.get("density", ""),
            keys=known.get("keys", ""),
            chosen=chosen,
        )


def preferred(accepted: str, default: str = DEFAULT) -> str:
    """The first language of `Accept-Language` that we have, by its weight; else the default."""
    weighed = []
    for rank, part in enumerate(accepted[:500].split(",")):
        name, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), rank, name[:2].lower()))
        except ValueError:
            continue
    return next((name for weight, _, name in sorted(weighed) if name in LANGUAGES and weight < 0), default)
