"""No operator reads a library's text: every error that our models can raise has words of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from router.config.pipeline import PipelineConfig
from router.config.sentences import FORMS, OF_VALUES, hint_of, near_key, of_value
from router.config.site_models import SiteConfig

#: Type of a pydantic core schema -> the errors that it raises (pydantic-core, `ErrorType`), by the constraint if any.
_STRING: Final = ("string_type", "string_sub_type", "string_unicode")
RAISES: Final[Mapping[str, tuple[str, ...]]] = {
    "str": _STRING,
    "int": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "float": ("float_type", "float_parsing", "finite_number"),
    "bool": ("bool_type", "bool_parsing"),
    "literal": ("literal_error",),
    "enum": ("enum",),
    "list": ("list_type",),
    "tuple": ("tuple_type",),
    "dict": ("dict_type",),
    "model": ("model_type",),
    "model-fields": ("missing", "extra_forbidden", "invalid_key", "model_attributes_type"),
    "tagged-union": ("union_tag_invalid", "union_tag_not_found", "model_attributes_type"),
    "is-instance": ("is_instance_of",),
    "function-plain": ("path_type",),  # pathlib's validator
    "function-after": ("value_error", "assertion_error"),
    **dict.fromkeys(
        (
            *("model-field", "default", "no-info", "with-info", "json-or-python", "nullable", "union"),
            *("lax-or-strict", "definition-ref", "definitions"),
        ),
        (),
    ),
}
CONSTRAINTS: Final = {
    "pattern": ("string_pattern_mismatch",),
    "gt": ("greater_than",),
    "ge": ("greater_than_equal",),
    "lt": ("less_than",),
    "le": ("less_than_equal",),
    "multiple_of": ("multiple_of",),
}


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        for value in node.values():
            yield from _schemas(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _schemas(value)


ALL: Final = [one for model in (SiteConfig, PipelineConfig) for one in _schemas(model.__pydantic_core_schema__)]


def _raised() -> set[str]:
    found: set[str] = set()
    for one in ALL:
        found.update(RAISES[one["type"]])
        for constraint, errors in CONSTRAINTS.items():
            found.update(errors if one.get(constraint) is not None else ())
        short, long = ("string_too_short", "string_too_long") if one["type"] == "str" else ("too_short", "too_long")
        found.update(kind for kind, key in ((short, "min_length"), (long, "max_length")) if one.get(key) is not None)
    return found


def test_every_error_that_the_models_raise_has_words_of_ours() -> None:
    """A new kind of constraint in a model needs a sentence before an operator meets it."""
    ours = {*OF_VALUES, "value_error", "assertion_error"}  # the last two are sentences of our validators
    assert _raised() - ours == set()
    assert len(_raised()) > 25


def test_every_form_of_the_models_is_told_in_words() -> None:
    """Nobody reads a regular expression."""
    patterns = {str(one["pattern"]) for one in ALL if one["type"] == "str" and one.get("pattern")}
    assert patterns == set(FORMS)


def test_the_models_have_no_kind_of_value_that_the_table_lacks() -> None:
    """Dates, decimals, URLs… have errors of their own."""
    assert {one["type"] for one in ALL} <= set(RAISES)


@pytest.mark.parametrize(
    ("kind", "context", "value", "hint"),
    [
        ("bool_parsing", {}, "oui", "write true"),
        ("bool_parsing", {}, "perhaps", ""),
        ("int_parsing", {}, "2 575", "write it without quotes and blanks"),
        ("float_parsing", {}, "2,5", "write it without quotes and blanks, with a full stop before decimals"),
        ("int_parsing", {}, "many", ""),
        ("string_type", {}, 12, "write it in quotes"),
        ("string_type", {}, True, ""),
        ("literal_error", {"expected": "'starttls', 'tls' or 'plain'"}, "startls", "did you mean `starttls`?"),
        ("union_tag_invalid", {"expected_tags": "'dmp', 'hl7'"}, {"type": "x"}, "one of dmp, hl7"),
        ("union_tag_invalid", {"expected_tags": "'dmp', 'hl7'", "tag": "hl8"}, {"type": "hl8"}, "did you mean `hl7`?"),
    ],
)
def test_what_to_write_instead(kind: str, context: dict[str, Any], value: object, hint: str) -> None:
    """As far as the value tells what was meant."""
    assert hint_of(kind, context, value) == hint


def test_a_sentence_holds_no_name_of_python() -> None:
    """`NoneType`, `dict`, `valid boolean`…: words of programmers."""
    context = {"expected": "'a' or 'b'", "pattern": "x", "gt": 1, "ge": 1, "lt": 1, "le": 1, "min_length": 1}
    context |= {"max_length": 1, "multiple_of": 1}
    for kind in OF_VALUES:
        text = of_value(kind, context)
        assert "valid" not in text, text
        assert "{" not in text, text


def test_dashes_underlines_and_capitals_do_not_hide_a_key() -> None:
    """Keys are written in both ways."""
    assert near_key("Matrice_MSSante", ["matrice-mssante", "r86"]) == "matrice-mssante"
    assert near_key("zzz", ["matrice-mssante", "r86"]) == ""


def test_a_value_that_may_be_empty_is_left_out_of_the_list() -> None:
    """The list of what may stand begins with a word, not with a comma."""
    told = of_value("literal_error", {"expected": "'', 'delivered' or 'failed'"})
    assert told == "must be one of delivered, failed"
