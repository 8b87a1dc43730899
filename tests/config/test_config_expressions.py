"""Conditions of pipeline files."""

from __future__ import annotations

import pytest

from router.config.expressions import Expression, ExpressionFault
from router.exchange import Event, Exchange


class _Message:
    """Just enough of a message for a condition: a table of fields."""

    def __init__(self, **fields: str) -> None:
        self._fields = {name.replace("_", "-", 1).replace("_", "."): value for name, value in fields.items()}

    def text(self, path: str) -> str:
        return self._fields.get(path, "")


def _exchange(**fields: str) -> Exchange:
    return Exchange(Event("id", "sil", "key", b""), message=_Message(**fields))


def test_a_condition_reads_the_message() -> None:
    """The type of a message decides."""
    condition = Expression('message.type == "ORU^R01"')
    assert condition(_exchange(MSH_9_1="ORU", MSH_9_2="R01"))
    assert not condition(_exchange(MSH_9_1="MDM", MSH_9_2="T02"))


def test_any_field_can_be_read() -> None:
    """`field` gives what no variable names."""
    assert Expression('field("PV1-2") == "I"')(_exchange(**{"PV1_2": "I"}))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("message.typ == 'x'", "message has no 'typ'"),
        ("message.typ == 'x' || true", "message has no 'typ'"),
        ("foo == 1", "unknown name 'foo'"),
        ("request.recipients", "must be true or false"),
        ("request.dmp &&", "the expression ends too early"),
        ("document.level > 'a'", "compares a number with a text"),
    ],
)
def test_a_wrong_condition_says_why(source: str, why: str) -> None:
    """`check` finds a wrong name, a wrong type and a wrong syntax before any message does."""
    with pytest.raises(ExpressionFault) as caught:
        Expression(source)
    assert why in str(caught.value)


def test_a_text_that_looks_like_a_name_is_a_text() -> None:
    """Names inside quotes are not checked."""
    Expression('message.control_id == "message.nothing"')
