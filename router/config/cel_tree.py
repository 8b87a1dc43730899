"""The text of a CEL expression as a tree with the column of every part: what `check` points at.

The library evaluates; its parser gives no tree, and its errors are a grammar's. What CEL has beyond this (macros with
a variable, bytes) is read as an opaque call. Grammar: the CEL language definition, "Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from router.language import N_, filled

Value = str | int | float | bool | None


class NotCel(ValueError):
    """The text is no expression. `column`: of the character where it stops being one, from 1."""

    def __init__(self, column: int, text: str) -> None:
        super().__init__(text)
        self.column, self.text = column, text


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number, true, false or null."""

    value: Value
    column: int


@dataclass(frozen=True, slots=True)
class Name:
    """`message.type`: a variable, or one of its members (`member` is "" for the whole)."""

    owner: str
    member: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function or a method: `field("PID-8")`, `message.type.startsWith("ADT")`; an index is the call `[]`."""

    name: str
    target: Node | None
    arguments: tuple[Node, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operands; `?` has three, `list` and `map` any number."""

    sign: str
    operands: tuple[Node, ...]
    column: int


Node = Literal | Name | Call | Operation

_TOKEN: Final = re.compile(
    r"(?P<blank>\s+|//[^\n]*)"
    r"|(?P<text>[rR]?(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))"
    r"|(?P<number>0x[0-9a-fA-F]+u?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?u?)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!+\-*/%?:.,()\[\]{}])",
    re.DOTALL | re.ASCII,
)
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_WORDS: Final = {"true": True, "false": False, "null": None}
#: What people write who know other languages -> what CEL wants.
_INSTEAD: Final = {
    "=": N_("to compare write =="),
    "&": N_("for and write &&"),
    "|": N_("for or write ||"),
    "and": N_("for and write &&"),
    "AND": N_("for and write &&"),
    "et": N_("for and write &&"),
    "or": N_("for or write ||"),
    "OR": N_("for or write ||"),
    "ou": N_("for or write ||"),
    "not": N_("for not write !"),
    "NOT": N_("for not write !"),
    "<>": N_("for different write !="),
}
MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
LONGEST: Final = 16_000  # characters of an expression
_DEEPEST: Final = 20  # brackets, signs and choices within one another: the stack has an end
_HIGHEST: Final = 200  # of the tree: `a || b || c` is two high
_MACROS_WITHIN: Final = 2  # within one another, or one after the other: each multiplies the work, or what is made
_DIGITS: Final = 40  # characters of a number: those of CEL have 64 bits
_DEEP: Final = N_("too much is within one another here")
_QUOTE: Final = N_("a quotation mark is not closed")
_ENDS: Final = N_("the expression ends too early")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(source: str) -> Node:
    """The tree of an expression. Raises `NotCel`, also for one that would take too long, or too much of the stack."""
    if len(source) > LONGEST:
        raise NotCel(LONGEST + 1, N_("it is too long"))
    tree = _Parser(source).whole()
    _measure(tree)
    return tree


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    for one in _inner(node):
        yield from walk(one)


def _inner(node: Node) -> tuple[Node, ...]:
    match node:
        case Operation():
            return node.operands
        case Call():
            return (*((node.target,) if node.target is not None else ()), *node.arguments)
        case _:
            return ()


def _measure(tree: Node) -> None:
    """Raise `NotCel` for a tree that is too high, or has too many macros within one another. It never recurs."""
    left = [(tree, 1, 0)]
    while left:
        node, height, macros = left.pop()
        macros += isinstance(node, Call) and node.name in MACROS
        if height > _HIGHEST or macros > _MACROS_WITHIN:
            raise NotCel(node.column, _DEEP)
        left += [(one, height + 1, macros) for one in _inner(node)]


def conjuncts(node: Node) -> Iterator[Node]:
    """What must hold at the same time: the parts of `a && b && c`."""
    if isinstance(node, Operation) and node.sign == "&&":
        for one in node.operands:
            yield from conjuncts(one)
    else:
        yield node


def _tokens(source: str) -> Iterator[_Token]:
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            column = at + 1
            if source[at] in "\"'":
                raise NotCel(column, _QUOTE)
            raise NotCel(column, _INSTEAD.get(source[at]) or _cant_stand(source[at]))
        if found.lastgroup != "blank":
            yield _Token(str(found.lastgroup), found[0], at + 1)
        at = found.end()
    yield _Token("end", "", len(source) + 1)


def _not_deep(tokens: Iterable[_Token]) -> Iterator[_Token]:
    brackets = signs = choices = 0
    for token in tokens:
        brackets += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        signs = signs + 1 if token.text in ("!", "-") else 0
        choices += token.text == "?"
        if brackets + signs + choices > _DEEPEST:
            raise NotCel(token.column, _DEEP)
        yield token


