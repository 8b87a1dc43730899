"""An operation of the API: one declaration says its address, scope, role, rate, and what it takes and gives.

A module of `router.console.api.operations` has a tuple `OPERATIONS`; nothing else names it. The routes, the checks and
the OpenAPI document are read from it.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from router.access.person import Role
from router.console.visit import Visit

BASE: Final = "/api"
_FOLDER: Final = Path(__file__).parent / "operations"
_IN_BRACES: Final = re.compile(r"\{(\w+)\}")


class Input(BaseModel):
    """What an operation takes: names in braces of its path, then the query of a GET, or the JSON body of a POST."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Nothing(Input):
    """It takes nothing."""


class Output(BaseModel):
    """What an operation gives. Its docstring is for us; descriptions of its fields stand in the OpenAPI document."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)
    made: ClassVar[str] = ""
    """Of a thing that was made: the name of the field that ends its address, under the path of the operation."""


class Lines(Output):
    """Lines of a table as a file, instead of a JSON object. next: stands in the header `NEXT`."""

    text: str
    format: Literal["csv", "jsonl"]
    next: str


NEXT: Final = "Segur-Next"
"""Header of a file with lines: what to give as `after` for the next ones; it is not there behind the last ones."""
MEDIA_TYPES: Final[Mapping[str, str]] = {"csv": "text/csv", "jsonl": "application/jsonl"}
Run = Callable[[Visit, Any], Output]
"""Raises `NotHere`, `NotAllowed`, `problems.Refused`, `BadCriterion`, `Unavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """name: unique, the `operationId`;  path: behind `BASE`, in the form of starlette
    does: what it is for, a marked text;  takes, gives: models;  status: of a success
    scope: that a token needs (`router.access.tokens`);  role: least role in any structure
    rate: of one person or program, in the words of `limits`;  conflicts: whether it may answer 409
    serves: what of the pages it does for a program, each in the words of `Page.ways`
    """

    name: str
    path: str
    does: str
    run: Run
    takes: type[Input]
    gives: type[Output]
    scope: str
    role: Role = Role.READER
    method: Literal["GET", "POST"] = "GET"
    status: int = 200
    rate: str = "120/minute"
    conflicts: bool = False
    serves: tuple[str, ...] = ()

    @property
    def in_path(self) -> tuple[str, ...]:
        """Names of the parts of the path."""
        return tuple(_IN_BRACES.findall(self.path))


@cache
def all_operations() -> tuple[Operation, ...]:
    """Every operation, by its module."""
    names = sorted(one.name for one in pkgutil.iter_modules([str(_FOLDER)]))
    modules = (import_module(f"router.console.api.operations.{name}") for name in names)
    return tuple(operation for module in modules for operation in module.OPERATIONS)


def by_path() -> Mapping[str, tuple[Operation, ...]]:
    """The operations of each path."""
    found: dict[str, tuple[Operation, ...]] = {}
    for one in all_operations():
        found[one.path] = (*found.get(one.path, ()), one)
    return found


# ------------------------------------------------------------------------------------------------------- values

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A criterion or a name."""
Free = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""A reason or a note, of several lines."""
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.~:-]{1,200}$")]
PerPage = Annotated[int, Field(ge=1, le=200)]


def moment(at: float | None) -> datetime | None:
    """Unix seconds as a time in UTC; None for none, or 0."""
    return datetime.fromtimestamp(at, UTC) if at else None
