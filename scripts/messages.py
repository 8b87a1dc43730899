#!/usr/bin/env python3
"""The texts that operators read, found in the code, and the catalogues of their translations.

    python scripts/messages.py            what is wrong: texts without a translation, f-strings that should be templates
    python scripts/messages.py --write    take new texts into the catalogues, drop old ones, compile

A text is found where the code gives it to a fault, a finding, a problem of a file… (`PLACES`), in a table of texts
(`TABLES`), in a call of `router.language`, or in a template of the console. A name is followed to its assignments in
the function or the module, or to the module that it comes from. The code writes some texts in French and some in
English: a new text stands without a translation in both catalogues; translate it in one of them, and `--write` takes it
out of the other.
"""

from __future__ import annotations

import ast
import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

ROOT: Final = Path(__file__).resolve().parents[1]
ROUTER: Final = ROOT / "router"
LANGUAGES: Final = ("fr", "en")
TEMPLATE: Final = "template"
PLURALS: Final = {"fr": "(n > 1)", "en": "(n != 1)"}
"""Two forms each: our numbers never reach the million that French counts otherwise."""

Place = tuple[tuple[int, str], ...]
#: Name of a function or class -> which of its arguments are texts: by position (-1: never), or by name.
PLACES: Final[dict[str, Place]] = {
    **dict.fromkeys(
        (
            *("RouterError", "Malformed", "Invalid", "Refused", "Unavailable", "OutcomeUnknown", "Fenced", "Overtaken"),
            *("OperatorFault", "cls", "Finding"),
        ),
        ((2, "text"),),
    ),
    **dict.fromkeys(("Outcome", "Receipt", "JournalEntry", "replace", "_refusal", "_receipt"), ((-1, "text"),)),
    **dict.fromkeys(("Attention", "Unseen"), ((2, "text"),)),
    **dict.fromkeys(("wrong", "remark"), ((1, "text"),)),
    "Unreadable": ((3, "text"),),
    **dict.fromkeys(("add", "add_dmp", "hold_dmp", "answer"), ((-1, "what"),)),
    "refused": ((0, "text"),),
    "promise": ((0, "sentence"),),
    "_unusable": ((0, "reason"),),
    "_Unusable": ((0, "text"),),
    "_Refusal": ((0, "text"),),
    "Case": ((4, "sentence"),),
    "Rule": ((1, "condition"),),
    "Item": ((0, "name"),),
    "Err": ((4, "text"),),
    "Found": ((1, "reason"),),
    "Difference": ((2, "text"),),
    "Decision": ((1, "text"),),
    "decided": ((1, "text"),),
    "problem": ((1, "text"), (2, "hint")),
    "Problem": ((4, "text"), (5, "hint")),
    "ExpressionFault": ((0, "text"),),
    "Asked": ((2, "text"),),
    "Unsafe": ((1, "text"), (2, "hint")),
    "SinkType": ((-1, "evidence"), (-1, "needs"), (-1, "remediation")),
}
#: Marks of `router.language`; the second word says how the text stands in a catalogue.
MARKS: Final = {
    "_": "text",
    "N_": "text",
    "T_": "template",
    "filled": "template",
    "plural": "plural",
    "filled_plural": "templates",
}
#: Constants that hold texts, in whatever module: the values of a dictionary, the sentences of a tuple.
TABLES: Final = frozenset(
    {
        *("NEXT", "_NEXT", "OWN", "_RULES", "DEFAULT_NEXT", "EVIDENCE", "REFUSALS", "ACCEPTED", "SENTENCES"),
        *("MESSAGE_CONDITIONS", "OPERATOR", "HTTP_VERDICTS", "_MEANINGS", "_TROUBLES", "_UNVERIFIED", "TRAITS"),
        *("_OPERATOR_STATES", "_OPERATOR_CODES", "DISQUALIFYING"),
    }
)
#: Where a `ValueError` is a sentence for operators: the validators of the configuration.
VALIDATORS: Final = re.compile(
    r"(config/.*|steps/.*|.*settings|secret|structures|engine/retry_policy|directory/addresses)\.py"
)
#: Screens that are not for operators, and what is not the router.
LEFT_OUT: Final = (
    "simulators/dmp",
    "simulators/mssante",
    "simulators/sender",
    "demo/backends",
    "demo/services",
    "demo/stage",
    "cli/simulate.py",
    "cli/reference.py",
    "cli/version.py",
    "cli/options.py",
)
#: Texts that pass through: they were found where they were made.
PASSED_ON: Final = (ast.Attribute, ast.Await, ast.Subscript, ast.ListComp, ast.GeneratorExp)
_SCREENS: Final = ("cli/", "demo/play")
"""Modules that write on the terminal."""
_SHOWS: Final = frozenset({"fail", "print", "add_column", "add_row", "confirm"})
_NAMES: Final = frozenset({"MSH-10", "ACK", "segur-router:", "segur-router —"})
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_MARKUP: Final = re.compile(r"\[[^\]]*\]")
_FIELDS: Final = re.compile(r"\{(\w+)[^}]*\}")


