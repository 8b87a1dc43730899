"""What an operator reads of a value that can't stand where it stands: our words for every error of pydantic and ruamel.

Their own texts are for programmers, and in English.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel

from router.config.console_models import PLACE
from router.config.sink_models import INSTANCE
from router.language import N_, T_, filled

NAME: Final = r"^[a-z][a-z0-9-]{0,40}$"
"""Names of feeds and pipelines."""

_LIST: Final = N_("must be a list")
_MAPPING: Final = N_("must be a mapping of keys")
_NUMBER: Final = N_("must be a number")
_WHOLE: Final = N_("must be a whole number")
_PATH: Final = N_("must be the path of a file or a folder")
#: pydantic's error type -> what an operator reads; `{…}` is a key of the error's context.
OF_VALUES: Final[Mapping[str, str]] = {
    "missing": N_("is required"),
    "extra_forbidden": N_("is not known here"),
    "invalid_key": N_("is no key: keys are texts"),
    "union_tag_invalid": N_("has an unknown type"),
    "union_tag_not_found": N_("needs a type"),
    **dict.fromkeys(("bool_type", "bool_parsing"), N_("must be true or false")),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), N_("must be a text")),
    **dict.fromkeys(("path_type", "is_instance_of"), _PATH),
    "string_pattern_mismatch": T_("must have the form {pattern}"),
    "string_too_short": T_("must have {min_length} characters or more"),
    "string_too_long": T_("must have {max_length} characters or fewer"),
    "greater_than": T_("must be more than {gt}"),
    "greater_than_equal": T_("must be {ge} or more"),
    "less_than": T_("must be less than {lt}"),
    "less_than_equal": T_("must be {le} or less"),
    "multiple_of": T_("must be a multiple of {multiple_of}"),
    **dict.fromkeys(("literal_error", "enum"), T_("must be one of {expected}")),
    "too_short": T_("needs {min_length} entries or more"),
    "too_long": T_("takes {max_length} entries or fewer"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type", "model_attributes_type"), _MAPPING),
    "none_required": N_("must be left out"),
}
#: The same where the number of the context is 1.
_OF_ONE: Final[Mapping[str, str]] = {
    "string_too_short": N_("must not be empty"),
    "string_too_long": N_("must have one character at most"),
    "too_short": N_("needs one entry or more"),
    "too_long": N_("takes one entry at most"),
}
#: Form of a text -> what it asks for. A test finds every form of the models here.
FORMS: Final[Mapping[str, str]] = {
    NAME: N_("must be a name: small letters, digits and dashes, a letter first, 41 characters at most"),
    INSTANCE: N_("must be the name of a sink: its type, a full stop, then small letters, digits and dashes"),
    "^A[AE]$": N_("must be AA or AE"),
    "^https?://": N_("must be an address that begins with https:// or http://"),
    r"^https?://[^/?#\s]+/?$": N_("must be an address without a path: https://router.chu.example"),
    r"^(\*|(?:[0-9]{2}|2[AB])[0-9]{7})$": N_("must be a FINESS number of nine characters, or `*` for all structures"),
    PLACE: N_("must be a host and its port: router-gateway.sante.svc:9464"),
    "^[A-Za-z0-9._:-]{0,60}$": N_("must be made of letters, digits and . _ : - (60 characters at most)"),
}
_TEXT_OR_LIST: Final = N_("must be a text or a list of texts")
_OTHER: Final = N_("has a value that can't stand here")
_PLAIN_WHOLE: Final = N_("write it without quotes and blanks")
_PLAIN_NUMBER: Final = N_("write it without quotes and blanks, with a full stop before decimals")
_LANGUAGE: Final[Mapping[str, str]] = {
    "yes": N_("write true"),
    "oui": N_("write true"),
    "on": N_("write true"),
    "no": N_("write false"),
    "non": N_("write false"),
    "off": N_("write false"),
}
TWICE: Final = N_("this key stands here twice")
COLON: Final = N_("a key without its colon, or without the blank behind it")
DEEP: Final = N_("too much is within one another here")
ANOTHER_COLON: Final = "mapping values are not allowed"
#: What the reader of YAML says (its beginning) -> what an operator reads.
_YAML: Final[Mapping[str, str]] = {
    "found duplicate key": TWICE,
    "found character '\\t'": N_("a tab: YAML indents with blanks"),
    "found character": N_("a character that YAML does not allow here: indent with blanks, quote texts"),
    ANOTHER_COLON: N_("a colon where no key can stand: check the indentation, or quote the text"),
    "could not find expected ':'": COLON,
    "expected <block end>": N_("the indentation does not go with the lines before"),
    "expected ','": N_("a bracket or a brace is not closed"),
    "found unexpected end of stream": N_("a quotation mark is not closed"),
    "found undefined alias": N_("a * that names nothing: quote the text"),
}
_NO_YAML: Final = N_("not YAML")
OPENED: Final = ("expected ','", "found unexpected end of stream", "could not find expected ':'")
"""What is told where the bracket, the quotation mark or the key stands, not where the reader gave up."""


def of_yaml(said: str) -> str:
    """Our words for what the reader of YAML says."""
    return next((ours for theirs, ours in _YAML.items() if said.startswith(theirs)), _NO_YAML)


def of_value(kind: str, context: Mapping[str, Any]) -> str:
    """Our words for one of pydantic's errors; those of our own validators are kept."""
    if kind in ("value_error", "assertion_error") and (own := str(context.get("error", ""))):
        return own
    if kind == "string_pattern_mismatch" and (form := FORMS.get(str(context.get("pattern", "")))):
        return form
    values = {**context, "expected": ", ".join(filter(None, _quoted(str(context.get("expected", "")))))}
    if kind in _OF_ONE and 1 in (context.get("min_length"), context.get("max_length")):
        return _OF_ONE[kind]
    return OF_VALUES.get(kind, _OTHER).format(**values)


