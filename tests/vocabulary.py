"""Words that stand in one language only, as the catalogues know them: what a screen of the other one may not show."""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import messages

OTHER: Final = {"fr": "en", "en": "fr"}
_WORD: Final = re.compile(r"(?<![\w.@/-])[A-Za-zÀ-ÿ]{3,}(?![\w@/.-]*[\w@/-])")
_CODE: Final = re.compile(r"`[^`]*`|\{[^}]*\}|\S*[/_=@]\S*")
_QUIET: Final = frozenset({"code", "pre", "kbd", "script", "style", "input", "textarea"})
_SPOKEN: Final = ("aria-label", "title", "placeholder", "data-label", "alt")


@cache
def foreign_texts(language: str) -> frozenset[str]:
    """Texts of the code that the catalogue of this language gives other words for."""
    catalogue = messages.catalogue(language)
    return frozenset(
        one.one
        for one in messages.found()[0]
        if not one.many and "{" not in one.one and messages.translation(one, catalogue) not in ("", one.one)
    )


@cache
def foreign_words(language: str) -> frozenset[str]:
    """Words of the texts of the other language that stand in no text of this one."""
    own, other = set[str](), set[str]()
    catalogues = {one: messages.catalogue(one) for one in messages.LANGUAGES}
    for text in messages.found()[0]:
        for one, catalogue in catalogues.items():
            if told := messages.translation(text, catalogue):
                theirs = " ".join([told] if isinstance(told, str) else told)
                (own if one == language else other).update(_words(theirs))
                (other if one == language else own).update(_words(f"{text.one} {text.many}"))
    return frozenset(other - own)


def strangers(shown: str, language: str) -> set[str]:
    """Words of the other language in a text of a screen."""
    return _words(shown) & foreign_words(language)


def _words(text: str) -> set[str]:
    return {one.lower() for one in _WORD.findall(_CODE.sub(" ", text))}


class Spoken(HTMLParser):
    """What a page says to people: texts and attributes, without code, identifiers and parts of another language."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._language = language
        self._silent: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("br", "input", "meta", "link", "img", "hr"):
            self._attributes(given)
            return
        self._open.append(tag)
        other = given.get("lang") not in (None, self._language)
        quiet = tag in _QUIET or other or "id" in (given.get("class") or "").split()
        if self._silent or quiet:
            self._silent.append(tag)
        else:
            self._attributes(given)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            closed = self._open.pop()
            if self._silent:
                self._silent.pop()
            if closed == tag:
                break

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.texts.append(" ".join(data.split()))

    def _attributes(self, given: dict[str, str | None]) -> None:
        if not self._silent:
            self.texts += [" ".join(text.split()) for name in _SPOKEN if (text := given.get(name))]