@dataclass(frozen=True)
class Text:
    """One text of the code; `many`: the form for several things; `template`: it has fields that get values.

    several: it is the form of `filled_plural` for several things, never for one
    """

    one: str
    many: str = ""
    template: bool = False
    several: bool = field(default=False, compare=False)

    @property
    def context(self) -> str | None:
        return TEMPLATE if self.template else None

    @property
    def ids(self) -> str | tuple[str, str]:
        return (self.one, self.many) if self.many else self.one


@dataclass
class Module:
    """A parsed file: its constants, and where its names come from."""

    path: Path
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROUTER))


@cache
def module(path: Path) -> Module:
    """Read and parse, once."""
    made = Module(path, ast.parse(path.read_text(encoding="utf-8")))
    for node in ast.walk(made.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            made.imports |= {one.asname or one.name: (node.module, one.name) for one in node.names}
    for node in made.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            made.constants |= {target.id: node.value for target in targets if isinstance(target, ast.Name)}
    return made


class Reader:
    """Finds the texts of one file, and what is a mistake in it."""

    def __init__(self, path: Path) -> None:
        self.module = module(path)
        self.texts: list[Text] = []
        self.mistakes: list[str] = []
        self._followed: set[tuple[str, ast.AST | None, bool]] = set()

    def read(self) -> Reader:
        for name, value in self.module.constants.items():
            if name in TABLES:
                self._table(value)
        self._visit(self.module.tree, None)
        return self

    def _visit(self, node: ast.AST, function: ast.AST | None) -> None:
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            if isinstance(child, ast.Call):
                self._call(child, inner)
            self._visit(child, inner)

    def _call(self, call: ast.Call, function: ast.AST | None) -> None:
        name = _called(call)
        if name in MARKS:
            self._marked(call, MARKS[name], function)
        places = PLACES.get(name, ())
        if name == "ValueError" and VALIDATORS.fullmatch(self.module.name):
            places = ((0, ""),)
        for position, keyword in places:
            given = call.args[position : position + 1] if position >= 0 else []
            given += [one.value for one in call.keywords if one.arg == keyword]
            for argument in given:
                self._follow(argument, function, template=name == "Case")
        if self.module.name.startswith(_SCREENS) and name in _SHOWS:
            self._shown(call)

    def _marked(self, call: ast.Call, kind: str, function: ast.AST | None) -> None:
        if kind == "plural":
            one, many = (ast.literal_eval(argument) for argument in call.args[:2])
            self.texts.append(Text(one, many))
        elif kind == "templates":
            one, many = (ast.literal_eval(argument) for argument in call.args[:2])
            self.texts += [Text(one, template=True), Text(many, template=True, several=True)]
        elif call.args:
            self._follow(call.args[0], function, template=kind == "template")

    def _shown(self, call: ast.Call) -> None:
        """A screen's own words go through `_`."""
        for argument in call.args:
            for node in [argument, *getattr(argument, "values", [])]:
                words = _MARKUP.sub("", node.value) if isinstance(node, ast.Constant) else ""
                if isinstance(words, str) and _WORD.search(words) and words.strip() not in _NAMES:
                    self._mistake(node, f"{words!r} is shown without `_`")

    def _table(self, node: ast.expr) -> None:
        values = node.values if isinstance(node, ast.Dict) else [node]
        for value in values:
            whole = isinstance(value, ast.Constant)
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and (whole or " " in part.value):
                    self._add(part.value)

    def _follow(self, node: ast.expr, function: ast.AST | None, *, template: bool = False) -> None:
        """The texts that an expression may give."""
        match node:
            case ast.Constant():
                if isinstance(node.value, str):
                    self._add(node.value, template=template)
            case ast.IfExp():
                self._follow(node.body, function, template=template)
                self._follow(node.orelse, function, template=template)
            case ast.BoolOp():
                for value in node.values:
                    self._follow(value, function, template=template)
            case ast.Dict() | ast.Tuple():
                self._table(node)
            case ast.JoinedStr() | ast.BinOp():
                self._mistake(node, f"make a template of {ast.unparse(node)}")
            case ast.Name():
                self._named(node.id, function, template=template)
            case _:
                pass  # it was made elsewhere: an attribute, a call

    def _named(self, name: str, function: ast.AST | None, *, template: bool) -> None:
        if (name, function, template) in self._followed:
            return
        self._followed.add((name, function, template))
        local = list(_assigned(name, function)) if function is not None else []
        for value in local:
            self._follow(value, function, template=template)
        if local:
            return
        if name in self.module.constants:
            self._follow(self.module.constants[name], None, template=template)
        elif name in self.module.imports:
            source, original = self.module.imports[name]
            path = ROOT / (source.replace(".", "/") + ".py")
            if source.startswith("router.") and path.exists() and original in module(path).constants:
                other = Reader(path)
                other._follow(module(path).constants[original], None, template=template)
                self.texts += other.texts

    def _add(self, text: str, *, template: bool = False) -> None:
        if text:
            self.texts.append(Text(text, template=template and bool(_FIELDS.search(text))))

    def _mistake(self, node: ast.AST, what: str) -> None:
        self.mistakes.append(f"router/{self.module.name}:{getattr(node, 'lineno', 0)}: {what}")


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _assigned(name: str, function: ast.AST) -> Iterator[ast.expr]:
    """What a function assigns to a name, alone or among others."""
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            if node.value is not None:
                yield node.value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    names = [getattr(one, "id", "") for one in target.elts]
                    yield from [node.value.elts[names.index(name)]] if name in names else []


@cache
def found() -> tuple[tuple[Text, ...], tuple[str, ...]]:
    """(every text of the router, sorted; mistakes)."""
    texts: set[Text] = set()
    mistakes: list[str] = []
    for path in sorted(ROUTER.rglob("*.py")):
        name = str(path.relative_to(ROUTER))
        if not name.startswith(LEFT_OUT):
            read = Reader(path).read()
            texts |= set(read.texts)
            mistakes += read.mistakes
    for path in sorted((ROUTER / "console/templates").glob("*.html")):
        texts |= set(of_template(path))
    lines = (ROUTER / "sinks/dmp/verdicts.csv").read_text(encoding="utf-8").splitlines()
    texts |= {Text(row[2]) for row in csv.reader(line for line in lines if line and not line.startswith("#"))}
    return tuple(sorted(texts, key=lambda text: (text.one.lower(), text.one, text.template))), tuple(mistakes)


def of_template(path: Path) -> Iterator[Text]:
    """Texts of a page's template: `_("…")` and `plural("…", "…", …)`."""
    with path.open("rb") as file:
        for _line, name, said, _comments in babel_extract(file, ["_", "plural"], [], {"silent": "false"}):
            texts = [one for one in ([said] if isinstance(said, str) else said or ()) if isinstance(one, str)]
            if name == "plural":
                yield Text(texts[0], texts[1])
            elif texts:
                yield Text(texts[0])


def place(language: str, kind: str) -> Path:
    return ROUTER / "locale" / language / "LC_MESSAGES" / f"segur-router.{kind}"


def catalogue(language: str) -> Catalog:
    """As it stands in the repository; empty when there is none."""
    path = place(language, "po")
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def translation(text: Text, of: Catalog) -> str | tuple[str, ...]:
    """ "" when there is none."""
    entry = of.get(text.one, context=text.context)
    strings: str | tuple[str, ...] = entry.string if entry is not None else ""
    whole = all(strings) if isinstance(strings, tuple) else bool(strings)
    return strings if whole and (isinstance(strings, tuple) is bool(text.many)) else ""


def problems() -> list[str]:
    """Mistakes of the code and of the catalogues, in sentences; none when all is well."""
    texts, mistakes = found()
    wrong = list(mistakes)
    catalogues = {language: catalogue(language) for language in LANGUAGES}
    for text in texts:
        translated = {language: told for language, one in catalogues.items() if (told := translation(text, one))}
        if len(translated) != 1:
            wrong.append(f"{text.one!r} has {len(translated)} translations: it needs one")
        for language, told in translated.items():
            wanted = set(_FIELDS.findall(text.one + text.many))
            for form in [told] if isinstance(told, str) else told:
                if set(_FIELDS.findall(form)) != wanted:
                    wrong.append(f"{language}: {form!r} has other fields than {text.one!r}")
    known = {(text.one, text.context) for text in texts}
    for language, one in catalogues.items():
        old = [str(entry.id) for entry in one if entry.id and (_first(entry), entry.context) not in known]
        wrong += [f"{language}: {text!r} is no longer in the code" for text in old]
    return wrong


def _first(entry: Message) -> str:
    return entry.id if isinstance(entry.id, str) else entry.id[0]


def made(language: str) -> Catalog:
    """The catalogue of a language as it should be: every text that is not written in this language."""
    present = {one: catalogue(one) for one in LANGUAGES}
    new = Catalog(
        locale=language,
        domain="segur-router",
        project="segur-router",
        header_comment=f"# The texts for operators that the code does not write in this language ({language}).",
        creation_date=datetime(2026, 1, 1, tzinfo=UTC),
        revision_date=datetime(2026, 1, 1, tzinfo=UTC),
        last_translator="segur-router",
        language_team=language,
        fuzzy=False,
    )
    new.mime_headers = [("Plural-Forms", f"nplurals=2; plural={PLURALS[language]};")]
    for text in found()[0]:
        told = translation(text, present[language])
        if told or not any(translation(text, other) for other in present.values()):
            new.add(text.ids, string=told or (("", "") if text.many else ""), context=text.context)
    return new


def write() -> None:
    """Bring the catalogues up to date with the code, and compile them."""
    for language, new in {one: made(one) for one in LANGUAGES}.items():
        place(language, "po").parent.mkdir(parents=True, exist_ok=True)
        with place(language, "po").open("wb") as file:
            write_po(file, new, width=120)
        with place(language, "mo").open("wb") as file:
            write_mo(file, new)


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    wrong = problems()
    sys.stdout.write("\n".join(wrong or [f"{len(found()[0])} texts, each with its translation"]) + "\n")
    raise SystemExit(1 if wrong else 0)