def of_union(kinds: Collection[str], text: str) -> str:
    """One sentence for a place where each kind of value that could stand there was refused."""
    return _TEXT_OR_LIST if {"list_type", "string_type"} <= set(kinds) else text


def hint_of(kind: str, context: Mapping[str, Any], value: object) -> str:
    """What to write instead, as far as the value tells what was meant."""
    said = str(value).strip().lower() if isinstance(value, str) else ""
    if kind == "union_tag_invalid":
        names = _quoted(str(context["expected_tags"]))
        return nearest(str(context.get("tag", "")), names) or filled("one of {names}", names=", ".join(names))
    if kind in ("literal_error", "enum"):
        return nearest(said, _quoted(str(context.get("expected", ""))))
    if kind in ("bool_type", "bool_parsing"):
        return _LANGUAGE.get(said, "")
    if kind in ("string_type", "string_sub_type") and isinstance(value, int | float):
        return "" if isinstance(value, bool) else N_("write it in quotes")
    if kind.startswith(("int_", "float_")) and re.fullmatch(r"[\d\s]+([.,]\d+)?", said):
        return _PLAIN_WHOLE if kind.startswith("int_") else _PLAIN_NUMBER
    return ""


def nearest(word: str, known: Collection[str]) -> str:
    """`did you mean …?` when something that is known is spelt almost like it, else ""."""
    near = near_key(word, known)
    return filled("did you mean `{name}`?", name=near) if near else ""


def nearest_or_known(word: str, known: Sequence[str]) -> str:
    """The same of a key, else the list of all keys that may stand there."""
    return nearest(word, known) or (filled("known keys: {names}", names=", ".join(known)) if known else "")


def one_of(names: Collection[str]) -> str:
    """The names that may stand there."""
    return filled("one of {names}", names=", ".join(sorted(names))) if names else N_("none is defined")


def near_key(word: str, known: Collection[str]) -> str:
    """What is spelt almost like it, "" for nothing. Dashes and underlines are the same, and so are capitals."""
    plain = {name.lower().replace("_", "-"): name for name in known}
    found = get_close_matches(word.lower().replace("_", "-"), list(plain), n=1, cutoff=0.6)
    return plain[found[0]] if found else ""


def _quoted(names: str) -> list[str]:
    """`a`, `b` of pydantic's `'a' or 'b'`."""
    return re.findall(r"'([^']*)'", names) or [names]


# ---------------------------------------------------------------------------------------------------- known keys


def known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Keys of the model that stands at a path; of a union, those of the member its tag names."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        tagged = [found for found in models if _tag(found) == part]
        fields = [field for found in models if (field := _field(found, part)) is not None]
        if tagged:
            models = tagged
        elif fields:
            models = _models_in(fields[0])
    return [info.alias or name for found in models for name, info in found.model_fields.items()]


def _field(model: type[BaseModel], key: str | int) -> Any:
    """What may stand behind a key, written by its name or its alias; None for no such key."""
    found = (info for name, info in model.model_fields.items() if key in (name, info.alias))
    return next((info.annotation for info in found), None)


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("type")
    return field.default if field is not None and field.default else _literal(field.annotation if field else None)


def _literal(annotation: Any) -> Any:
    arguments = getattr(annotation, "__args__", ())
    return arguments[0] if arguments and isinstance(arguments[0], str) else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
