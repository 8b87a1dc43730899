"""What is wrong with a condition before any message meets it: all of it at once, each with its column.

`errors` are those with which a pipeline is refused, in `check` and at a reload alike. `oddities` need the HL7
dictionary and the value sets; only `check` tells them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from router.cisis.valuesets import shipped
from router.config.addresses import Bare, bare, mended
from router.config.cel_tree import MACROS, Call, Literal, Name, Node, NotCel, Operation, parse, walk
from router.config.sentences import nearest, one_of
from router.errors import Severity
from router.hl7 import path as addresses
from router.hl7.dictionary import dictionary
from router.language import N_, T_, filled
from router.request import Action, Dialect

Values = Mapping[str, Mapping[str, Any]]

#: One value of the right type for every name: what `check` evaluates an expression on.
SPECIMEN: Final[Values] = {
    "message": {
        "type": "",
        "event": "",
        "control_id": "",
        "sending_app": "",
        "sending_facility": "",
        "receiving_app": "",
        "version": "",
        "processing": "",
    },
    "document": {"type": "", "level": 3, "title": "", "id": "", "confidentiality": ""},
    "request": {
        "action": "",
        "dialect": "",
        "dmp": False,
        "mssante": False,
        "mssante_patient": False,
        "qualified": False,
        "masked": False,
        "recipients": 0,
    },
    "event": {"feed": "", "kind": "", "source": ""},
}
#: Members of a closed list -> its values. What is compared with another value is never equal to it.
KNOWN: Final[Mapping[tuple[str, str], tuple[str | int, ...]]] = {
    ("message", "processing"): ("P", "T", "D"),
    ("document", "level"): (1, 3),
    ("request", "action"): tuple(map(str, Action)),
    ("request", "dialect"): ("", *map(str, Dialect)),
    ("event", "kind"): ("hl7", "cda"),
    ("event", "source"): ("mllp", "http", "folder", "raw"),
}
#: Value set of a member: the shipped one, when the site brings none.
_SETS: Final = {("document", "type"): "JDV_J07", ("document", "confidentiality"): "JDV_J08"}
_VERSIONS: Final = ("2.5", "2.8.2")
"""Of HL7: the one of the national profile, and the newest, which knows the segments that came later (PRT)."""
_COMPARES: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_LOGICAL: Final = frozenset({"&&", "||", "not"})
_ORDERED: Final = _COMPARES - {"==", "!="}
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%", "minus"})
_TEXT, _NUMBER, _TRUTH, _LIST = N_("a text"), N_("a number"), N_("true or false"), N_("a list")
_FUNCTIONS: Final = {
    "field": _TEXT,
    "size": _NUMBER,
    **dict.fromkeys(("startsWith", "endsWith", "contains", "matches"), _TRUTH),
}
_QUOTES: Final = T_("write {value} in quotes: {quoted}")
_ADDRESS: Final = T_("a field of the message is not named so: {name}")
_NO_QUOTES: Final = T_("write {value} without quotes")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is wrong. `column`: in the expression, from 1."""

    column: int
    reason: str
    hint: str = ""
    severity: Severity = "error"


def errors(source: str) -> list[Found]:
    """What refuses this expression; none when it is one that can be evaluated, as far as its text tells."""
    unquoted = list(bare(source))
    try:
        tree = parse(source)
    except NotCel as fault:
        covered = any(one.column <= fault.column < one.end for one in unquoted)
        found = [] if covered else [Found(fault.column, filled("no condition: {text}", text=fault.text))]
        return sorted([*map(_unquoted, unquoted), *found], key=lambda one: one.column)
    found = [*_names(tree), *_addresses(tree)]
    meant = [one for one in unquoted if any(one.column <= other.column < one.end for other in found)]
    found = [one for one in found if not any(other.column <= one.column < other.end for other in meant)]
    found += map(_unquoted, meant)
    found += [] if found else [*_comparisons(tree), *_logic(tree)]
    if not found and (kind := _kind(tree)) not in (_TRUTH, ""):
        found.append(Found(1, filled("must be true or false, and it is {what}", what=kind)))
    return sorted(found, key=lambda one: one.column)


def oddities(tree: Node) -> Iterator[Found]:
    """What may be meant otherwise: fields that HL7 does not have, values that are never there."""
    for node in walk(tree):
        match node:
            case Call(name="field", arguments=(Literal(value=str(address), column=column),)):
                yield from _unknown_field(address, column)
            case Operation(sign="==" | "!=", operands=(left, right)):
                for one, other in ((left, right), (right, left)):
                    if isinstance(one, Name) and isinstance(other, Literal):
                        yield from _unknown_value(one, other)
            case Operation(sign="in", operands=(Name() as one, Operation(sign="list", operands=items))):
                for item in items:
                    if isinstance(item, Literal):
                        yield from _unknown_value(one, item)