def _cant_stand(token: str) -> str:
    return filled("{token} can't stand here", token=repr(token[:60]))


class _Parser:
    """Recursive descent over the tokens; each method reads one rule of the grammar."""

    def __init__(self, source: str) -> None:
        self._tokens = list(_not_deep(_tokens(source)))
        self._at = 0

    def whole(self) -> Node:
        node = self._choice()
        if self._next.kind != "end":
            raise self._wrong()
        return node

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._next.kind in ("sign", "name") and self._next.text in signs

    def _expect(self, sign: str) -> _Token:
        if not self._is(sign):
            raise self._wrong()
        return self._take()

    def _wrong(self) -> NotCel:
        token = self._next
        if token.kind == "end":
            return NotCel(token.column, _ENDS)
        before = self._tokens[self._at - 1].text if self._at else ""
        text = _INSTEAD.get(before + token.text) or _INSTEAD.get(token.text) or _INSTEAD.get(before)
        return NotCel(token.column, text or _cant_stand(token.text))

    def _choice(self) -> Node:
        node = self._or()
        if not self._is("?"):
            return node
        column = self._take().column
        yes = self._or()
        self._expect(":")
        return Operation("?", (node, yes, self._choice()), column)

    def _or(self) -> Node:
        node = self._and()
        while self._is("||"):
            column = self._take().column
            node = Operation("||", (node, self._and()), column)
        return node

    def _and(self) -> Node:
        node = self._relation()
        while self._is("&&"):
            column = self._take().column
            node = Operation("&&", (node, self._relation()), column)
        return node

    def _relation(self) -> Node:
        node = self._sum()
        while self._is(*_RELATIONS):
            sign = self._take()
            node = Operation(sign.text, (node, self._sum()), sign.column)
        return node

    def _sum(self) -> Node:
        node = self._product()
        while self._is("+", "-"):
            sign = self._take()
            node = Operation(sign.text, (node, self._product()), sign.column)
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self._is("*", "/", "%"):
            sign = self._take()
            node = Operation(sign.text, (node, self._unary()), sign.column)
        return node

    def _unary(self) -> Node:
        if not self._is("!", "-"):
            return self._member()
        sign = self._take()
        inner = self._unary()
        if sign.text == "-" and isinstance(inner, Literal) and isinstance(inner.value, int | float):
            return Literal(-inner.value, sign.column)
        return Operation("not" if sign.text == "!" else "minus", (inner,), sign.column)

    def _member(self) -> Node:
        node = self._primary()
        while self._is(".", "["):
            sign = self._take()
            if sign.text == "[":
                node = Call("[]", node, (self._choice(),), sign.column)
                self._expect("]")
                continue
            if self._next.kind != "name":
                raise self._wrong()
            name = self._take()
            if self._is("("):
                node = Call(name.text, node, self._arguments(), name.column)
            elif isinstance(node, Name) and not node.member:
                node = Name(node.owner, name.text, node.column)
            else:
                node = Call(f".{name.text}", node, (), name.column)
        return node

    def _primary(self) -> Node:
        token = self._next
        if token.kind in ("text", "number"):
            self._take()
            if token.kind == "number" and len(token.text) > _DIGITS:
                raise NotCel(token.column, _cant_stand(token.text))
            return Literal(_value(token), token.column)
        if self._is("("):
            self._take()
            node = self._choice()
            self._expect(")")
            return node
        if self._is("[", "{"):
            return self._collection()
        if token.kind != "name" or token.text == "in":
            raise self._wrong()
        self._take()
        if token.text in _WORDS:
            return Literal(_WORDS[token.text], token.column)
        if self._is("("):
            return Call(token.text, None, self._arguments(), token.column)
        return Name(token.text, "", token.column)

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        return self._until(")")

    def _collection(self) -> Node:
        sign = self._take()
        items = self._until("]" if sign.text == "[" else "}", pairs=sign.text == "{")
        return Operation("list" if sign.text == "[" else "map", items, sign.column)

    def _until(self, end: str, *, pairs: bool = False) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._is(end):
            items.append(self._choice())
            if pairs:
                self._expect(":")
                items.append(self._choice())
            if not self._is(end):
                self._expect(",")
        self._take()
        return tuple(items)


def _value(token: _Token) -> Value:
    if token.kind == "number":
        digits = token.text.rstrip("u")
        return int(digits, 0 if "x" in digits else 10) if re.fullmatch(r"0x\w+|\d+", digits) else float(digits)
    raw = token.text[:1] in "rR"
    body = token.text[1:] if raw else token.text
    quotes = 3 if body[:3] in ('"""', "'''") and len(body) >= 6 else 1
    body = body[quotes:-quotes]
    return body if raw else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), body)


_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
