"""Rows of the audit, and traces, as lines of CSV or JSON for those who keep or read them elsewhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from router.audit.chain import AuditRow
from router.audit.traces import TraceLine
from router.french_time import in_france
from router.printable import printable_cell

Form = Literal["csv", "jsonl"]
AUDIT: Final = (
    *(
        "number",
        "time",
        "who",
        "role",
        "action",
        "kind",
        "object",
        "structure",
        "reason",
        "source",
        "refused",
        "detail",
    ),
    "mac",
)
TRACES: Final = (
    *("time", "author", "protocol", "server", "action", "request", "answer", "result"),
    *("recipient", "sink", "event", "delivery"),
)


def local(at: float) -> str:
    """French time with its offset from UTC (ISO 8601): `2026-11-30T14:05:09.120+01:00`."""
    return in_france(at).isoformat(timespec="milliseconds")


def audit_line(row: AuditRow) -> dict[str, str | int | bool]:
    """A row by the names of `AUDIT`."""
    event = row.event
    facts = {name: getattr(event, name) for name in AUDIT if name not in ("number", "time", "mac")}
    return {"number": row.number, "time": local(event.at), **facts, "action": str(event.action), "mac": row.mac}


def trace_line(line: TraceLine) -> dict[str, str]:
    """A trace by the names of `TRACES`. `result`: `done` or `failed`."""
    spoken = line.spoken
    facts = {name: getattr(spoken, name) for name in ("author", "protocol", "server", "action", "request", "answer")}
    facts |= {"time": local(spoken.at), "result": "done" if spoken.ok else "failed", "recipient": line.label}
    return facts | {"sink": line.sink, "event": line.event_id, "delivery": line.delivery_id}


def written(lines: Iterable[Mapping[str, object]], columns: Iterable[str], form: Form) -> Iterator[str]:
    """Each line with its line feed; of a CSV the names of the columns first. A spreadsheet computes none of it."""
    if form == "jsonl":
        for line in lines:
            yield json.dumps(line, ensure_ascii=True) + "\n"
        return
    names = list(columns)
    yield _csv(names)
    for line in lines:
        yield _csv([printable_cell(_text(line.get(name, ""))) for name in names])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _csv(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