# ---------------------------------------------------------------------------------------------------- errors


def _names(tree: Node) -> Iterator[Found]:
    bound = {name.owner for name in map(_bound, walk(tree)) if name is not None}
    for node in walk(tree):
        if isinstance(node, Name) and node.owner not in bound:
            known = SPECIMEN.get(node.owner)
            if known is None:
                hint = nearest(node.owner, tuple(SPECIMEN)) or one_of(tuple(SPECIMEN))
                yield Found(node.column, filled("unknown name {name}", name=repr(node.owner)), hint)
            elif node.member and node.member not in known:
                text = filled("{owner} has no {member}", owner=node.owner, member=repr(node.member))
                yield Found(node.column, text, nearest(node.member, tuple(known)) or one_of(tuple(known)))


def _bound(node: Node) -> Name | None:
    """The variable that a macro names: `x` of `list.exists(x, x == 1)`."""
    match node:
        case Call(name=name, arguments=(Name(member="") as variable, *_)) if name in MACROS:
            return variable
        case _:
            return None


def _unquoted(one: Bare) -> Found:
    return Found(one.column, filled(_ADDRESS, name=one.written), filled("write {name}", name=_field(one.right)))


def _field(address: str) -> str:
    return f'field("{address}")'


def _addresses(tree: Node) -> Iterator[Found]:
    for node in walk(tree):
        match node:
            case Call(name="[]", target=Name(owner="message", member=""), arguments=(Literal(value=str(text)),)):
                if right := mended(text):
                    yield Found(node.column, filled(_ADDRESS, name=text), filled("write {name}", name=_field(right)))
            case Operation(sign="==" | "!=", operands=(Literal(value=str(text), column=column), Literal())):
                if right := mended(text):
                    yield Found(column, filled(_ADDRESS, name=text), filled("write {name}", name=_field(right)))
        if isinstance(node, Call) and node.name == "field" and node.target is None:
            if len(node.arguments) != 1 or _kind(node.arguments[0]) not in (_TEXT, ""):
                yield Found(node.column, N_('`field` takes one address in quotes, such as `field("PID-8")`'))
            elif isinstance(node.arguments[0], Literal) and (text := address_fault(str(node.arguments[0].value))):
                right = mended(str(node.arguments[0].value))
                yield Found(node.arguments[0].column, text, filled("write {name}", name=right) if right else "")


def address_fault(address: str) -> str:
    """What is wrong with the form of an HL7 address, "" for nothing."""
    try:
        addresses.parse(address)
    except ValueError as error:
        return str(error)
    return ""


def _comparisons(tree: Node) -> Iterator[Found]:
    """A text is never a number: the library says false, for every message, and nothing else."""
    for node in walk(tree):
        match node:
            case Operation(sign=sign, operands=(left, right)) if sign in _COMPARES:
                yield from _unlike(left, right, node.column)
                if sign in _ORDERED and _kind(left) == _kind(right) == _TRUTH:
                    yield Found(node.column, N_("true and false have no order: use == or !="))
            case Operation(sign="in", operands=(left, Operation(sign="list", operands=items))):
                for item in items:
                    yield from _unlike(left, item, item.column)
            case Operation(sign="in", operands=(_, right)) if _kind(right) in (_TEXT, _NUMBER, _TRUTH):
                yield Found(node.column, N_('`in` wants a list: `in ["A", "B"]`'))


def _unlike(left: Node, right: Node, column: int) -> Iterator[Found]:
    one, other = _kind(left), _kind(right)
    if not one or not other or one == other:
        return
    text = filled("compares {what} with {text}: they are never equal", what=one, text=other)
    yield Found(column, text, _instead(left, right) or _instead(right, left))


def _instead(wanted: Node, written: Node) -> str:
    """How a literal is written that is to be compared with a text or a number."""
    if _kind(wanted) == _TEXT and (code := _subtracted(written)):
        return filled(_QUOTES, value=code, quoted=f'"{code}"')
    if not isinstance(written, Literal):
        return ""
    value = written.value
    if _kind(wanted) == _TEXT and isinstance(value, int | float):
        shown = str(value).lower()
        return filled(_QUOTES, value=shown, quoted=f'"{shown}"')
    if _kind(wanted) in (_NUMBER, _TRUTH) and isinstance(value, str) and value:
        plain = value.lstrip("-").replace(".", "", 1).isdigit() or value in ("true", "false")
        return filled(_NO_QUOTES, value=value) if plain else ""
    return ""


