"""Tables whose rows are complete: what HTML lets a browser guess, a PDF must be told (the table model of HTML)."""

from __future__ import annotations

from typing import Final

from router.cda.narrative import WIDEST, Node
from router.errors import Refused

_SAMPLE: Final = 200
"""Rows by which the widths of columns are chosen."""
_NARROW, _WIDE = 5, 60
"""Characters: a column counts at least so many and at most so many."""
_LONGEST_WORD: Final = 28
_BREAK: Final = "\u200b"


def laid_out(node: Node) -> Node:
    """The same node, and all below it, with complete tables, and long words that may break.

    Raises `Refused` `PDF-TABLE` for a table of more than `WIDEST` columns.
    """
    name, attributes, children = node
    inner: list[Node | str] = [_breakable(child) if isinstance(child, str) else laid_out(child) for child in children]
    if name != "table":
        return (name, attributes, inner)
    captions = [child for child in inner if not isinstance(child, str) and child[0] == "caption"]
    rows = [child for child in inner if not isinstance(child, str) and child[0] == "tr"]
    heads = int(attributes["head"])
    width = max(_columns(rows[:heads]), _columns(rows[heads:]))
    if width > WIDEST:
        raise Refused("PDF-TABLE", "", "tableau de trop de colonnes")
    full = [*_complete(rows[:heads], width), *_complete(rows[heads:], width)]
    return ("table", {"head": str(heads), "columns": str(width)}, [*captions, *full])


def widths(table: Node) -> list[float]:
    """Relative widths of the columns of a complete table, by the length of what stands in them."""
    columns = int(table[1]["columns"])
    longest = [float(_NARROW)] * columns
    rows = [child for child in table[2] if not isinstance(child, str) and child[0] == "tr"]
    for row in rows[:_SAMPLE]:
        if len(row[2]) != columns:  # cells that span columns say nothing of one
            continue
        for at, cell in enumerate(row[2]):
            longest[at] = max(longest[at], min(len(text_of(cell)), _WIDE))
    return [round(one**0.7, 2) for one in longest]


def text_of(node: Node | str) -> str:
    """All words of a node."""
    return node if isinstance(node, str) else "".join(map(text_of, node[2]))


def _columns(rows: list[Node]) -> int:
    """The columns in which a cell begins: the last one of a row may say that it spans more than there are."""
    taken: dict[int, int] = {}  # column -> rows, from this one on, that a cell above still covers
    most = 0
    for row in rows:
        at = 0
        for cell in row[2]:
            while at in taken:
                at += 1
            most = max(most, at + 1)
            columns, covered = _spans(cell)
            if covered > 1:
                taken |= dict.fromkeys(range(at, at + columns), covered)
            at += columns
        taken = {column: left - 1 for column, left in taken.items() if left > 1}
    return most


def _spans(cell: Node | str) -> tuple[int, int]:
    attributes = {} if isinstance(cell, str) else cell[1]
    return int(attributes.get("colspan", "1")), int(attributes.get("rowspan", "1"))


def _complete(rows: list[Node], width: int) -> list[Node]:
    """Rows in which every place is taken once: spans that meet another cell or the end are cut, gaps are filled."""
    taken = [0] * width  # rows, from this one on, that a cell above still covers in this column
    made: list[Node] = []
    for number, row in enumerate(rows):
        cells = [cell for cell in row[2] if not isinstance(cell, str)]
        if not any(taken) and len(cells) == width and all(not cell[1] for cell in cells):
            made.append(row)
            continue
        made.append(("tr", {}, list(_row(cells, taken, len(rows) - number))))
        taken = [max(left - 1, 0) for left in taken]
    return made


def _row(cells: list[Node], taken: list[int], left: int) -> list[Node]:
    """One row; `taken` is changed to cover what its cells span, itself included. left: rows from this one on."""
    waiting = list(reversed(cells))
    placed: list[Node] = []
    at = 0
    while at < len(taken):
        if taken[at]:
            at += 1
            continue
        name, attributes, inner = waiting.pop() if waiting else ("td", {}, [])
        columns, rows = _spans((name, attributes, inner))
        free = next((end for end in range(at, len(taken)) if taken[end]), len(taken)) - at
        columns, rows = min(columns, free), min(rows, left)
        for column in range(at, at + columns):
            taken[column] = rows
        kept = {key: value for key, value in attributes.items() if key == "align"}
        spans = {key: str(value) for key, value in (("colspan", columns), ("rowspan", rows)) if value > 1}
        placed.append((name, kept | spans, inner))
        at += columns
    if waiting:  # cells pushed out by those that span rows: their words stay, in the last cell of the row
        words = " ".join(text_of(cell) for cell in reversed(waiting))
        if not placed:
            raise Refused("PDF-TABLE", "", "tableau dont les cellules se recouvrent")
        name, attributes, inner = placed[-1]
        placed[-1] = (name, attributes, [*inner, f" {words}"])
    return placed


def _breakable(text: str) -> str:
    """The text with places to break in words that no column could hold."""
    if len(text) <= _LONGEST_WORD or all(len(word) <= _LONGEST_WORD for word in text.split()):
        return text
    return " ".join(
        _BREAK.join(word[at : at + _LONGEST_WORD] for at in range(0, len(word), _LONGEST_WORD)) or ""
        for word in text.split(" ")
    )
