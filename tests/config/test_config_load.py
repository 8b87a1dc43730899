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
