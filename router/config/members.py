"""One walk through what a configuration model holds, for all who look for one kind of value in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A value, where it stands in the file, and the model that it is a field of. A model is a value too."""

    where: Where
    value: Any
    model: BaseModel


def members(model: BaseModel, where: Where = ()) -> Iterator[Member]:
    """Every value of the file, in the order of the models; a model comes before what it holds."""
    for name, value in model:
        yield from _inside((*where, name), value, model)


def _inside(where: Where, value: Any, model: BaseModel) -> Iterator[Member]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _inside((*where, str(name)), one, model)
        return
    yield Member(where, value, model)
    if isinstance(value, BaseModel):
        yield from members(value, where)
