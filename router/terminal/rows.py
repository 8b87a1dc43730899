"""Tables on a terminal: no id and no name is broken in the middle, whatever the width, and nothing is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import ceil
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from router.printable import printable_lines

_GAP: Final = 2
_MOST_LINES: Final = 6
"""Lines of a cell in a table; with more, the row is easier to read as a block."""


class Rows:
    """Rows under their heads. Where the words of a row do not stand beside one another, each row becomes a block:
    a line for each cell, behind its head. Print it with `show`.

    right: numbers of the columns that stand on the right;  style: of the heads
    """

    def __init__(self, *heads: str, right: Collection[int] = (), style: str = "bold") -> None:
        self._heads = [Text(printable_lines(head), style) for head in heads]
        self._right, self._rows = right, list[Sequence[Text]]()

    def add(self, *cells: str | Text) -> None:
        """A row; a text is rich's markup."""
        self._rows.append([_text(cell) for cell in cells])

    def show(self, console: Console) -> None:
        """A word that is longer than the terminal stays whole: the terminal breaks it, who copies it has it whole."""
        console.print(self, crop=False)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        if widths := self._widths(options.max_width):
            yield self._table(widths)
        else:
            yield from self._blocks(options.max_width)

    # -------------------------------------------------------------------------------------------- internals

    def _widths(self, width: int) -> list[int]:
        """Of the columns, each as wide as its longest word at least; none when they have no room."""
        columns = [[head, *cells] for head, *cells in zip(self._heads, *self._rows, strict=True)]
        found = [max(map(_longest_word, column)) for column in columns]
        wanted = [max(_line(line) for cell in column for line in cell.plain.split("\n")) for column in columns]
        spare = width - sum(found) - _GAP * (len(found) - 1)
        if spare < 0:
            return []
        while spare and found != wanted:
            narrow = max(range(len(found)), key=lambda at: wanted[at] / max(1, found[at]))
            found[narrow] += 1
            spare -= 1
        lines = (_height(cell, found[at]) for at, column in enumerate(columns) for cell in column)
        return found if max(lines, default=0) <= _MOST_LINES else []

    def _table(self, widths: Sequence[int]) -> Table:
        heads = any(head.plain for head in self._heads)
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=heads)
        for rank, (head, width) in enumerate(zip(self._heads, widths, strict=True)):
            table.add_column(head, width=width, justify="right" if rank in self._right else "left")
        for row in self._rows:
            table.add_row(*row)
        return table

    def _blocks(self, width: int) -> Iterator[RenderableType]:
        margin = max(cell_len(head.plain) for head in self._heads)
        margin += _GAP if margin else 0
        for rank, row in enumerate(self._rows):
            if rank:
                yield Text("")
            for head, cell in zip(self._heads, row, strict=True):
                if cell.plain.strip():
                    yield _beside(Text(head.plain, "dim"), margin, cell, width)


def _beside(head: Text, margin: int, cell: Text, width: int) -> RenderableType:
    room = width - margin
    if _longest_word(cell) > room:
        head.pad_right(margin - cell_len(head.plain))
        return Text.assemble(head, cell, no_wrap=True, overflow="ignore")
    grid = Table.grid()
    grid.add_column(width=margin)
    grid.add_column(width=room)
    grid.add_row(head, cell)
    return grid


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(printable_lines(cell), emoji=False)


def _longest_word(text: Text) -> int:
    return max(map(cell_len, text.plain.split()), default=0)


def _line(text: str) -> int:
    return cell_len(text.rstrip())


def _height(cell: Text, width: int) -> int:
    return sum(max(1, ceil(_line(line) / max(1, width))) for line in cell.plain.split("\n"))
