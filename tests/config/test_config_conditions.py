"""Conditions: all that is wrong with one at once, each with its column; what can never hold; what nothing takes."""

from __future__ import annotations

import cel
import pytest

from router.config.cel_tree import NotCel, parse
from router.config.conditions import errors, oddities
from router.config.expressions import Expression, ExpressionFault
from router.config.possible import Condition, left_out, never
from router.config.site_models import FeedConfig
from router.language import in_language, translated

DOCUMENTS, RELAY = FeedConfig(), FeedConfig(kind="relay")
#: Text -> (column, sentence) of each error.
WRONG: dict[str, list[tuple[int, str]]] = {
    "message.type = 'a'": [(14, "no condition: to compare write ==")],
    "message.type == 'a' and request.dmp": [(21, "no condition: for and write &&")],
    "message.type == 'a' & request.dmp": [(21, "no condition: for and write &&")],
    "not request.dmp": [(5, "no condition: for not write !")],
    "request.dmp ou request.mssante": [(13, "no condition: for or write ||")],
    "message.type == 'a": [(17, "no condition: a quotation mark is not closed")],
    "(request.dmp": [(13, "no condition: the expression ends too early")],
    "": [(1, "no condition: the expression ends too early")],
    "request.dmp)": [(12, "no condition: ')' can't stand here")],
    "message.tipe == 'a' || docment.level == 1": [(1, "message has no 'tipe'"), (24, "unknown name 'docment'")],
    "message.type == 5": [(14, "compares a text with a number: they are never equal")],
    "document.level == '3'": [(16, "compares a number with a text: they are never equal")],
    "request.dmp == 'Y' && document.level > 'a'": [
        (13, "compares true or false with a text: they are never equal"),
        (38, "compares a number with a text: they are never equal"),
    ],
    "document.type == 11502-2": [(15, "compares a text with a number: they are never equal")],
    "11502-2 != document.type": [(9, "compares a number with a text: they are never equal")],
    "document.type == -5": [(15, "compares a text with a number: they are never equal")],
    "document.type == 2 * (3 + 1)": [(15, "compares a text with a number: they are never equal")],
    "document.level == 'a' + 'b'": [(16, "compares a number with a text: they are never equal")],
    "document.type in ['18842-5', 11502-2]": [(35, "compares a text with a number: they are never equal")],
    "message.type in ['ORU^R01', 5]": [(29, "compares a text with a number: they are never equal")],
    "message.type in 'ORU^R01'": [(14, '`in` wants a list: `in ["A", "B"]`')],
    "request.dmp && message.type": [(16, "must be true or false, and it is a text")],
    "message.type": [(1, "must be true or false, and it is a text")],
    'field("PID3") == "x"': [(7, "not an HL7 address: 'PID3' (write it like PID-3[INS].1)")],
    "field(1) == 'x'": [(1, '`field` takes one address in quotes, such as `field("PID-8")`')],
    "document.level == \u0663": [(19, "no condition: '\u0663' can't stand here")],
    f"document.level == {'9' * 5000}": [(19, f"no condition: '{'9' * 60}' can't stand here")],
    "foo(1)": [(1, "unknown function 'foo'")],
    "1/0 == 1": [(1, "the expression can't be evaluated")],
}
#: Fields of a message as newcomers write them -> column, and what to write.
ADDRESSES: dict[str, list[tuple[int, str]]] = {
    'OBR-4.1 == "x"': [(1, 'field("OBR-4.1")')],
    'OBR.4.1 == "x"': [(1, 'field("OBR-4.1")')],
    'PID-3[INS].1 == "x" && message.OBX-5.1 != ""': [(1, 'field("PID-3[INS].1")'), (24, 'field("OBX-5.1")')],
    'obx[2]-5.5 == "x"': [(1, 'field("OBX[2]-5.5")')],
    'field(PID-8) == "F"': [(7, 'field("PID-8")')],
    '"PID-8" == "F"': [(1, 'field("PID-8")')],
    'message["PID-8"] == "F"': [(8, 'field("PID-8")')],
    'field("PID.8") == "F"': [(7, "PID-8")],
    'field("OBR-4-1") == "F"': [(7, "OBR-4.1")],
    'field("PID8") == "F"': [(7, "PID-8")],
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items(), ids=ADDRESSES)
def test_a_field_that_is_named_in_another_way_is_told_in_ours(text: str, expected: list[tuple[int, str]]) -> None:
    """The hint can be copied, and is then an expression."""
    with pytest.raises(ExpressionFault) as caught:
        Expression(text)
    assert [(one.column, one.hint) for one in caught.value.found] == [
        (column, f"write {right}") for column, right in expected
    ]
    with in_language("fr"):
        assert translated(caught.value.found[0].hint) == f"écrire {expected[0][1]}"


