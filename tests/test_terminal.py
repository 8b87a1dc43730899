"""Tables on a terminal: every width shows every word whole."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from router.terminal.rows import Rows

ROOT = Path(__file__).resolve().parents[1]
NAME, ID = "service-de-biologie-medicale", "0f8a1b2c3d4e5f60718293a4b5c6d7e8"
PROSE = "may read and act in three hospitals, until somebody takes it back"


def shown(rows: Rows, width: int) -> str:
    console = Console(file=StringIO(), width=width, highlight=False)
    rows.show(console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def made() -> Rows:
    rows = Rows("Name", "Id", "Rights", "Count", right=(3,))
    rows.add(NAME, ID, PROSE, "12")
    rows.add("[red]b[/]", "x", "", "3")
    return rows


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40, 20])
def test_no_word_is_broken_and_none_is_lost(width: int) -> None:
    """In a table, in blocks, and where one word is longer than the terminal."""
    page = shown(made(), width)
    words = page.split()
    for word in (NAME, ID, "12", "b", "x", "3", *PROSE.split()):
        assert word in words, (width, page)
    assert "[red]" not in page


def test_a_wide_table_has_one_line_a_row_and_a_narrow_one_a_block() -> None:
    """Blocks name each cell by its head, and leave out empty ones."""
    assert len(shown(made(), 200).splitlines()) == 3
    narrow = shown(made(), 60)
    assert re.search(rf"(?m)^Id +{ID} *$", narrow)
    assert narrow.count("Rights") == 1


def test_long_lines_fit_the_width() -> None:
    """A table is never wider than the terminal, as long as its words are not."""
    for width in (120, 80, 60):
        assert max(map(len, shown(made(), width).splitlines())) <= width


def test_control_characters_do_not_act() -> None:
    """Whoever wrote the cell."""
    rows = Rows("Name")
    rows.add("a\x1b[31mb")
    assert "\x1b" not in shown(rows, 80)


def test_every_table_of_the_commands_is_one_of_these() -> None:
    """A table of rich's own would break ids in the middle."""
    found = [
        f"{path.relative_to(ROOT)}"
        for room in ("cli", "demo")
        for path in (ROOT / "router" / room).rglob("*.py")
        if re.search(r"\bTable\(", path.read_text(encoding="utf-8"))
    ]
    assert found == []
