"""Fast copies of the two frozen values that change on the hot path: a third of the cost of `dataclasses.replace`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, TypeVar

from router.contracts import Row
from router.exchange import Delivery

T = TypeVar("T")


def copier(kind: type[T]) -> Callable[..., T]:
    """`copy(value, **changes)` for a frozen dataclass with slots and without `__post_init__`."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    setters: dict[str, Callable[[T, Any], None]] = {name: getattr(kind, name).__set__ for name in names}
    ordered = list(setters.values())
    read: Callable[[T], tuple[Any, ...]] = attrgetter(*names)
    new = object.__new__

    def copy(value: T, **changes: Any) -> T:
        made = new(kind)
        for put, present in zip(ordered, read(value), strict=True):
            put(made, present)
        for name, change in changes.items():
            setters[name](made, change)
        return made

    return copy


copy_row: Final = copier(Row)
copy_delivery: Final = copier(Delivery)
