"""One function shows a sender's text to people: nothing of it is obeyed, and nothing of it is lost."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.printable import (
    CONTROLS,
    printable,
    printable_cell,
    printable_html,
    printable_json,
    printable_lines,
    printable_name,
)

texts = st.text(st.characters(codec=None), max_size=40)


@given(texts)
def test_no_control_character_is_left(text: str) -> None:
    """Of any category that a terminal obeys or nobody sees; a line stays one line."""
    shown = printable(text)
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Zl", "Zp", "Cs"}
    assert not CONTROLS.search(shown) and len(shown.splitlines()) <= 1
    assert not CONTROLS.search(printable_lines(text).replace("\n", "").replace("\t", ""))


@given(texts)
def test_a_program_reads_what_was_written(text: str) -> None:
    """JSON is escaped in JSON's own way: the value comes back whole."""
    dumped = printable_json({"a": text})
    assert json.loads(dumped) == {"a": text}
    assert not CONTROLS.search(dumped)


@given(texts)
def test_a_cell_is_a_text(text: str) -> None:
    """No spreadsheet computes it; the file's reader finds one cell."""
    cell = printable_cell(text)
    assert cell.lstrip(" ")[:1] not in ("=", "+", "-", "@")
    buffer = io.StringIO()
    csv.writer(buffer).writerow([cell, "b"])
    assert next(csv.reader(io.StringIO(buffer.getvalue()))) == [cell, "b"]


@given(texts)
def test_a_page_shows_a_text(text: str) -> None:
    shown = printable_html(text)
    assert not set(shown) & set("<>\"'") and not CONTROLS.search(shown)


@given(texts)
def test_a_name_is_one_part_of_a_path(text: str) -> None:
    """Neither a folder, nor a device, nor hidden by dots."""
    name = printable_name(text)
    assert not set(name) & set('/\\:*?"<>|') and not CONTROLS.search(name)
    assert name not in (".", "..") and len(name) <= 200


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hôpital A – Biologie", "Hôpital A – Biologie"),
        ("\x1b[31mrouge", r"\x1b[31mrouge"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("ligne\nFaux", r"ligne\x0aFaux"),
        ("\udc9b", r"\udc9b"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_devices_and_dots() -> None:
    assert (printable_name("con.txt"), printable_name("..."), printable_name("../a")) == ("_con.txt", "", "_a")