@pytest.mark.parametrize(
    "text", ["document.level -1 > 0 // PID-3", '"x PID-3" == message.type', 'message.type == "PID-3"']
)
def test_what_only_looks_like_a_field_is_left_alone(text: str) -> None:
    """A remark, a text, a subtraction."""
    Expression(text)


def test_a_code_without_its_quotes_is_told_with_them() -> None:
    """A LOINC code is read as a subtraction: the hint is the code, not its value."""
    with pytest.raises(ExpressionFault) as caught:
        Expression("document.type in ['18842-5', 11502-2]")
    assert [one.hint for one in caught.value.found] == ['write 11502-2 in quotes: "11502-2"']


MUCH, LONG = "no condition: too much is within one another here", "no condition: it is too long"
#: Conditions that would take too long, or all memory or stack -> column and sentence.
TOO_MUCH: dict[str, tuple[int, str]] = {
    f"{'(' * 2000}true{')' * 2000}": (21, MUCH),
    f"{'!' * 2000}true": (21, MUCH),
    f"{'!!!(' * 2000}true": (75, MUCH),
    f"{'[' * 2000}{']' * 2000} == 1": (21, MUCH),
    f"{'a.b(' * 2000}{')' * 2000}": (84, MUCH),
    f"request.dmp{' ? true : request.dmp' * 700}": (433, MUCH),
    " && ".join(["true"] * 1500): (10401, MUCH),
    "true &&" * 3000: (16001, LONG),
    f"{'[1, 2, 3, 4, 5, 6, 7, 8, 9].all(a, ' * 9}true{')' * 9}": (99, MUCH),
    f"['a']{'.map(x, x + x)' * 60} != []": (805, MUCH),
}
RIGHT = (
    'message.type == "ORU^R01"',
    'message.type.startsWith("ADT^") && !(message.event in ["A08"])',
    'document.level > 1 ? request.dmp : field("PV1-2") == "I"',
    'message.sending_app.matches("^SIL.*$") // a remark',
    "size(document.title) > 3 && request.recipients >= 1",
    '["a", "b"].exists(x, x == message.type)',
    " && ".join(['["a", "b"].exists(x, message.type.startsWith(x) || message.event == x)'] * 50),
    " || ".join(f'message.sending_app == "A{n}"' for n in range(190)),
    'r"a\\b" == message.type || """x""" == message.type',
    "-1 < document.level && 0x10 > document.level && 1.5 < 2.5",
    'message.type[0] == "A" || true',
    '{"a": 1}["a"] == 1',
)


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=lambda one: str(one)[:30])
def test_everything_that_is_wrong_is_told_with_its_column(text: str, expected: list[tuple[int, str]]) -> None:
    """One sentence a mistake, in words of ours, in both languages."""
    with pytest.raises(ExpressionFault) as caught:
        Expression(text)
    assert [(one.column, one.reason) for one in caught.value.found] == expected
    for one in caught.value.found:
        with in_language("fr"):
            assert translated(one.reason) != one.reason
            assert not one.hint or translated(one.hint) != one.hint


@pytest.mark.parametrize(("text", "expected"), TOO_MUCH.items(), ids=lambda one: str(one)[:30])
def test_a_condition_that_asks_too_much_is_refused_before_it_is_evaluated(text: str, expected: tuple[int, str]) -> None:
    """The library would work for ever, take all memory or end the process: such a condition never reaches it."""
    with pytest.raises(ExpressionFault) as caught:
        Expression(text)
    assert [(one.column, one.reason) for one in caught.value.found] == [expected]
    with in_language("fr"):
        assert translated(expected[1]) != expected[1]


@pytest.mark.parametrize("text", RIGHT)
def test_what_cel_takes_our_reading_takes(text: str) -> None:
    """Nothing that the library compiles is refused by us."""
    cel.compile(text)
    assert errors(text) == []
    parse(text)


@pytest.mark.parametrize("text", [*RIGHT, *WRONG])
def test_what_our_reading_refuses_cel_refuses(text: str) -> None:
    """A text that is no expression for us is none for the library."""
    try:
        parse(text)
    except NotCel:
        with pytest.raises(ValueError, match=r".*"):
            cel.compile(text)


