"""What a step's file says of it, once: its key, its model, its documentation, how it is built.

`router.steps.registry` lists the steps. The model of a pipeline file, the builder, `segur-router try` and the reference
read that list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from router.cda.schema import SchemaGate
from router.contracts import Step
from router.directory.directory import Directory
from router.exchange import Exchange
from router.register.store import Register


class StepTools(Protocol):
    """What a step may be built with. Each thing is opened when a step first asks for it."""

    @property
    def register(self) -> Register:
        """What the ADT feeds have said of patients."""
        ...

    @property
    def directory(self) -> Directory:
        """Mailboxes, and the domains of the espace de confiance."""
        ...

    @property
    def schema(self) -> SchemaGate | None:
        """The CDA schema of the site, when it has one."""
        ...

    def condition(self, expression: str) -> Callable[[Exchange], bool]:
        """A CEL expression, compiled."""
        ...


def no_addresses(_value: Any) -> Iterable[str]:
    """For a step whose keys are no HL7 addresses."""
    return ()


def no_needs(_value: Any) -> Mapping[str, str]:
    """For a step that wants nothing of the site file."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType:
    """One kind of step. `check` says what of a declaration can't work."""

    name: str
    """The key in a pipeline file."""
    model: type[BaseModel] | type[str]
    """What stands behind the key: a model, every field described; or a text."""
    description: str
    """One sentence, for the reference."""
    build: Callable[[Any, StepTools], Step]
    """(value of the model, tools) -> the step of one pipeline. Raises `OperatorFault` when the site lacks something."""
    addresses: Callable[[Any], Iterable[str]] = no_addresses
    """(value of the model) -> HL7 addresses among its keys: their form is checked, with its place."""
    needs: Callable[[Any], Mapping[str, str]] = no_needs
    """(value of the model) -> key of the site file without which `build` refuses it, and the sentence for it."""
    condition: bool = False
    """The text is a CEL condition: it is checked, with its place, when the file is read."""

    def check(self) -> list[str]:
        """What of this declaration can't work, in sentences."""
        problems = []
        if not self.name.isidentifier() or self.name != self.name.lower():
            problems.append("its name is not a word in lower case")
        if self.condition and self.model is not str:
            problems.append("a condition is a text")
        return problems
