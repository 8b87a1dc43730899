"""YAML files into models: every problem of a file at once, with line, column and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from router.errors import ConfigFault, Problem
from router.language import N_, T_, filled

M = TypeVar("M", bound=BaseModel)

_LIST: Final = N_("must be a list")
_MAPPING: Final = N_("must be a mapping of keys")
_NUMBER: Final = N_("must be a number")
_WHOLE: Final = N_("must be a whole number")
#: pydantic's error type -> what an operator reads; `{…}` is a key of the error's context. pydantic's own texts are for
#: programmers, and in English.
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": N_("is required"),
    "extra_forbidden": N_("is not known here"),
    "union_tag_invalid": N_("has an unknown type"),
    "union_tag_not_found": N_("needs a type"),
    **dict.fromkeys(("bool_type", "bool_parsing"), N_("must be true or false")),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    "string_type": N_("must be a text"),
    "path_type": N_("must be a path"),
    "string_pattern_mismatch": T_("must have the form {pattern}"),
    "string_too_short": T_("must have {min_length} characters or more"),
    "string_too_long": T_("must have {max_length} characters or fewer"),
    "greater_than": T_("must be more than {gt}"),
    "greater_than_equal": T_("must be {ge} or more"),
    "less_than": T_("must be less than {lt}"),
    "less_than_equal": T_("must be {le} or less"),
    **dict.fromkeys(("literal_error", "enum"), T_("must be one of {expected}")),
    "too_short": T_("needs {min_length} entries or more"),
    "too_long": T_("takes {max_length} entries or fewer"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type", "model_attributes_type"), _MAPPING),
    "none_required": N_("must be left out"),
}
_OTHER: Final = N_("has a value that can't stand here")
#: What the reader of YAML says (its beginning) -> what an operator reads.
_YAML: Final[Mapping[str, str]] = {
    "found duplicate key": N_("this key stands here twice"),
    "found character": N_("a character that YAML does not allow here: indent with blanks, quote texts"),
    "mapping values are not allowed": N_("a colon where no key can stand: check the indentation, or quote the text"),
    "could not find expected ':'": N_("a key without its colon"),
    "expected <block end>": N_("the indentation does not go with the lines before"),
    "expected ','": N_("a bracket or a brace is not closed"),
    "found unexpected end of stream": N_("a quotation mark is not closed"),
}
_NO_YAML: Final = N_("not YAML")


class Source:
    """One parsed YAML file: its plain data, and where each path stands."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Read and parse. Raises `ConfigFault` for a file that can't be read or is not a YAML mapping."""
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8") if text is None else text
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or N_("not UTF-8")
            raise ConfigFault(
                [Problem(str(path), 1, 1, "", filled("can't be read: {reason}", reason=reason))]
            ) from error
        self._tree = self._parse()

    def _parse(self) -> CommentedMap:
        yaml = YAML(typ="rt")
        yaml.allow_duplicate_keys = False
        try:
            tree = yaml.load(StringIO(self.text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            said = str(error.problem or error.context or "")
            text = next((ours for theirs, ours in _YAML.items() if said.startswith(theirs)), _NO_YAML)
            raise ConfigFault([Problem(str(self.path), line, column, "", text)]) from error
        if not isinstance(tree, CommentedMap):
            raise ConfigFault([Problem(str(self.path), 1, 1, "", "must be a mapping of keys", "write `name: …`")])
        return tree

    @property
    def data(self) -> dict[str, Any]:
        """The file as plain dicts, lists and scalars."""
        return _plain(self._tree)  # type: ignore[no-any-return]

    def place(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (from 1) of a path, or of the nearest parent that exists."""
        node: Any = self._tree
        line, column = 1, 1
        for part in path:
            if isinstance(node, CommentedMap) and part in node:
                line, column = (n + 1 for n in node.lc.key(part))
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = (n + 1 for n in node.lc.item(part))
            else:
                break
            node = node[part]
        return line, column

    def problem(self, path: Sequence[str | int], text: str, hint: str = "") -> Problem:
        line, column = self.place(path)
        return Problem(str(self.path), line, column, dotted(path), text, hint)

    def read_as(self, model: type[M], data: Mapping[str, Any] | None = None) -> M:
        """The file as a `model`. Raises `ConfigFault` with every problem."""
        try:
            return model.model_validate(self.data if data is None else data)
        except ValidationError as error:
            problems = [self._explain(model, dict(item)) for item in error.errors()]
            raise ConfigFault(sorted(problems, key=lambda found: (found.line, found.column))) from error

    def _explain(self, model: type[BaseModel], item: dict[str, Any]) -> Problem:
        path = self._without_tags(item["loc"])
        kind = item["type"]
        text = _sentence(kind, item.get("ctx", {}))
        hint = ""
        if kind == "extra_forbidden":
            hint = _closest(str(path[-1]), _known_keys(model, item["loc"][:-1]))
        elif kind == "union_tag_invalid":
            hint = filled("one of {names}", names=item["ctx"]["expected_tags"])
        return self.problem(path, text, hint)

    def _without_tags(self, loc: Sequence[str | int]) -> list[str | int]:
        """Pydantic puts the tag of a chosen union member in the path; it stands in no file."""
        node: Any = self._tree
        path: list[str | int] = []
        for rank, part in enumerate(loc):
            last = rank == len(loc) - 1
            inside = (isinstance(node, CommentedMap) and part in node) or (
                isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node)
            )
            if inside:
                node = node[part]
            if inside or last:
                path.append(part)
        return path


def _sentence(kind: str, context: Mapping[str, Any]) -> str:
    """Our words for one of pydantic's errors; those of our own validators are kept."""
    if kind == "value_error" and (own := str(context.get("error", ""))):
        return own
    values = {**context, "expected": _quoted(str(context.get("expected", "")))}
    return _SENTENCES.get(kind, _OTHER).format(**values)


def _quoted(names: str) -> str:
    """`a, b` of pydantic's `'a' or 'b'`."""
    return ", ".join(re.findall(r"'([^']*)'", names)) or names


def dotted(path: Sequence[str | int]) -> str:
    """`steps[0].validate.schema` for a path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, str):
        return str(node)
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    return float(node) if isinstance(node, float) else node


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Keys of the model that stands at a path; of a union, those of the member its tag names."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        tagged = [found for found in models if _tag(found) == part]
        fields = [found.model_fields[part] for found in models if part in found.model_fields]
        if tagged:
            models = tagged
        elif fields:
            models = _models_in(fields[0].annotation)
    return [info.alias or name for found in models for name, info in found.model_fields.items()]


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


def _closest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return filled("did you mean `{name}`?", name=near[0])
    return filled("known keys: {names}", names=", ".join(known)) if known else ""
