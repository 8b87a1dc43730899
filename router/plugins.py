"""Declarations that other installed packages offer by entry point: sink types and steps."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import TypeVar

from router.errors import OperatorFault
from router.language import filled

T = TypeVar("T")


def installed(group: str, kind: type[T]) -> Iterator[T]:
    """What stands in an entry point group, in the order of names.

    Raises `OperatorFault` PLUGIN for one that can't be loaded or is no `kind`: a site must not run without a part
    that its files name.
    """
    for point in sorted(entry_points(group=group), key=lambda one: one.name):
        try:
            found = point.load()
        except Exception as error:  # whatever an import may raise
            text = filled(
                "{name} of {group} can't be imported ({error})",
                name=point.value,
                group=group,
                error=type(error).__name__,
            )
            raise OperatorFault("PLUGIN", point.name, text) from error
        if not isinstance(found, kind):
            text = filled("{name} of {group} is no {kind}", name=point.value, group=group, kind=kind.__name__)
            raise OperatorFault("PLUGIN", point.name, text)
        yield found
