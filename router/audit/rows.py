"""Rows of the audit as values, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from sqlalchemy import Select

from router.audit.chain import AuditRow
from router.audit.event import Action, AuditEvent
from router.audit.tables import ROWS

_LONGEST: Final = {"reason": 1000, "detail": 2000}
_LONGEST_TEXT: Final = 500
_TEXTS: Final = tuple(f.name for f in fields(AuditEvent) if f.name not in ("at", "action", "refused"))
_ACTIONS: Final = frozenset(map(str, Action))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Rows that are asked for; what is empty asks for nothing.

    structures: FINESS numbers, "" among them for rows of none; None: all
    since, until: Unix seconds, the end excluded;  refused: only refusals, or only what was granted
    """

    who: str = ""
    actions: tuple[Action, ...] = ()
    structures: tuple[str, ...] | None = None
    since: float | None = None
    until: float | None = None
    kind: str = ""
    object: str = ""
    refused: bool | None = None


def asked(query: Select[Any], wanted: Wanted) -> Select[Any]:
    """The query with the criteria."""
    exact = {"who": wanted.who, "kind": wanted.kind, "object": wanted.object}
    for name, value in exact.items():
        if value:
            query = query.where(ROWS.c[name] == clean(value))
    if wanted.actions:
        query = query.where(ROWS.c.action.in_([str(action) for action in wanted.actions]))
    if wanted.structures is not None:
        query = query.where(ROWS.c.structure.in_([clean(one) for one in wanted.structures]))
    if wanted.since is not None:
        query = query.where(ROWS.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(ROWS.c.at < wanted.until)
    if wanted.refused is not None:
        query = query.where(ROWS.c.refused == wanted.refused)
    return query


def values(row: AuditRow) -> dict[str, Any]:
    """The columns of a row."""
    event = row.event
    found: dict[str, Any] = {name: getattr(event, name) for name in _TEXTS}
    found |= {"number": row.number, "at": event.at, "action": str(event.action), "mac": row.mac}
    return found | {"refused": event.refused}


def row_of(found: Mapping[Any, Any]) -> AuditRow:
    """The row of these columns."""
    texts = {name: found[name] for name in _TEXTS}
    action = found["action"]
    known: Any = Action(action) if action in _ACTIONS else action  # of a newer version, or of somebody's hand
    event = AuditEvent(at=found["at"], action=known, refused=found["refused"], **texts)
    return AuditRow(found["number"], event, found["mac"])


def kept(event: AuditEvent) -> AuditEvent:
    """As the table takes it: bounded, and without what no database stores."""
    texts: dict[str, Any] = {name: clean(getattr(event, name))[: _LONGEST.get(name, _LONGEST_TEXT)] for name in _TEXTS}
    return replace(event, at=float(event.at), **texts)


def clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
