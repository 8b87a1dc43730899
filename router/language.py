"""The language of what operators read: French, or English when they choose it.

Texts stand in the code in French (rules, what became of a document) or in English (configuration, bus, database). A
catalogue of each language (gettext, `locale/<language>/LC_MESSAGES/segur-router.po`) holds what the code writes in the
other one. Programs and developers get the text of the code as it is: JSON, stored rows, acknowledgements to senders.

A text with values is a template with named fields. `filled` gives the text that is stored; `translated` finds the
template again, because a field's form is known and no two templates give the same text (a test says so).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations, translation
from pathlib import Path
from string import Formatter
from typing import Final


def N_(text: str) -> str:
    """Marks a text of a table, which is translated where it is shown."""
    return text


DOMAIN: Final = "segur-router"
LANGUAGES: Final = ("fr", "en")
DEFAULT: Final = "fr"
VARIABLE: Final = "SEGUR_LANG"
FOLDER: Final = Path(__file__).parent / "locale"
TEMPLATE: Final = "template"
"""Context in the catalogues (`msgctxt`) of the texts that `filled` and the table of rules give values to."""

AS_WRITTEN: Final = ""
"""In place of a language: every text as the code writes it."""

_NUMBER: Final = r"-?\d+(?:[.,]\d+)?"
_WORD: Final = r"\S+"
#: Name of a field -> the form of its value. A field of another name holds any text.
_FORMS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        [
            "bytes",
            "column",
            "count",
            "days",
            "field",
            "least",
            "limit",
            "line",
            "longest",
            "megabytes",
            "most",
            "n",
            "number",
            "octets",
            "offset",
            "planned",
            "port",
            "present",
            "seconds",
            "waiting",
            "wanted",
        ],
        _NUMBER,
    ),
    **dict.fromkeys(
        ["code", "day", "error", "finess", "kind", "place", "segment", "sink", "status", "time", "topic"], _WORD
    ),
}
#: Fields that hold texts of the code themselves: translated too, one by one when several are joined.
_TEXTS: Final = frozenset({"reason", "text", "texts", "what"})
_JOINTS: Final = (" ; ", ", ")
_CODED: Final = re.compile(r"([A-Z][A-Z0-9-]*): (.+)", re.DOTALL)
"""A warning: its rule before its sentence."""
#: Reasons of the operating system (`OSError.strerror`) that our sentences quote: it gives them in English.
SYSTEM: Final = (
    N_("Address already in use"),
    N_("Cannot assign requested address"),
    N_("Connection refused"),
    N_("Connection reset by peer"),
    N_("Connection timed out"),
    N_("Device or resource busy"),
    N_("Disk quota exceeded"),
    N_("File exists"),
    N_("File name too long"),
    N_("Input/output error"),
    N_("Is a directory"),
    N_("No route to host"),
    N_("No space left on device"),
    N_("No such file or directory"),
    N_("Not a directory"),
    N_("Operation not permitted"),
    N_("Permission denied"),
    N_("Read-only file system"),
    N_("Too many open files"),
)
_SPEAKING: Final[ContextVar[str | None]] = ContextVar("language", default=None)


def language() -> str:
    """`fr` or `en`: of `in_language`, else of `SEGUR_LANG`, else English when the machine's locale is, else French."""
    chosen = _SPEAKING.get()
    if chosen is not None:
        return chosen
    named = os.environ.get(VARIABLE, "")[:2].lower()
    if named in LANGUAGES:
        return named
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "en" if locale.lower().startswith("en") else DEFAULT


@contextmanager
def in_language(chosen: str) -> Iterator[None]:
    """In this block, and what it calls, texts are in that language; `AS_WRITTEN` for those of the code."""
    before = _SPEAKING.set(chosen)
    try:
        yield
    finally:
        _SPEAKING.reset(before)


def choose(chosen: str) -> None:
    """The language of this process from now on: what a person asked for on the command line."""
    _SPEAKING.set(chosen)


def T_(text: str) -> str:
    """Marks a template of a table: its fields get their values by `format`, where the text is made."""
    return text