def _subtracted(node: Node) -> str:
    """A LOINC code without its quotes is read as a subtraction: the code as it was written; "" for anything else."""
    match node:
        case Operation(sign="-", operands=(Literal(value=int(left)), Literal(value=int(right)))):
            return f"{left}-{right}"
        case _:
            return ""


def _logic(tree: Node) -> Iterator[Found]:
    """`&&`, `||` and `!` join conditions."""
    for node in walk(tree):
        if isinstance(node, Operation) and node.sign in _LOGICAL:
            for one in node.operands:
                kind = _kind(one)
                if kind not in (_TRUTH, ""):
                    text = filled("must be true or false, and it is {what}", what=kind)
                    yield Found(one.column, text, N_("compare it with a value") if isinstance(one, Name | Call) else "")


def _kind(node: Node) -> str:
    """A text, a number, true or false, a list; "" when only the evaluation tells."""
    kind = ""
    match node:
        case Literal(value=value) if value is not None:
            kind = _kind_of(value)
        case Name(owner=owner, member=member) if member in SPECIMEN.get(owner, {}):
            kind = _kind_of(SPECIMEN[owner][member])
        case Call(name=name):
            kind = _FUNCTIONS.get(name, "")
        case Operation(sign=sign, operands=operands) if sign in _ARITHMETIC:
            kinds = {_kind(one) for one in operands}
            kind = kinds.pop() if kinds in ({_NUMBER}, {_TEXT}, {_LIST}) else ""
        case Operation(sign=sign):
            kind = _TRUTH if sign in _COMPARES or sign in _LOGICAL or sign == "in" else _LIST if sign == "list" else ""
    return kind


def _kind_of(value: object) -> str:
    return _TRUTH if isinstance(value, bool) else _TEXT if isinstance(value, str) else _NUMBER


# -------------------------------------------------------------------------------------------------- oddities


def _unknown_field(address: str, column: int) -> Iterator[Found]:
    text, severity = field_oddity(address)
    if text:
        yield Found(column, text, severity=severity)


@cache
def field_oddity(address: str) -> tuple[str, Severity]:
    """What HL7 does not know of an address of the right form, "" for nothing. Segments in Z are anybody's."""
    try:
        where = addresses.parse(address)
    except ValueError:
        return "", "warning"
    if where.segment.startswith("Z"):
        return "", "warning"
    fields = [known for version in _VERSIONS if (known := dictionary(version).fields(where.segment))]
    if not fields:
        return filled("HL7 has no segment {segment}", segment=where.segment), "error"
    most = max(map(len, fields))
    if where.tail.field > most:
        return filled("{segment} has {most} fields in HL7", segment=where.segment, most=most), "warning"
    return "", "warning"


def _unknown_value(name: Name, literal: Literal) -> Iterator[Found]:
    at = (name.owner, name.member)
    if _kind(name) != _kind(literal) or literal.value == "":
        return
    known = KNOWN.get(at, ())
    shown = f"{name.owner}.{name.member}"
    if known and literal.value not in known:
        hint = filled("one of {names}", names=", ".join(str(one) for one in known if one != ""))
        yield Found(literal.column, filled("{name} never has this value", name=shown), hint, "warning")
    elif at in _SETS and shipped().contains(_SETS[at], str(literal.value)) is False:
        text = filled("{name} never has this value: it is no code of {set}", name=shown, set=_SETS[at])
        yield Found(literal.column, text, severity="warning")
    elif at in _MESSAGES and (text := _unknown_message(at[1], str(literal.value))):
        yield Found(literal.column, text, severity="warning")


_MESSAGES: Final = frozenset({("message", "type"), ("message", "event")})


def _unknown_message(member: str, value: str) -> str:
    """Message types and events of HL7 tables 0076 and 0003; those in Z are anybody's."""
    kind, caret, event = value.partition("^") if member == "type" else ("", "^", value)
    if not caret:
        return N_("has the form type^event, such as ORU^R01")
    book = dictionary(_VERSIONS[0])
    if kind and not kind.startswith("Z") and kind not in book.table(76):
        return filled("HL7 has no message type {kind}", kind=kind)
    if event and not event.startswith("Z") and event not in book.table(3):
        return filled("HL7 has no event {event}", event=event)
    return ""
