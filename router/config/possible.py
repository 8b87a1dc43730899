"""Which messages a set of conditions takes: none at all, or all of them?

The conditions are evaluated on every combination of the values that they compare with, and of one value beside them for
each variable. What compares in another way (a regular expression, a computation) is not judged: nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from router.config.cel_tree import Call, Literal, Name, Node, NotCel, Operation, parse, walk
from router.config.conditions import KNOWN, SPECIMEN
from router.config.expressions import Expression, ExpressionFault
from router.config.site_models import FeedConfig

_MOST: Final = 4096
"""Combinations that are tried; more variables than that are not judged."""
OTHER: Final = "\N{MIDDLE DOT}"
"""A text that no condition names."""
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_METHODS: Final = frozenset({"startsWith", "endsWith", "contains"})
_JOINING: Final = frozenset({"&&", "||", "not", "?", "list"})

Variable = tuple[str, str]
"""(`document`, `type`), or (`field`, address)."""
_OF_DOCUMENTS: Final[Mapping[Variable, Sequence[str]]] = {
    ("message", "type"): ("", "ORU^R01", "MDM^T02", "MDM^T04", "MDM^T10"),
    ("message", "event"): ("", "R01", "T02", "T04", "T10"),
}
"""What a feed of documents takes; "": a CDA that comes alone (R02, R03)."""
Case = Mapping[Variable, Any]
"""A value for each variable."""


@dataclass(frozen=True)
class Condition:
    """A condition that can be judged: what it compares, and with what."""

    expression: Expression
    compared: Mapping[Variable, frozenset[Any]]
    parts: frozenset[tuple[Variable, str]]
    """Texts that a variable may begin with, end with or contain."""

    @classmethod
    def of(cls, source: str) -> Condition | None:
        """None for one that is wrong, or that compares in a way that is not judged."""
        try:
            expression, tree = Expression(source), parse(source)
        except (ExpressionFault, NotCel):
            return None
        compared: dict[Variable, set[Any]] = {}
        if not _understood(tree, compared):
            return None
        frozen = {name: frozenset(values) for name, values in compared.items()}
        return cls(expression, frozen, frozenset(_parts(tree)))

    def holds(self, case: Case) -> bool | None:
        """Whether it is true of a case; None when it can't be evaluated."""
        variables: dict[str, dict[str, Any]] = {owner: dict(members) for owner, members in SPECIMEN.items()}
        for (owner, member), value in case.items():
            if owner != "field":
                variables[owner][member] = value
        return self.expression.holds(variables, lambda address: str(case.get(("field", address), "")))


def never(conditions: Sequence[Condition], name: str, feed: FeedConfig) -> bool:
    """Whether no message of this feed makes all of these true."""
    parts = Counter(variable for variable, _ in frozenset().union(*(one.parts for one in conditions)))
    if any(count > 1 for count in parts.values()):
        return False  # a text may hold two parts in more ways than are tried
    cases = _cases(conditions, name, feed)
    return cases is not None and not any(all(one.holds(case) is not False for one in conditions) for case in cases)


def left_out(conditions: Sequence[Condition], name: str, feed: FeedConfig) -> Case | None:
    """A message of this feed that none of these takes; None when there is none, or nobody can say."""
    cases = _cases(conditions, name, feed)
    return next((case for case in cases or () if all(one.holds(case) is False for one in conditions)), None)


# ------------------------------------------------------------------------------------------------- internals