def _(text: str, /, **fields: object) -> str:
    """A text for a screen, in the language of this process, with its values."""
    shown = _catalogue(language()).gettext(text) if text else ""
    return shown.format(**fields) if fields else shown


def plural(one: str, many: str, count: int, /, **fields: object) -> str:
    """The same for a number of things; `{count}` is among the fields."""
    return _catalogue(language()).ngettext(one, many, count).format(count=count, **fields)


def filled(template: str, /, **fields: object) -> str:
    """A text of a fault, a finding or a decision, with its values, as it is stored and as senders get it."""
    return template.format(**fields)


def filled_plural(one: str, many: str, count: float, /, **fields: object) -> str:
    """`filled` for a number of things: the template `one` for 1, else `many`; `{count}` is among the fields."""
    shown = int(count) if count == int(count) else f"{count:g}"
    return filled(one if count == 1 else many, count=shown, **fields)


def translated(text: str, into: str | None = None) -> str:
    """A finished text of the code in another language; a text that is none of ours comes back as it is.

    into: the language; default: that of this process
    """
    chosen = language() if into is None else into
    if not text or chosen == AS_WRITTEN:
        return text
    if "\n" in text:
        return "\n".join(translated(line, chosen) for line in text.split("\n"))
    if (found := _exact(text, chosen)) is not None:
        return found
    if match := _CODED.fullmatch(text):
        return f"{match[1]}: {translated(match[2], chosen)}"
    for template in _templates(chosen):
        if match := template.form.fullmatch(text):
            fields = {
                name: _inner(value, chosen) if name in _TEXTS else value for name, value in match.groupdict().items()
            }
            return template.shown.format(**fields)
    return " ; ".join(translated(part, chosen) for part in text.split(" ; ")) if " ; " in text else text


def translated_head(text: str, into: str | None = None) -> str:
    """A text of ours that somebody's own words follow: the longest beginning that is one, then what is left."""
    chosen = language() if into is None else into
    for end in [len(text), *(place.start() for place in reversed(list(re.finditer(" ", text))))]:
        head, rest = text[:end], text[end:].removeprefix(" ")
        if (found := _exact(head, chosen)) is not None:
            return f"{found} {translated(rest, chosen)}".strip()
    return translated(text, chosen)


# ------------------------------------------------------------------------------------------------ internals


class _Template:
    """One template: the form of the texts that it gives, and what stands for it in a language."""

    def __init__(self, written: str, shown: str) -> None:
        self.shown = shown
        parts, seen = [], set[str]()
        self.letters = 0
        for literal, name, _spec, _conversion in Formatter().parse(written):
            parts.append(re.escape(literal))
            self.letters += len(literal)
            if name:
                parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_FORMS.get(name, '.+?')})")
                seen.add(name)
        self.form = re.compile("".join(parts), re.DOTALL)


def _exact(text: str, chosen: str) -> str | None:
    found = _catalogue(chosen).gettext(text)
    return found if found != text else None


def _inner(value: str, chosen: str) -> str:
    whole = translated(value, chosen)
    if whole != value:
        return whole
    for joint in _JOINTS:
        if joint in value:
            return joint.join(translated_head(part, chosen) for part in value.split(joint))
    return translated_head(value, chosen)


@cache
def _catalogue(chosen: str) -> NullTranslations:
    return translation(DOMAIN, FOLDER, [chosen]) if chosen != AS_WRITTEN else NullTranslations()


@cache
def _templates(chosen: str) -> tuple[_Template, ...]:
    """Those with most letters of their own first: what is more special wins."""
    catalogue = _catalogue(chosen)
    entries: Mapping[object, str] = catalogue._catalog if isinstance(catalogue, GNUTranslations) else {}  # type: ignore[attr-defined]
    head = f"{TEMPLATE}\x04"
    made = [_Template(str(key).removeprefix(head), text) for key, text in entries.items() if str(key).startswith(head)]
    return tuple(sorted(made, key=lambda template: -template.letters))
