"""A sender's text where people see it: terminal, log, page, spreadsheet, file name. All that shows one comes here.

Names and identifiers of a message may hold what a terminal obeys (C0, C1), what turns a line around (bidirectional
controls), what nobody sees (zero width), or what a spreadsheet computes. It is shown as `\\x1b` or `\\u202e`, never
obeyed and never left out: two identifiers that differ look different.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any, Final

#: C0 and C1, DEL, soft hyphen, zero width and bidirectional controls, line and paragraph separators, invisible
#: operators, variation selectors, surrogates, byte order mark, interlinear marks, tags (Unicode Cc, Cf, Zl, Zp, Cs).
CONTROLS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ud800-\udfff\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_LINES: Final = re.compile(CONTROLS.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f", 1))
_MARKUP: Final = re.compile("[&<>\"']")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_UNSAFE_IN_NAMES: Final = re.compile(r'[/\\:*?"<>|]')
_DEVICES: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_LONGEST_NAME: Final = 200


def printable(text: str) -> str:
    """The text on one line: a control character is shown by its code."""
    return text if text.isascii() and text.isprintable() else CONTROLS.sub(_shown, text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines: line feeds and tabs stay, and each end of a line is a line feed."""
    return _LINES.sub(_shown, text.replace("\r\n", "\n").replace("\r", "\n"))


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """JSON that a terminal shows as it is and a program reads as it was: what is not printable is escaped."""
    dumped = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return _LINES.sub(_escaped, dumped)


def printable_html(text: str) -> str:
    """The text inside an element or a quoted attribute of a page."""
    shown = printable(text)
    return html.escape(shown, quote=True) if _MARKUP.search(shown) is not None else shown


def printable_cell(text: str) -> str:
    """The text as one cell of a CSV that a person opens: one that a spreadsheet would compute gets an apostrophe."""
    shown = printable(text)
    return f"'{shown}" if text.lstrip(" ").startswith(_FORMULA) else shown


def printable_name(text: str) -> str:
    """The text as one part of a file name on any system; '' when nothing is left of it."""
    name = _UNSAFE_IN_NAMES.sub("_", CONTROLS.sub("_", text)).strip(" .")
    return (f"_{name}" if _DEVICES.match(name) else name)[:_LONGEST_NAME].rstrip(" .")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else json.dumps(found[0])[1:-1]


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