def _understood(node: Node, compared: dict[Variable, set[Any]]) -> bool:
    """Whether it only compares variables with literals; fills in what each is compared with."""
    understood = isinstance(node, Literal) and isinstance(node.value, bool)
    match node:
        case Name() if _variable(node) and isinstance(SPECIMEN[node.owner][node.member], bool):
            compared.setdefault((node.owner, node.member), set())
            understood = True
        case Operation(sign="in", operands=(left, Operation(sign="list", operands=items))):
            understood = all(_pair(left, item, compared) for item in items)
        case Operation(sign=sign, operands=(left, right)) if sign in _RELATIONS:
            understood = _pair(left, right, compared) or _pair(right, left, compared)
        case Operation(sign=sign, operands=operands) if sign in _JOINING:
            understood = all(_understood(one, compared) for one in operands)
        case Call(name=name, target=target, arguments=(Literal(value=str(part)),)) if name in _METHODS and target:
            understood = _pair(target, Literal(part, 1), compared, more=_with(part))
    return understood


def _with(part: str) -> tuple[str, ...]:
    """Texts that begin with a part, end with it, only contain it, or do all of it and are another text."""
    return part + OTHER, OTHER + part, OTHER + part + OTHER, part + OTHER + part


def _parts(tree: Node) -> Iterator[tuple[Variable, str]]:
    for node in walk(tree):
        match node:
            case Call(name=name, target=target, arguments=(Literal(value=str(part)),)) if name in _METHODS:
                if (variable := _variable(target)) is not None:
                    yield variable, part


def _pair(left: Node, right: Node, compared: dict[Variable, set[Any]], more: tuple[str, ...] = ()) -> bool:
    variable = _variable(left)
    if variable is None or not isinstance(right, Literal):
        return False
    compared.setdefault(variable, set()).update((right.value, *more))
    return True


def _variable(node: Node | None) -> Variable | None:
    match node:
        case Name(owner=owner, member=member) if member in SPECIMEN.get(owner, {}):
            return owner, member
        case Call(name="field", target=None, arguments=(Literal(value=str(address)),)):
            return "field", address
        case _:
            return None


def _cases(conditions: Sequence[Condition], name: str, feed: FeedConfig) -> Iterator[Case] | None:
    """Every combination that a message of this feed may bring; None when they are too many."""
    compared: dict[Variable, set[Any]] = {}
    for one in conditions:
        for variable, values in one.compared.items():
            compared.setdefault(variable, set()).update(values)
    choices = {variable: _choices(variable, values, name, feed) for variable, values in compared.items()}
    count = 1
    for some in choices.values():
        count *= len(some)
    if count > _MOST:
        return None
    made = (dict(zip(choices, some, strict=True)) for some in product(*choices.values()))
    return (case for case in made if _may_be(case, feed))


def _choices(variable: Variable, compared: set[Any], name: str, feed: FeedConfig) -> list[Any]:
    """Values of one variable on this feed: those it is compared with, and one beside them."""
    owner, member = variable
    documents = feed.kind == "documents"
    if owner in ("document", "request") and not documents:
        return [SPECIMEN[owner][member]]  # nobody reads a request in what is relayed
    closed: dict[Variable, Sequence[Any]] = {**KNOWN, ("event", "feed"): [name]}
    if documents:
        closed |= _OF_DOCUMENTS
    if variable in closed:
        return list(closed[variable])
    return _open(SPECIMEN[owner][member] if owner != "field" else "", compared)


def _open(example: object, compared: set[Any]) -> list[Any]:
    """Values of a variable of any value of this type."""
    if isinstance(example, bool):
        return [True, False]
    if isinstance(example, int):
        numbers = [one for one in compared if isinstance(one, int | float)]
        return sorted({max(0, int(one) + step) for one in numbers for step in (-1, 0, 1)} | {0})
    return [OTHER, *sorted(one for one in compared if isinstance(one, str))]


def _may_be(case: Case, feed: FeedConfig) -> bool:
    """Leaves out what no message of the profile is."""
    kind, event = case.get(("message", "type")), case.get(("message", "event"))
    if kind not in (None, OTHER) and event is not None and str(kind).partition("^")[2] != event:
        return False
    wishes = [case.get(("request", wish)) for wish in ("dmp", "mssante", "mssante_patient")]
    return wishes != [False, False, False] or feed.kind != "documents" or feed.rules.local_consumer  # R91
