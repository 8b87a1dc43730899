"""Every problem of a file at once, with its place and what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from router.config.load import Source
from router.config.reading import Reading
from router.errors import ConfigFault, in_order
from router.strict import Strict
from router.structures import FINESS


class _A(Strict):
    type: Literal["a"]
    port: int


class _B(Strict):
    type: Literal["b"]
    host: str


class _File(Strict):
    name: str
    sinks: dict[str, Annotated[_A | _B, Field(discriminator="type")]] = Field(default_factory=dict)


class _Rest(_File):
    name: str = ""


def _problems(text: str) -> list[str]:
    """What is wrong with a file, in its order; a file that can't be read at all raises it."""
    try:
        reading = Reading[_File](Source(Path("site.yaml"), text), _File, _Rest)
    except ConfigFault as fault:
        return [str(problem) for problem in fault.problems]
    return [str(problem) for problem in in_order(reading.problems)]


def test_all_problems_are_reported_in_the_order_of_the_file() -> None:
    """One run of `check` is enough to correct a file."""
    assert _problems("nam: x\nsinks:\n  q: {type: a, prt: 3}\n  r:\n    type: c\n  z: {type: b, host: 5}\n") == [
        "site.yaml:1:1: nam: is not known here (did you mean `name`?)",
        "site.yaml:3:16: sinks.q.prt: is not known here (did you mean `port`?)",
        "site.yaml:4:3: sinks.r: has an unknown type (one of a, b)",
        "site.yaml:6:16: sinks.z.host: must be a text (write it in quotes)",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1", "site.yaml:1:4"), ("a: 1\na: 2\n", "site.yaml:2:1"), ("- x", "site.yaml:1:1"), ("", "site.yaml:1:1")],
)
def test_what_is_not_a_yaml_mapping_is_refused_at_its_place(text: str, place: str) -> None:
    """Broken YAML, a key written twice and a list each get a line and a column."""
    assert _problems(text)[0].startswith(place)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(ConfigFault, match="can't be read: No such file"):
        Source(tmp_path / "router.yaml")


BOMB = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10) if n else '1'}]\n" for n in range(9))
DEEP = "too much is within one another here"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (BOMB, "1:1", "too much stands here: what a * repeats counts each time"),
        (f"x: {'[' * 3000}{']' * 3000}", "1:1", DEEP),
        (f"x: {'[' * 100}{']' * 100}", "1:1", DEEP),
        ("".join(f"{' ' * n}a:\n" for n in range(400)), "1:1", DEEP),
        (
            'name: x\nsinks:\n  12: {type: a, port: 1}\n  "12": {type: a, port: 2}\n',
            "4:3",
            "this key stands here twice",
        ),
    ],
    ids=["aliases", "brackets", "lists", "mappings", "number and text"],
)
def test_a_file_that_is_never_read_to_its_end_is_refused(text: str, place: str, said: str) -> None:
    """Aliases of aliases, endless nesting, and two keys that are one when read as texts: a sentence, at once."""
    assert _problems(text) == [f"site.yaml:{place}: {said}"]


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """No more of it is read than a configuration may hold."""
    path = tmp_path / "router.yaml"
    path.write_text("#" * 1_000_001)
    with pytest.raises(ConfigFault, match="it is too long"):
        Source(path)


def test_digits_of_other_scripts_make_no_finess() -> None:
    """What looks like a number and is none is no FINESS: nothing that a message says would equal it."""
    assert FINESS.fullmatch("750100125") and FINESS.fullmatch("2A0100125")
    assert not FINESS.fullmatch("75010012\u0665")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: x\nfeed sil\nwhen: a\n", "2:1"),
        ("feed sil\nname: x\n", "1:1"),
        ("# head\n\nname: x\nsinks\n  dmp: {}\n", "4:1"),
        ("name: x\nsinks:\n  dmp:{}\n  hl7:\n", "3:3"),
        ("name: x\nexamples:\n  - name: un\n    message m.hl7\n\n    # a remark\n    expect: {}\n", "4:5"),
    ],
    ids=["line", "first", "of a block", "without blank", "in a list"],
)
def test_a_colon_that_is_missing_is_told_where_it_is_missing(text: str, place: str) -> None:
    """Not at the line behind it, where the reader of YAML gives up."""
    with pytest.raises(ConfigFault) as caught:
        Source(Path("site.yaml"), text)
    told = "a key without its colon, or without the blank behind it"
    assert str(caught.value.problems[0]) == f"site.yaml:{place}: {told}"


def test_a_line_that_is_indented_too_far_lacks_no_colon() -> None:
    """What stands before it is a key with its value."""
    with pytest.raises(ConfigFault) as caught:
        Source(Path("site.yaml"), "name: x\nfeed: sil\n  when: x\n")
    assert "3:7" in str(caught.value.problems[0]) and "indentation" in caught.value.problems[0].text
