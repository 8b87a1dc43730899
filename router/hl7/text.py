"""Escapes and character sets of values (HL7 v2.5 §2.7; hl7-input §7.4). Each function does its work once.

A value that went through `escape` holds no separator and no control character: it can't break out of the
field where it is put.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

from router.errors import Invalid
from router.hl7.header import DEFAULT, Separators

#: Escape letters of the separators, in the order of `Separators.texts`. `\P\` exists since v2.7.
_LETTERS: Final = "FSRETP"
#: What typographers write and 8859/15 lacks. Only for texts of ours, never for a value of the sender's.
_NEAREST: Final = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u202f": " "})
BLANKS: Final = " \t\r\n\u00a0\u202f"
"""What is trimmed around a component; NBSP is met in real messages (hl7-input §1.7)."""


@lru_cache(maxsize=64)
def _pattern(mark: str) -> re.Pattern[str]:
    """Known escapes only, so that a lone escape character keeps its neighbours intact. `\\X` runs are one match."""
    e = re.escape(mark)
    return re.compile(
        rf"(?P<hex>(?:{e}X(?:[0-9A-Fa-f]{{2}})+{e})+)|{e}(?:(?P<letter>[FSRETP])|(?P<line>\.br|\.sp\d*)|(?P<mark>[HN]))"
        rf"{e}"
    )


@lru_cache(maxsize=64)
def _letters(separators: Separators, codec: str) -> tuple[str, Mapping[str, str]]:
    texts = separators.texts(codec)
    return texts[3], dict(zip(_LETTERS, texts, strict=True))


def unescape(text: str, separators: Separators = DEFAULT, codec: str = "utf-8") -> str:
    """Decode every escape of a component's text, once. Unknown ones (`\\Z…\\`, `\\C…\\`) stay as they are.

    `\\X…\\` bytes are in the message's character set; bytes that are not become U+FFFD.
    """
    mark, letters = _letters(separators, codec)
    if not mark or mark not in text:
        return text

    def decode(found: re.Match[str]) -> str:
        if run := found["hex"]:
            return bytes.fromhex(run.replace(mark + "X", "").replace(mark, "")).decode(codec, "replace")
        if letter := found["letter"]:
            return letters[letter] or (found.group() if letter == "P" else "")
        return "\n" if found["line"] else ""

    return _pattern(mark).sub(decode, text)


@lru_cache(maxsize=64)
def _escapes(separators: Separators, codec: str) -> tuple[dict[int, str], re.Pattern[str]]:
    """Character -> escape. Without a declared escape character a separator can't be written: a blank stands for it."""
    mark, letters = _letters(separators, codec)
    table = {code: f"{mark}X{code:02X}{mark}" if mark else " " for code in (*range(0x20), 0x7F)}
    table |= {
        ord(character): f"{mark}{letter}{mark}" if mark else " " for letter, character in letters.items() if character
    }
    table[0x0A] = f"{mark}.br{mark}" if mark else " "
    return table, re.compile("[" + re.escape("".join(map(chr, table))) + "]")


def escape(value: str, separators: Separators = DEFAULT, codec: str = "utf-8") -> str:
    """Write a value so that `unescape` gives it back and nothing in it is taken for structure."""
    table, special = _escapes(separators, codec)
    return value.translate(table) if special.search(value) else value


def encode(value: str, codec: str = "utf-8", *, unknown: Literal["refuse", "nearest"] = "refuse") -> bytes:
    """Bytes of a text in the message's character set.

    A character that the set lacks: `refuse` raises `Invalid` (a value of the sender's is never altered);
    `nearest` is for our own sentences: the nearest character, else `?`.
    """
    try:
        return value.encode(codec)
    except UnicodeEncodeError as error:
        if unknown == "nearest":
            return value.translate(_NEAREST).encode(codec, "replace")
        raise Invalid("HL7-CHARSET", "MSH-18", "a character can't be written in the message's character set") from error