ODD: dict[str, list[tuple[str, str]]] = {
    'message.type == "ORU^R99"': [("HL7 has no event R99", "warning")],
    'message.type == "ORV^R01"': [("HL7 has no message type ORV", "warning")],
    'message.type == "ORU"': [("has the form type^event, such as ORU^R01", "warning")],
    'message.type in ["ZAM^Z01", "ADT^Z99"]': [],
    'message.event != "R99"': [("HL7 has no event R99", "warning")],
    "document.level == 2": [("document.level never has this value", "warning")],
    'request.action == "delete" || request.action == "supprimer"': [("request.action never has this value", "warning")],
    'document.type == "11502-3"': [("document.type never has this value: it is no code of JDV_J07", "warning")],
    'document.type in ["11502-2"] && document.confidentiality == "N"': [],
    'field("PVX-3.1") == "x"': [("HL7 has no segment PVX", "error")],
    'field("PID-3") == "x" && field("ZFA-99") == "y" && field("PRT-15.4") == "z"': [],
    'field("PID-99") == "x"': [("PID has 39 fields in HL7", "warning")],
}


@pytest.mark.parametrize(("text", "expected"), ODD.items(), ids=lambda one: str(one)[:40])
def test_values_and_fields_that_are_never_there(text: str, expected: list[tuple[str, str]]) -> None:
    """HL7's tables and segments, the value sets, our own closed lists."""
    assert [(one.reason, one.severity) for one in oddities(parse(text))] == expected


NEVER = (
    'document.type == "A" && document.type == "B"',
    'document.type == "A" && document.type != "A"',
    'document.type == "A" && document.type in ["B", "C"]',
    "request.dmp && !request.dmp",
    "document.level > 3 || document.level < 1",
    "request.recipients > 5 && request.recipients < 3",
    'document.type.startsWith("A") && document.type == "B"',
    'message.type == "ORU^R01" && message.event == "T02"',
    'message.type == "ADT^A01"',
    'event.feed == "ris"',
    "false",
)
SOMETIMES = (
    'document.type == "A" || document.type == "B"',
    "request.dmp || !request.dmp",
    'document.type.startsWith("A") && document.type != "A"',
    'document.type.contains("1") && document.type.endsWith("2")',
    'message.type == "MDM^T10" && message.event == "T10"',
    'message.type.matches("x") && !message.type.matches("x")',  # not judged
    "request.recipients > 1 && request.recipients < 3",
    'event.feed == "sil"',
)


@pytest.mark.parametrize("text", NEVER)
def test_a_condition_that_no_message_meets(text: str) -> None:
    """Every combination of the values that it names is tried."""
    condition = Condition.of(text)
    assert condition is not None
    assert never([condition], "sil", DOCUMENTS)


@pytest.mark.parametrize("text", SOMETIMES)
def test_a_condition_that_some_message_meets(text: str) -> None:
    """What can't be judged is never said to be impossible."""
    condition = Condition.of(text)
    assert condition is None or not never([condition], "sil", DOCUMENTS)


def test_a_relay_has_no_document() -> None:
    """Nobody reads a request in what is relayed: a condition on it is always the same."""
    condition = Condition.of('document.type == "11502-2"')
    assert condition is not None
    assert never([condition], "labo", RELAY)
    assert not never([condition], "labo", DOCUMENTS)


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (['document.type == "A"'], True),
        (['document.type == "A"', 'document.type != "A"'], False),
        (['document.type == "A"', '!(document.type in ["A", "B"])'], True),
        (["document.level == 1", "document.level == 3"], False),
        (["request.dmp", "request.mssante || request.mssante_patient"], False),  # R91: one of them is always asked
        (["request.dmp", "request.mssante"], True),
        (['message.type == "ORU^R01"', 'message.type.startsWith("MDM")', 'event.kind == "cda"'], True),
        (['message.type == "ORU^R01"', 'message.type.startsWith("MDM")', 'message.type == ""'], False),
    ],
)
def test_what_no_pipeline_takes(conditions: list[str], left: bool) -> None:
    """A message of the profile that none of the conditions holds for."""
    judged = [one for text in conditions if (one := Condition.of(text)) is not None]
    assert len(judged) == len(conditions)
    assert (left_out(judged, "sil", DOCUMENTS) is not None) is left


def test_too_many_variables_are_not_judged() -> None:
    """Nothing is said rather than something slow or wrong."""
    names = ("type", "event", "control_id", "sending_app", "sending_facility", "receiving_app", "version")
    text = " && ".join(f'message.{name} in ["1", "2", "3", "4", "5", "6"]' for name in names)
    condition = Condition.of(text)
    assert condition is not None
    assert not never([condition], "labo", RELAY)
    assert left_out([condition], "labo", RELAY) is None
