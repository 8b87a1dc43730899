"""Every step that a pipeline file may use: ours, and those of other packages (entry points `segur_router.steps`).

A package offers one with `[project.entry-points."segur_router.steps"]`, `stamp = "its_module:STAMP"`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from router.errors import OperatorFault
from router.plugins import installed
from router.steps.enrich import ENRICH
from router.steps.keep import KEEP
from router.steps.look_up import LOOK_UP
from router.steps.set_fields import SET
from router.steps.step_type import StepType
from router.steps.validate import VALIDATE

GROUP: Final = "segur_router.steps"
BUILT_IN: Final = (
    VALIDATE,
    ENRICH,
    LOOK_UP,
    SET,
    KEEP,
)


def registered(types: Iterable[StepType]) -> dict[str, StepType]:
    """By name. Raises `OperatorFault` for a declaration that can't work, or that takes another's name."""
    found: dict[str, StepType] = {}
    for one in types:
        problems = one.check()
        problems += [f"there is a step named {one.name} already"] if one.name in found else []
        if problems:
            raise OperatorFault("STEP-TYPE", one.name, " ; ".join(problems))
        found[one.name] = one
    return found


STEPS: Final[Mapping[str, StepType]] = registered((*BUILT_IN, *installed(GROUP, StepType)))
