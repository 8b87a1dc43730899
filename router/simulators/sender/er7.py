"""Writing ER7: escaping, segments as lists of fields, and bending one field of a finished message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_PLACE = re.compile(r"^([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+))?$")


def esc(text: str) -> str:
    """A value that may stand in any component."""
    return text.translate(_ESCAPES)


def segment(name: str, fields: Mapping[int, str]) -> str:
    """`name` and its fields by number, the gaps empty."""
    last = max(fields, default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def bend(segments: Sequence[str], fields: Mapping[str, str], drop: Sequence[str], extra: Sequence[str]) -> list[str]:
    """Change a finished message: set raw `fields` (`PID-32`, `OBX[2]-11`), drop `PV1` or `OBX[3]`, append lines.

    Occurrences count from 1. Raises ValueError for a place that isn't there: a test that bends nothing is wrong.
    """
    out = list(segments)
    for place, value in fields.items():
        index, field = _find(out, place)
        parts = out[index].split("|")
        number = field - 1 if parts[0] == "MSH" else field
        parts += [""] * (number + 1 - len(parts))
        parts[number] = value
        out[index] = "|".join(parts)
    doomed = {_find(out, place)[0] for place in drop}
    return [line for index, line in enumerate(out) if index not in doomed] + list(extra)


def _find(segments: Sequence[str], place: str) -> tuple[int, int]:
    match = _PLACE.match(place)
    if match is None:
        raise ValueError(f"not a place: {place}")
    name, occurrence, field = match[1], int(match[2] or 1), int(match[3] or 0)
    indexes = [index for index, line in enumerate(segments) if line[:3] == name]
    if len(indexes) < occurrence:
        raise ValueError(f"no such segment: {place}")
    return indexes[occurrence - 1], field
